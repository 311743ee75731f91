"""A computer that loses its power: what of our work was not on the disk yet is undone.

As on a disk with a journal: of the names the last ones are undone, back to one that was made
durable, in the order opposite to that in which they were given; and a content that was not made
durable is another one. What users do counts as durable, for that is their program's affair.
The laptop makes durable what it shows; the machine makes nothing durable.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

from towline.core.path import is_below, parent_of
from towline.disk import rename

NAMES_S = 5.0  # How long a disk takes to write names by itself,
CONTENTS_S = 30.0  # and contents.
THERE_S = 4.0  # Both, on a machine: so short that worlds last for longer.
UNSYNCED_S = 8.0  # What the engine believes of that: as in earnest, somewhat more.


class Power:
    """Whether it fails at a system call: never, unless there is a `chance`."""

    def __init__(self, seed: int | str = 0, chance: float = 0.0) -> None:
        self.random = Random(f"power {seed}")  # noqa: S311 - Not for secrets.
        self.chance = chance
        self.is_out = False

    def fails(self) -> bool:
        if self.chance and self.random.random() < self.chance:
            self.is_out = True
        return self.is_out


class _Naming(NamedTuple):
    at: float
    paths: tuple[str, ...]
    undo: Callable[[], None]


class Unwritten:
    """What the process did to a folder and the disk may forget. `now` in seconds."""

    names_s, contents_s = NAMES_S, CONTENTS_S

    def __init__(self, root: Path, now: Callable[[], float]) -> None:
        self.is_watched = False  # Most worlds have no power cuts, and need not know.
        self._root = str(root)
        self._now = now
        self._names: list[_Naming] = []
        self._contents: dict[int, float] = {}  # By inode: since when.

    def wrote(self, ino: int) -> None:
        if self.is_watched:
            self._contents.setdefault(ino, self._now())

    def content_is_safe(self, ino: int) -> None:
        self._contents.pop(ino, None)

    def moved(self, source: str, target: str) -> None:
        self._named(lambda: os.rename(self._at(target), self._at(source)), source, target)

    def exchanged(self, one: str, other: str) -> None:
        paths = self._at(one), self._at(other)
        self._named(lambda: rename.exchange(0, paths[0], 0, paths[1]), one, other)

    def made_directory(self, path: str) -> None:
        self._named(lambda: os.rmdir(self._at(path)), path)

    def removed_directory(self, path: str) -> None:
        self._named(lambda: os.mkdir(self._at(path)), path)

    def removed(self, path: str) -> None:
        """Nobody can bring it back: so all that was done to it is durable, too."""
        self._are_safe(lambda naming: path in naming.paths)

    def directory_is_safe(self, path: str) -> None:
        self._are_safe(lambda naming: path in map(parent_of, naming.paths))

    def somebody_acts(self, path: str) -> None:
        """A user makes durable what is done to this path, and what was done near it before."""
        self._are_safe(lambda naming: any(_are_near(path, at) for at in naming.paths))

    def forget(self) -> None:
        """The folder is gone, with its disk."""
        self._names.clear()
        self._contents.clear()

    def young_names(self) -> list[str]:
        """Return the paths that may not be on the disk."""
        return [path for naming in self._names for path in naming.paths]

    def lose(self, random: Random) -> set[int]:
        """The power is gone. Return the inodes of which the content is not on the disk."""
        now = self._now()
        names = [naming for naming in self._names if now - naming.at < self.names_s]
        for naming in reversed(names[random.randint(0, len(names)) :]):
            with suppress(OSError):
                naming.undo()
        lost = {ino for ino, since in self._contents.items() if now - since < self.contents_s}
        self.forget()
        return lost

    def _named(self, undo: Callable[[], None], *paths: str) -> None:
        if self.is_watched:
            self._names.append(_Naming(self._now(), paths, undo))

    def _are_safe(self, holds: Callable[[_Naming], bool]) -> None:
        """All up to the last one of which this is true is on the disk."""
        last = max((at for at, naming in enumerate(self._names) if holds(naming)), default=-1)
        del self._names[: last + 1]

    def _at(self, path: str) -> str:
        return os.path.join(self._root, path)


def _are_near(one: str, other: str) -> bool:
    return parent_of(one) == parent_of(other) or is_below(one, other) or is_below(other, one)


def spoil(place: Path, random: Random) -> None:
    """Leave the beginning of a file, alone or with zeros after it, as file systems do."""
    size = place.lstat().st_size
    os.truncate(place, random.randint(0, size))
    if random.random() < 0.5:
        os.truncate(place, size)


class Past:
    """What the engine's own files were lately. A power cut brings a former state of all back."""

    def __init__(self, directory: Path, pattern: str, now: Callable[[], float]) -> None:
        self._directory = directory
        self._pattern = pattern
        self._now = now
        self._states: list[tuple[float, dict[Path, bytes]]] = []

    def begin(self) -> None:
        """What is there now is on the disk: whoever closed the files last made it so."""
        self._states.clear()
        self.note()

    def note(self) -> None:
        files = {path: path.read_bytes() for path in self._directory.glob(self._pattern)}
        self._states.append((self._now(), files))

    def bring_back(self, random: Random) -> None:
        """A disk may have the newest state, or one of the last half minute."""
        oldest = self._now() - CONTENTS_S
        states = [files for at, files in self._states if at >= oldest]
        if not states or random.random() < 0.5:
            return
        for path in self._directory.glob(self._pattern):
            path.unlink()
        for path, content in random.choice(states).items():
            path.write_bytes(content)
