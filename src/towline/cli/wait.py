"""`towline wait`: wait until a job is over."""

from __future__ import annotations

from pathlib import Path

import click

from towline import jobs
from towline.cli.attend import conclude
from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace_of_jobs
from towline.cli.output import json_line, say


@click.command(cls=Command, short_help="Wait until a job is over.")
@click.argument("job", required=False)
@which_workspace_of_jobs
@json_option
def wait(job: str | None, project: Path | None, workspace: str | None, as_json: bool) -> int:
    """Wait until a job is over, and exit as it did.

    JOB is a number or a name; without it the latest job is meant.
    """
    binding = chosen(project, workspace)
    found = jobs.find(binding, job)
    if not found.is_over:
        found = jobs.wait(binding, found.key, note=say)
    if as_json:
        json_line(found.plain)
    return conclude(binding, found)
