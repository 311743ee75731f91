"""`towline attach`: come back to a job."""

from __future__ import annotations

from pathlib import Path

import click

from towline import jobs
from towline.cli.attend import attend
from towline.cli.choose import chosen
from towline.cli.options import Command, which_workspace_of_jobs

LINES = 100  # A screen or two of what was missed; `towline logs` has all of it.


@click.command(cls=Command, short_help="Come back to a job.")
@click.argument("job", required=False)
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=LINES,
    show_default=True,
    help="How many of the last lines to begin with.",
)
@which_workspace_of_jobs
def attach(job: str | None, lines: int, project: Path | None, workspace: str | None) -> int:
    """Stay with a job as `towline run` does: its output, its exit code, Ctrl-C leaves it running.

    JOB is a number or a name; without it the latest job is meant. A job with a terminal gets this
    one; `~.` at the beginning of a line leaves it.
    """
    binding = chosen(project, workspace)
    return attend(binding, jobs.find(binding, job), lines=lines)
