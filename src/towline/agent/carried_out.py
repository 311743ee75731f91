"""What the laptop lately had done in a folder, as long as nobody else has been at it since.

Told again at the start of a line's life, for an engine that did not get the answers. It counts
only while nothing else was seen in its place: what is there again after that is somebody's edit.
Pure bookkeeping: nothing here looks at a disk.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence

from towline.core.change import Change, Outcome, Result, holds
from towline.core.entry import Directory, Entry
from towline.core.path import parents_of
from towline.core.tree import Tree
from towline.core.wire.records import Row
from towline.disk.observation import Observation

CHANGES_MAX = 1000  # More than can be under way when an engine is killed at its work.
FEW = 16  # Places seen, up to which those below them are found sooner than looked at one by one.


class CarriedOut:
    """Each entry in it holds, as far as the folder is known."""

    def __init__(self) -> None:
        # The latest at the end; ordered as `Changes` is.
        self._entries: OrderedDict[str, Entry | None] = OrderedDict()

    def clear(self) -> None:
        self._entries.clear()

    def note(self, changes: Sequence[Change], results: Sequence[Result]) -> None:
        for change, result in zip(changes, results, strict=True):
            path = change.path
            self._entries.pop(path, None)
            if change.keep is not None or isinstance(change.old, Directory):
                self._forget_below(path)
            if change.new is not None:
                self._forget_absent_above(path)
            if result.outcome is Outcome.DONE:
                self._entries[path] = change.new
        while len(self._entries) > CHANGES_MAX:
            self._entries.popitem(last=False)

    def note_seen(self, observations: Sequence[Observation]) -> None:
        """Forget what these show to be something else now, be it for a moment."""
        if not observations or not self._entries:
            return
        seen: dict[str, list[Entry | None]] = {}
        for observation in observations:
            seen.setdefault(observation.path, []).append(observation.entry)
            if observation.entry is not None:
                self._forget_absent_above(observation.path)
        self._forget(
            path
            for path in self._touched_by(seen)
            if any(
                not holds(_within(each, at, path), self._entries[path])
                for at in (path, *parents_of(path), "")
                for each in seen.get(at, ())
            )
        )

    def _touched_by(self, seen: Collection[str]) -> Iterable[str]:
        """Return the paths that lie at or below one of these, and perhaps others."""
        if len(seen) > FEW or "" in seen:
            return self._entries
        inside = tuple(f"{path}/" for path in seen)
        return [path for path in self._entries if path in seen or path.startswith(inside)]

    def rows(self, tree: Tree) -> tuple[Row, ...]:
        """Return what still stands in `tree`, which may have been looked at anew."""
        self._forget(
            path for path, entry in self._entries.items() if not holds(tree.get(path), entry)
        )
        return tuple(self._entries.items())

    def _forget_below(self, directory: str) -> None:
        inside = f"{directory}/"
        self._forget(path for path in self._entries if path.startswith(inside))

    def _forget_absent_above(self, path: str) -> None:
        self._forget(at for at in parents_of(path) if self._entries.get(at, "") is None)

    def _forget(self, paths: Iterable[str]) -> None:
        for path in list(paths):
            del self._entries[path]


def _within(entry: Entry | None, at: str, path: str) -> Entry | None:
    """Return what is at `path`, where `entry` is at `at`: there, or above it."""
    if at == path:
        return entry
    for name in path[len(at) + 1 if at else 0 :].split("/"):
        entry = entry.children.get(name) if isinstance(entry, Directory) else None
    return entry
