"""What a root holds at a path. Entries are immutable values; `None` stands for absence.

An entry knows content by digest only, never by bytes, and knows nothing of times or owners:
two sides agree exactly when their entries are equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from towline.core.digest import DIGEST_SIZE as DIGEST_SIZE
from towline.core.digest import digest_of as digest_of
from towline.core.problem import ProblemKind


@dataclass(frozen=True, slots=True)
class File:
    """Content and the one mode bit that travels. `size` (bytes) informs; it never decides."""

    digest: bytes
    executable: bool = False
    size: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Symlink:
    """A link by its text. It is never followed."""

    target: str


@dataclass(frozen=True, slots=True)
class Directory:
    children: Mapping[str, Entry] = field(default_factory=dict[str, "Entry"])

    def __hash__(self) -> int:
        return hash(frozenset(self.children))


@dataclass(frozen=True, slots=True)
class Unsynced:
    """Something that cannot or may not be synced for now: unreadable, too large, a socket.

    It is not absence: nothing may be put in its place, and what holds it cannot be removed.
    """

    kind: ProblemKind
    detail: str = field(default="", compare=False)


Entry = File | Symlink | Directory | Unsynced

DIRECTORY = Directory()
"""A directory without regard to its children: how a `Change` names one."""


def directories_in(path: str, directory: Directory) -> Iterator[str]:
    """Yield the path of a directory, and those of all directories below it."""
    yield path
    for name, child in directory.children.items():
        if isinstance(child, Directory):
            yield from directories_in(f"{path}/{name}" if path else name, child)


def shallow(entry: Entry | None) -> Entry | None:
    """Return the entry with a directory's children left out."""
    return DIRECTORY if isinstance(entry, Directory) else entry


def is_part_of(part: Entry | None, whole: Entry | None) -> bool:
    """Whether `part` is `whole` with some entries removed: dropping it loses nothing new."""
    if isinstance(part, Directory) and isinstance(whole, Directory):
        return all(
            is_part_of(child, whole.children.get(name)) for name, child in part.children.items()
        )
    return part is None or part == whole
