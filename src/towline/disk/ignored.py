"""Which of a group's changes are of paths that are ignored here, asked by directory.

Whoever asks for such a change goes by other rules, or means ill. What becomes of it is not decided
here.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from towline.core.change import Change
from towline.core.entry import Directory, File
from towline.core.path import by_directory, name_of
from towline.disk.scan import Rules


def ignored_among(changes: Sequence[Change], rules: Rules) -> list[bool]:
    """Return of each change whether its path is ignored."""
    ignored: list[bool] = []
    for directory, some in by_directory(changes, attrgetter("path")):
        are_files = all(isinstance(change.new or change.old, File) for change in some)
        if are_files and _spares(rules, directory, [name_of(change.path) for change in some]):
            ignored += [False] * len(some)
        else:
            ignored += [rules.ignores(change.path, _is_directory(change)) for change in some]
    return ignored


def _spares(rules: Rules, directory: str, names: Sequence[str]) -> bool:
    """Whether it is plain that no file of these names is ignored: told sooner than of each."""
    return not rules.ignores(directory, True) and rules.at(directory).spares(names)


def _is_directory(change: Change) -> bool:
    return isinstance(change.new or change.old, Directory)
