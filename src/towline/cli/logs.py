"""`towline logs`: what a job wrote."""

from __future__ import annotations

from pathlib import Path

import click

from towline import jobs
from towline.cli.attend import conclude, write_out
from towline.cli.choose import chosen
from towline.cli.options import Command, which_workspace_of_jobs
from towline.cli.output import say
from towline.errors import ExitCode
from towline.jobs.follower import Follower


@click.command(cls=Command, short_help="What a job wrote.")
@click.argument("job", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until the job is over.")
@click.option("-n", "--lines", type=click.IntRange(min=0), help="Only the last so many.")
@click.option(
    "--from",
    "offset",
    metavar="BYTE",
    type=click.IntRange(min=0),
    default=0,
    help="From this byte of the log on.",
)
@which_workspace_of_jobs
def logs(
    job: str | None,
    follow: bool,
    lines: int | None,
    offset: int,
    project: Path | None,
    workspace: str | None,
) -> int:
    """Print the log of a job: its output and its errors, in the order it wrote them.

    JOB is a number or a name; without it the latest job is meant. With -f it goes on with what
    comes, through cuts and restarts: no line is lost, none comes twice.
    """
    binding = chosen(project, workspace)
    found = jobs.find(binding, job)
    follower = Follower(
        binding, found.key, write_out, offset=offset, lines=lines, note=say, ends=follow
    )
    over = follower.run()
    if follow:
        conclude(binding, over)
    return ExitCode.OK
