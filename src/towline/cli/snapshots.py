"""`towline snapshots`: what is kept, what is in it, and how two of them differ."""

from __future__ import annotations

import dataclasses
import stat
import time
from pathlib import Path

import anyio
import click

from towline.cli.options import Command, json_option, which_project
from towline.cli.output import columns, json_line, say
from towline.cli.past import relative_path
from towline.cli.project import project_root
from towline.errors import ExitCode, UserError
from towline.keep import Keep, chosen, is_of_another, keep_of
from towline.snapshots.report import Node, Snapshot
from towline.ui.words import shown, size_text


@click.command(cls=Command, short_help="What is kept; what a snapshot holds.")
@click.argument("which", required=False, metavar="[SNAPSHOT]")
@click.argument("path", required=False, type=click.Path(path_type=Path), metavar="[PATH]")
@click.option(
    "--diff", "pair", nargs=2, metavar="A B", help="What changed from one snapshot to another."
)
@which_project
@json_option
def snapshots(
    which: str | None,
    path: Path | None,
    pair: tuple[str, str] | None,
    project: Path | None,
    as_json: bool,
) -> None:
    """List the project's snapshots; what one holds, at PATH if that is given; or how two differ.

    SNAPSHOT is the beginning of its id, or `latest`. Those of another folder of the same name have
    that folder beside them; `latest` is none of them, unless there are no others.
    """
    if pair and which:
        raise UserError("--diff names both snapshots itself", exit_code=ExitCode.USAGE)
    root = project_root(project)
    keep = keep_of(root)
    if pair:
        rows = anyio.run(_differences, keep, *pair)
    elif which:
        rows = anyio.run(_contents, keep, which, relative_path(path, root) if path else "")
    else:
        rows = [_listed(each, root) for each in anyio.run(_all, keep)]
    if as_json:
        for plain, _ in rows:
            json_line(plain)
    elif rows:
        columns([cells for _, cells in rows])
    else:
        say("nothing")


Row = tuple[dict[str, object], list[str]]  # For a program, and for a person.


async def _all(keep: Keep) -> list[Snapshot]:
    return await (await keep.open()).snapshots()


async def _contents(keep: Keep, which: str, path: str) -> list[Row]:
    repository = await keep.open()
    snapshot = chosen(await repository.snapshots(), which, keep.project)
    nodes = await repository.nodes(snapshot.id, path)
    if path and not nodes:
        raise UserError(f"{path} is not in snapshot {snapshot.short}", exit_code=ExitCode.FAILED)
    return [_held(node) for node in nodes]


async def _differences(keep: Keep, old: str, new: str) -> list[Row]:
    repository = await keep.open()
    known = await repository.snapshots()
    first, last = (chosen(known, which, keep.project).id for which in (old, new))
    found = await repository.differences(first, last)
    return [(dataclasses.asdict(each), [each.change, shown(each.path)]) for each in found]


def _listed(snapshot: Snapshot, project: Path) -> Row:
    when = time.strftime("%F %T", time.localtime(snapshot.at))
    plain: dict[str, object] = {
        "snapshot": snapshot.id,
        "at": snapshot.at,
        "host": snapshot.host,
        "folder": snapshot.folder,
    }
    folder = shown(snapshot.folder) if is_of_another(snapshot, project) else ""
    return plain, [snapshot.short, when, folder]


def _held(node: Node) -> Row:
    when = time.strftime("%F %T", time.localtime(node.mtime))
    kind = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "symlink": stat.S_IFLNK}.get(node.kind, 0)
    mode = stat.filemode(kind | node.mode)
    size = size_text(node.size) if node.kind == "file" else ""
    return dataclasses.asdict(node), [mode, size.rjust(8), when, shown(node.path)]
