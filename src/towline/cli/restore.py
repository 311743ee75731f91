"""`towline restore`: bring back what a snapshot holds, beside what is there now."""

from __future__ import annotations

import re
from pathlib import Path

import anyio
import click

from towline.cli.options import Command, json_option, which_project
from towline.cli.output import json_line, say
from towline.cli.past import relative_path
from towline.cli.progress import progress_shown
from towline.cli.project import project_root
from towline.errors import ExitCode
from towline.keep import ID_MIN, LATEST, Keep, chosen, keep_of
from towline.snapshots.put_back import Restored
from towline.snapshots.report import Snapshot
from towline.ui.words import count_text, shown

SHOWN = 20  # Paths named of what was kept; --json names all.


@click.command(cls=Command, short_help="Bring back what a snapshot holds.")
@click.argument("words", nargs=-1, metavar="[SNAPSHOT] [PATH]...")
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Into this folder, instead of into the project.",
)
@which_project
@json_option
def restore(words: tuple[str, ...], to: Path | None, project: Path | None, as_json: bool) -> None:
    """Bring back what SNAPSHOT holds, or PATHs of it; without a SNAPSHOT, the latest.

    Nothing that is there is lost: what differs is kept beside what comes back, under the name of a
    conflict copy; what is in no snapshot stays as it is. A first word that could be a snapshot's id
    is one: write `./beef` for a path that looks like that.

    Exits with 1 if a PATH is not in the snapshot, or something could not be read from the
    repository or put in its place; all else is brought back.
    """
    root = project_root(project)
    which, paths = _split(words)
    inside = [relative_path(Path(path), root) for path in paths]
    if "." in inside:  # All of it.
        inside = []
    done = Restored()
    into = to.absolute() if to else None
    try:
        snapshot = anyio.run(_restore, keep_of(root), which, inside, into, as_json, done)
    except KeyboardInterrupt:
        if done.placed or done.kept:
            say(f"interrupted; {count_text(done.placed, 'file')} put in place before")
            _tell_kept(done)
        raise
    _tell(snapshot, done, as_json)
    raise click.exceptions.Exit(ExitCode.FAILED if done.failed else ExitCode.OK)


async def _restore(
    keep: Keep, which: str, paths: list[str], to: Path | None, as_json: bool, done: Restored
) -> Snapshot:
    snapshot = chosen(await (await keep.open()).snapshots(), which, keep.project)
    await keep.restore(snapshot.id, paths, to, progress_shown(as_json), done)
    return snapshot


def _split(words: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the snapshot and the paths that are meant."""
    is_id = re.compile(rf"{LATEST}|[0-9a-f]{{{ID_MIN},64}}")
    if words and is_id.fullmatch(words[0]):
        return words[0], words[1:]
    return LATEST, words


def _tell(snapshot: Snapshot, done: Restored, as_json: bool) -> None:
    if as_json:
        counts = {"placed": done.placed, "same": done.same}
        told = {"event": "restored", "snapshot": snapshot.id, **counts}
        json_line({**told, "kept": done.kept, "failed": done.failed})
        return
    same = f"; the same already: {count_text(done.same, 'file')}" if done.same else ""
    say(f"snapshot {snapshot.short}: {count_text(done.placed, 'file')} put in place{same}")
    _tell_kept(done)
    for path, reason in sorted(done.failed.items())[:SHOWN]:
        say(f"not restored: {shown(path)}: {reason}")


def _tell_kept(done: Restored) -> None:
    for path, copy in sorted(done.kept.items())[:SHOWN]:
        say(f"kept: {shown(path)} as it was, as {shown(copy)}")
    if (more := len(done.kept) - SHOWN) > 0:
        say(f"kept: {more:,} more, under such names")
