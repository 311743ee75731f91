"""Rules: the lines of ignore files, with where a person finds them and how they rank.

Which rule decides about a path is `match`'s business, what is ignored in the end `ignore`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from towline.core.path import check_path
from towline.core.pattern import Pattern, parse, text_of

GIT_IGNORE = ".gitignore"

_BOM = b"\xef\xbb\xbf"


class SourceKind(IntEnum):
    """Where rules come from. The higher one decides."""

    DEFAULT = 0
    EXCLUDES_FILE = 1  # git's core.excludesFile
    INFO_EXCLUDE = 2  # .git/info/exclude
    GIT_IGNORE = 3
    CONFIGURATION = 4
    TOWLINE_IGNORE = 5
    ALWAYS = 6  # Not to be overridden, and in no file.


IGNORE_FILES = {GIT_IGNORE: SourceKind.GIT_IGNORE, ".towlineignore": SourceKind.TOWLINE_IGNORE}
"""The names that ignore files have in a project."""


@dataclass(frozen=True, slots=True)
class Source:
    """The lines of one ignore file.

    `directory` is what its patterns are relative to, inside the root. A file that lies above the
    root (a project in a subdirectory of a repository) has the root as its directory and in
    `prefix` the path from the file's directory to the root. `origin` is what a person reads.

    Raises ValueError for a directory or a prefix that is no plain path, and for both together.
    """

    kind: SourceKind
    directory: str
    origin: str
    lines: tuple[str, ...]
    prefix: str = ""

    def __post_init__(self) -> None:
        for path in (self.directory, self.prefix):
            if path:
                check_path(path)
        if self.directory and self.prefix:
            raise ValueError("a source lies either in a directory of the root or above it")

    @property
    def depth(self) -> int:
        """How deep the file lies below the root; negative for one above it."""
        return _count(self.directory) - _count(self.prefix)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line that may decide. Of the rules that match, the one of the highest `order` does."""

    kind: SourceKind
    origin: str
    line: int  # From 1; 0 for what is in no file.
    text: str
    pattern: Pattern = field(repr=False)
    order: tuple[int, int, int, int] = field(repr=False)

    @property
    def excludes(self) -> bool:
        return not self.pattern.negated

    def __str__(self) -> str:
        in_file = self.kind not in (SourceKind.DEFAULT, SourceKind.ALWAYS)
        return f'"{self.text}" ({self.origin}{f":{self.line}" if in_file else ""})'


def rules_of(source: Source, position: int) -> Iterator[Rule]:
    """Yield the rules of a source, `position` being its place among those of its kind and depth."""
    for number, line in enumerate(source.lines, 1):
        if pattern := parse(line):
            order = (source.kind, source.depth, position, number)
            yield Rule(source.kind, source.origin, number, text_of(line), pattern, order)


def lines_of(content: bytes) -> tuple[str, ...]:
    """Return the lines of an ignore file as git reads them (a byte order mark is left out)."""
    text = content.removeprefix(_BOM).decode("utf-8", "surrogateescape")
    return tuple(text.removesuffix("\n").split("\n")) if text else ()


def _count(path: str) -> int:
    return path.count("/") + 1 if path else 0
