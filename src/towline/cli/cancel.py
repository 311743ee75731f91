"""`towline cancel`: end a job."""

from __future__ import annotations

from pathlib import Path

import click

from towline import jobs
from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace_of_jobs
from towline.cli.output import data, json_line
from towline.jobs.kept import forget


@click.command(cls=Command, short_help="End a job.")
@click.argument("job")
@click.option("--now", is_flag=True, help="Without the ten seconds to end by itself.")
@which_workspace_of_jobs
@json_option
def cancel(job: str, now: bool, project: Path | None, workspace: str | None, as_json: bool) -> None:
    """End a job: SIGTERM to its processes, and SIGKILL to what is left ten seconds later.

    Returns once it is over. A job that was over already stays as it was.
    """
    binding = chosen(project, workspace)
    found = jobs.find(binding, job)
    forget(binding, found.key)
    if not found.is_over:
        jobs.cancel(binding, found.key, now=now)
        found = jobs.follow(binding, found.key, lambda _: None, offset=found.plain["log_size"])
    if as_json:
        json_line(found.plain)
    else:
        data(f"job {found.number}: {found.state}")
