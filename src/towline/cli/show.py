"""`towline show`: what a revision changed, and files as they were in it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import columns, json_line
from towline.cli.past import check_revision, content_of, past_of, relative_path
from towline.engine.history import Past
from towline.errors import ExitCode, UserError
from towline.ui.words import shown


@click.command(cls=Command, short_help="What a revision changed; a file as it was.")
@click.argument("revision", type=click.IntRange(min=0), metavar="REV")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@which_workspace
@json_option
def show(
    revision: int, path: Path | None, project: Path | None, name: str | None, as_json: bool
) -> None:
    """Show what revision REV changed, or print PATH as it was in it.

    A cell of a notebook says on which revision it ran: `%towline where`, `towline.revision()`.
    """
    binding = chosen(project, name)
    with past_of(binding) as past:
        check_revision(past, revision)
        if path is None:
            _list(past, revision, as_json)
        else:
            _print(past, revision, relative_path(path, binding.project), as_json)


def _list(past: Past, revision: int, as_json: bool) -> None:
    rows = [
        _row(past, mirror, path, revision) for mirror, path in past.changed_in(revision, revision)
    ]
    if as_json:
        for row in rows:
            json_line(row)
    else:
        columns([[str(row["change"]), shown(str(row["path"]))] for row in rows])


def _row(past: Past, mirror: int, path: str, revision: int) -> dict[str, object]:
    before, now = past.at(mirror, path, revision - 1), past.at(mirror, path, revision)
    change = "removed" if now is None else "added" if before is None else "changed"
    row: dict[str, object] = {"path": path, "change": change, "revision": revision}
    if now is not None:
        row |= {"kind": now.kind, "size": now.size, "at": now.at}
    return row


def _print(past: Past, revision: int, path: str, as_json: bool) -> None:
    version = past.at(0, path, revision)
    if version is None or version.kind == "directory":
        raise UserError(f"there is no file {path} in revision {revision}", exit_code=ExitCode.USAGE)
    content = content_of(past, version)
    if as_json:
        text = content.decode("utf-8", "replace")
        told = {"path": path, "revision": version.revision, "kind": version.kind, "content": text}
        json_line(
            {**told, "at": version.at, "time": time.strftime("%F %T", time.localtime(version.at))}
        )
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
