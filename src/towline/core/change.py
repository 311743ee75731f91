"""A change to one path, and what became of it.

A `Change` says what it expects (`old`) as well as what it wants (`new`); the side that no longer
holds `old` refuses. Changes are shallow: a directory is `DIRECTORY`, its children are changes of
their own. Nothing here decides or carries out anything.
"""

from __future__ import annotations

import enum
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

from towline.core.entry import DIRECTORY, Directory, Entry, File, shallow
from towline.core.path import join
from towline.core.problem import Problem

MOVED_MAX = 32 << 20  # Bytes that a group takes from the files it removes: read in some 20 ms.


@dataclass(frozen=True, slots=True)
class Change:
    """`old` → `new` at `path`.

    With `keep` set, whatever stands at `path` (any `old`; the field then only informs) is first
    moved to the name `keep`, so that two versions live on side by side.
    """

    path: str
    old: Entry | None
    new: Entry | None
    keep: str | None = None

    @property
    def content_size(self) -> int:
        """Bytes of content that carrying this out needs from the other side."""
        if not isinstance(self.new, File):
            return 0
        if self.old is None:
            return self.new.size
        only_mode = isinstance(self.old, File) and self.old.digest == self.new.digest
        return 0 if only_mode and self.keep is None else self.new.size


class Outcome(enum.Enum):
    DONE = "done"  # `new` is there now; also if it already was.
    REFUSED = "refused"  # `old` does not hold; `Result.actual` says what does.
    FAILED = "failed"  # The system would not; `Result.problem` says why.
    LACKING = "lacking"  # The content needed was not at hand or not what it claimed to be.


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the change at `path`."""

    path: str
    outcome: Outcome
    actual: Entry | None = None  # Shallow. What is at `path`, if REFUSED.
    problem: Problem | None = None
    kept: str | None = None  # The name under which the previous content lives on, if any.


def changes_between(path: str, old: Entry | None, new: Entry | None) -> Iterator[Change]:
    """Yield the shallow changes that turn `old` into `new`.

    Removals come before what takes their place, children before their parent; creations come
    parent before children. Equal parts yield nothing.
    """
    if isinstance(old, Directory) and isinstance(new, Directory):
        for name in sorted({*old.children, *new.children}):
            yield from changes_between(
                join(path, name), old.children.get(name), new.children.get(name)
            )
        return
    if old == new:
        return
    if isinstance(old, Directory):
        for name in sorted(old.children):
            yield from changes_between(join(path, name), old.children[name], None)
    if shallow(old) != shallow(new):
        yield Change(path, shallow(old), shallow(new))
    if isinstance(new, Directory):
        made: list[Change] = []
        _make_children(path, new, made)
        yield from made


def _make_children(path: str, directory: Directory, made: list[Change]) -> None:
    """Add what makes a directory's children; a first copy is nothing else, so it is kept short.

    What is in the directory itself comes together: it can be made whole by whoever carries it out.
    """
    below: list[tuple[str, Directory]] = []
    for name, child in sorted(directory.children.items()):
        at = join(path, name)
        if isinstance(child, Directory):
            below.append((at, child))
        else:
            made.append(Change(at, None, child))
    for at, child in below:
        made.append(Change(at, None, DIRECTORY))
        _make_children(at, child, made)


def moved_contents(changes: Sequence[Change]) -> dict[bytes, tuple[str, File]]:
    """Return the contents that a group needs and has: in files that it removes itself.

    Digest → where it is before anything is done. A directory renamed is such a group. Both sides
    reckon with these alike: the one need not send them, the other finds them. At most `MOVED_MAX`.
    """
    removed = {
        change.old.digest: (change.path, change.old)
        for change in changes
        if change.new is None and isinstance(change.old, File)
    }
    moved: dict[bytes, tuple[str, File]] = {}
    size = 0
    for change in changes if removed else ():
        if not (change.content_size and isinstance(change.new, File)):
            continue
        found = removed.get(change.new.digest)
        if found is not None and change.new.digest not in moved:
            size += change.content_size
            if size > MOVED_MAX:
                break
            moved[change.new.digest] = found
    return moved


def is_moved(change: Change, moved: Container[bytes]) -> bool:
    """Whether what a change needs is among `moved_contents`."""
    return isinstance(change.new, File) and change.new.digest in moved


def holds(actual: Entry | None, expected: Entry | None) -> bool:
    """Whether what is at a path is what a change expects there (directories: any directory)."""
    if isinstance(expected, Directory):
        return isinstance(actual, Directory)
    return actual is expected or actual == expected
