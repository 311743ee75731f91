"""Paths inside a root: relative, "/"-separated, normalised. The root itself is the empty path.

Every path that comes from a peer passes `check_path` before anything else looks at it. Nothing
here asks a file system; what a name means on one (case, links) is `disk`'s business.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import TypeVar

T = TypeVar("T")

OWN_DIRECTORY = ".towline"
"""towline's own directory in each root: incarnation id, staging, cookies. Never synced."""

PATH_MAX = 4096  # Bytes, as Linux has it; a longer one could not be opened on either side.
NAME_MAX = 255  # Bytes, as in ext4, APFS (in UTF-8) and NTFS (in UTF-16 units, so never more).
DEPTH_MAX = 100  # Names. Trees are walked by recursion; no project nests a third as deep.


_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,60}"
_USUAL = re.compile(f"(?:{_NAME}/){{0,50}}{_NAME}")
"""Most paths are of this kind: one match instead of a look at each name."""


def _itself(name: str) -> str:
    return name


shared: Callable[[str], str] = _itself if sys.version_info[:2] == (3, 12) else sys.intern
"""Return the one string for a name that several trees and a cache keep, each for ever.

It goes with the last of them, but for Python 3.12, which would keep every name there ever was.
"""


class BadPathError(ValueError):
    """A path that must not be used: it could leave the root or name no file."""


def check_path(path: str) -> str:
    """Return `path` if it names something inside a root, and only there.

    Raises `BadPathError` for the empty path, absolute ones, `.`, `..`, empty components, NUL, names
    or paths that are too long or too deep, a second spelling of the same bytes, and anything in
    towline's own directory.
    """
    if _USUAL.fullmatch(path):
        return path
    if not path or len(encode_path(path)) > PATH_MAX:
        raise BadPathError(f"path is empty or longer than {PATH_MAX} bytes: {path[:80]!r}")
    names = path.split("/")
    if len(names) > DEPTH_MAX:
        raise BadPathError(f"path is more than {DEPTH_MAX} names deep: {path[:80]!r}")
    for name in names:
        if name in ("", ".", "..") or "\0" in name:
            raise BadPathError(f"path is not plain and relative: {path[:200]!r}")
        if len(encode_path(name)) > NAME_MAX:
            raise BadPathError(f"name is longer than {NAME_MAX} bytes: {name[:80]!r}")
    if not path.isascii() and decode_path(encode_path(path)) != path:
        raise BadPathError(f"path is another one's bytes, escaped: {path[:200]!r}")
    # Compared without case: on macOS and Windows `.Towline` is the same directory.
    if names[0].casefold() == OWN_DIRECTORY:
        raise BadPathError(f"path lies in towline's own directory: {path[:200]!r}")
    return path


def encode_path(path: str) -> bytes:
    """Return the bytes of a path as the system has them (names need not be UTF-8)."""
    try:
        return path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BadPathError(f"path holds a lone surrogate: {path[:80]!r}") from None


def decode_path(path: bytes) -> str:
    """Return a path of the system as text: the one text that stands for these bytes."""
    return path.decode("utf-8", "surrogateescape")


def join(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name


def parent_of(path: str) -> str:
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    return path.rpartition("/")[2]


def parents_of(path: str) -> Iterator[str]:
    """Yield the directories that hold `path`, the nearest first, without the root."""
    while path := parent_of(path):
        yield path


def by_directory(items: Iterable[T], path_of: Callable[[T], str]) -> Iterator[tuple[str, list[T]]]:
    """Yield, in order, what follows each other and lies in one directory, after that directory."""
    for directory, run in groupby(items, lambda item: path_of(item).rpartition("/")[0]):
        yield directory, list(run)


def is_below(path: str, directory: str) -> bool:
    """Whether `path` lies in `directory` at any depth (a path is not below itself)."""
    return path.startswith(f"{directory}/") if directory else bool(path)


def collisions(names: Iterable[str]) -> list[list[str]]:
    """Return the groups of names that a case-folding, normalising file system takes for one.

    macOS and Windows fold case; macOS also folds Unicode normal forms. Each group is sorted.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(_folded(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
