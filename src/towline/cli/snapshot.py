"""`towline snapshot`: make one now."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import anyio
import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_project, which_workspace
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


@snapshot.command(cls=Command)
@click.option("--stop", "ends", is_flag=True, help="End it.")
@which_workspace
@json_option
def there(ends: bool, project: Path | None, name: str | None, as_json: bool) -> None:
    """Have the machine make snapshots by itself, also while this laptop is away.

    By the machine's own restic, into a repository that exists. The password and `keep.mirror_key`
    go into the memory of a process there: whoever is root on the machine can read them.
    """
    from towline.away import started, stopped
    from towline.config import load
    from towline.there import there_of

    binding = chosen(project, name)
    if ends:
        told = stopped(binding)
    else:
        told = started(binding, there_of(None, binding), load(binding.project, os.environ))
    if as_json:
        json_line(told)
    elif ends:
        say("ended" if told.get("stopped") else "none ran there")
    else:
        say("the machine makes snapshots by itself; `towline snapshot there --stop` ends it")
