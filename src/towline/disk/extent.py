"""What a snapshot holds: all that the project's rules do not leave out, whatever its size.

restic's patterns are not git's, so it is told what exists and is left out, path by path; where many
bear one name that nothing kept bears, by that name. Nothing here reads a file.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from towline.core.ignore import Rules
from towline.core.path import OWN_DIRECTORY, name_of

SEVERAL = 4  # Paths of one name. restic compares each file with each pattern.
ALWAYS = (OWN_DIRECTORY, ".towline-stage-*")
"""What towline has on its way, which is gone before it could be read."""

_SPECIAL = re.compile(r"[\\*?\[\]]")


@dataclass(slots=True)
class _Found:
    left_out: list[str] = field(default_factory=list[str])
    kept_names: set[str] = field(default_factory=set[str])


def exclude_lines(folder: Path, rules: Rules) -> list[str]:
    """Return the lines of an exclude file for `restic backup` of `folder`. Walks all of it."""
    found = _Found()
    _walk(folder, rules, found)
    return [*ALWAYS, *_patterns(os.fspath(folder), found)]


def _walk(folder: Path, rules: Rules, found: _Found) -> None:
    waiting = [rules.at("")]
    while waiting:
        here = waiting.pop()
        for name, path, is_directory in _entries(folder, here.path):
            if here.ignores(name, is_directory):
                found.left_out.append(path)
                continue
            found.kept_names.add(name)
            if is_directory:
                waiting.append(here.below(name))


def _entries(folder: Path, directory: str) -> Iterator[tuple[str, str, bool]]:
    """Yield name, path and whether it is a directory. What cannot be listed, restic will report."""
    try:
        with os.scandir(folder / directory) as entries:
            for entry in entries:
                path = f"{directory}/{entry.name}" if directory else entry.name
                yield entry.name, path, entry.is_dir(follow_symlinks=False)
    except OSError:
        return


def _patterns(folder: str, found: _Found) -> Iterator[str]:
    counts = Counter(name_of(path) for path in found.left_out)
    common = {n for n, count in counts.items() if count >= SEVERAL and n not in found.kept_names}
    yield from (escaped(name) for name in sorted(common))
    for path in found.left_out:
        if name_of(path) not in common:
            yield escaped(f"{folder}/{path}")


def escaped(path: str) -> str:
    """Return a pattern that means this path. What a line of the file cannot hold becomes `?`."""
    text = _SPECIAL.sub(r"\\\g<0>", path).replace("$", "$$")
    text = "".join("?" if _is_unwritable(char) else char for char in text)
    stripped = text.rstrip()
    text = stripped + "?" * (len(text) - len(stripped))  # Each line is stripped before it is read.
    return f"?{text[1:]}" if text[:1] in "#! \t" else text


def _is_unwritable(char: str) -> bool:
    return char in "\r\n" or "\udc80" <= char <= "\udcff"  # The latter: bytes that are no UTF-8.
