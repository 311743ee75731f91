"""`towline snapshot`: make one now."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import anyio
import click

from towline.cli.options import Command, json_option, which_project
from towline.cli.output import json_line, say
from towline.cli.progress import progress_shown
from towline.cli.project import project_root


@click.group(short_help="Keep the project's present state.")
def snapshot() -> None:
    """Keep the project's present state in the repository that `keep.to` names.

    While an engine runs it makes snapshots by itself, one each `keep.interval`.
    """


@snapshot.command(cls=Command)
@which_project
@json_option
def now(project: Path | None, as_json: bool) -> None:
    """Make a snapshot of the project as it is, and return when it is in the repository.

    Exits with 0 also if some files could not be read; they are named.
    """
    from towline.keep import keep_of
    from towline.keeping import kept_event
    from towline.ui.words import event_text

    keep = keep_of(project_root(project))
    summary = anyio.run(lambda: keep.take(on_progress=progress_shown(as_json)))
    if as_json:
        json_line({"event": "snapshot", **dataclasses.asdict(summary)})
    elif not summary.snapshot:
        say(f"nothing has changed since snapshot {keep.record.snapshot[:8]}")
    else:
        say(event_text(kept_event(summary)))
