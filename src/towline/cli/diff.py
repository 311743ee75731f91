"""`towline diff`: what changed from one revision to another."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import content, json_line
from towline.cli.past import check_revision, past_of, relative_path
from towline.engine.history import Past, Version
from towline.ui.words import shown


@click.command(cls=Command, short_help="What changed from one revision to another.")
@click.argument("old", type=click.IntRange(min=0), metavar="REV1")
@click.argument("new", type=click.IntRange(min=0), metavar="REV2")
@click.argument("path", required=False, type=click.Path(path_type=Path))
@which_workspace
@json_option
def diff(
    old: int,
    new: int,
    path: Path | None,
    project: Path | None,
    name: str | None,
    as_json: bool,
) -> None:
    """Show what changed from revision REV1 to REV2, in all files or in PATH."""
    binding = chosen(project, name)
    with past_of(binding) as past:
        for revision in (old, new):
            check_revision(past, revision)
        only = None if path is None else relative_path(path, binding.project)
        for mirror, at in past.changed_in(min(old, new) + 1, max(old, new)):
            if only is None or at == only:
                _tell(past, mirror, at, old, new, as_json)


def _tell(past: Past, mirror: int, path: str, old: int, new: int, as_json: bool) -> None:
    before, after = past.at(mirror, path, old), past.at(mirror, path, new)
    if _same(before, after):
        return
    lines = list(_lines(past, path, before, after, old, new))
    if as_json:
        change = "removed" if after is None else "added" if before is None else "changed"
        json_line({"path": path, "change": change, "diff": "\n".join(lines)})
        return
    for line in lines:
        content(line)


def _lines(
    past: Past, path: str, before: Version | None, after: Version | None, old: int, new: int
) -> Iterator[str]:
    path = shown(path)
    texts = [_text(past, version) for version in (before, after)]
    if texts[0] is None or texts[1] is None:
        yield f"{path}: differs, as bytes or too large to be kept"
        return
    older, newer = (f"{path} (revision {number})" for number in (old, new))
    was, now = (text.splitlines() for text in texts if text is not None)
    yield from difflib.unified_diff(was, now, older, newer, lineterm="")
    kinds = [version.kind if version else "nothing" for version in (before, after)]
    if before and after and kinds[0] != kinds[1]:
        yield f"{path}: was a {kinds[0]}, is a {kinds[1]}"


def _same(before: Version | None, after: Version | None) -> bool:
    known = [
        version if version and version.kind != "directory" else None for version in (before, after)
    ]
    if known[0] is None or known[1] is None:
        return known[0] is known[1]
    return (known[0].kind, known[0].value) == (known[1].kind, known[1].value)


def _text(past: Past, version: Version | None) -> str | None:
    """Return what is to be compared; None for what is no text, or is not there any more."""
    if version is None or version.kind == "directory":
        return ""
    content = past.content(version)
    try:
        return None if content is None or b"\0" in content else content.decode()
    except UnicodeDecodeError:
        return None
