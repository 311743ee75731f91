"""`towline jobs`: what ran on the machine and what runs."""

from __future__ import annotations

from pathlib import Path

import click

from towline import jobs as known_jobs
from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace_of_jobs
from towline.cli.output import columns, json_line, say
from towline.jobs.kept import all_kept
from towline.ui.jobs import HEADLINE, job_row


@click.command(cls=Command, short_help="The jobs on the machine.")
@which_workspace_of_jobs
@json_option
def jobs(project: Path | None, workspace: str | None, as_json: bool) -> None:
    """List the jobs of the workspace: state, age, exit code, revision, and what they use.

    CPU is since the job began, as `ps` shows it; `towline top` shows it of late.
    """
    binding = chosen(project, workspace)
    found = known_jobs.all_jobs(binding, gpu=True)
    known_jobs.refresh(binding, found)
    if as_json:
        resumed = {kept.key_there for kept in all_kept(binding)}
        for job in found:
            json_line({**job.plain, "resumes": job.key in resumed})
    elif found:
        columns([HEADLINE, *(job_row(job.plain) for job in found)])
    else:
        say("no job ran on this machine; `towline run -- CMD` begins one")
