"""The line of a TOML document in which a key stands, for messages. `tomllib` does not say.

What is given has been read by `tomllib` before: nothing here finds faults. tomlkit would be a
dependency of some thousand lines, and knows no lines either.
"""

from __future__ import annotations

import contextlib
import re
import tomllib
from collections.abc import Iterator

Step = str | int  # A key, or an index into an array.
Keys = tuple[Step, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:\'{0,2})'
    r'|"(?:\\.|[^"\\])*"|\'[^\']*\'',
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN_VALUE = re.compile(r"[^,\]}#\n]*")
_DOT = re.compile(r"[ \t]*\.[ \t]*")


def line_of(text: str, keys: Keys) -> int:
    """Return the line, from 1, of a key or array element, or of the deepest part of it there is."""
    found, depth = 0, 0
    for path, at in _positions(text):
        if (shared := _shared(path, keys)) > depth:
            found, depth = at, shared
    return text.count("\n", 0, found) + 1


def _shared(one: Keys, other: Keys) -> int:
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs or type(mine) is not type(theirs):
            break
        count += 1
    return count


def _positions(text: str) -> Iterator[tuple[Keys, int]]:
    """Yield every key, header and array element with where it begins."""
    scanner = _Scanner(text)
    table: Keys = ()
    sizes: dict[Keys, int] = {}  # Of the arrays of tables.
    while scanner.skip_blank():
        start = scanner.at
        if not scanner.take("["):
            yield from scanner.pair(table)
            continue
        is_element = scanner.take("[")
        table = _resolve(scanner.key(), sizes, is_element)
        scanner.skip_blank()
        scanner.take("]]" if is_element else "]")
        yield table, start


def _resolve(key: tuple[str, ...], sizes: dict[Keys, int], is_element: bool) -> Keys:
    """Return the keys that a header stands for, with an index into each array of tables."""
    path: Keys = ()
    for number, name in enumerate(key, 1):
        path = (*path, name)
        if is_element and number == len(key):
            sizes[path] = sizes.get(path, 0) + 1
        if path in sizes:
            path = (*path, sizes[path] - 1)
    return path


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0

    def skip_blank(self) -> bool:
        """Go past space, line ends and comments; return whether anything is left."""
        self._match(_BLANK)
        return self.at < len(self._text)

    def take(self, expected: str) -> bool:
        if not self._text.startswith(expected, self.at):
            return False
        self.at += len(expected)
        return True

    def key(self) -> tuple[str, ...]:
        self._match(_BLANK)
        names = [self._name()]
        while self._match(_DOT):
            names.append(self._name())
        return tuple(names)

    def pair(self, table: Keys) -> Iterator[tuple[Keys, int]]:
        start = self.at
        path = (*table, *self.key())
        yield path, start
        self._match(_BLANK)
        if not self.take("="):
            self.at = len(self._text)  # Nothing that tomllib would have let pass.
            return
        yield from self._value(path)

    def _name(self) -> str:
        if quoted := self._match(_STRING):
            with contextlib.suppress(tomllib.TOMLDecodeError):
                return str(tomllib.loads(f"key = {quoted}")["key"])
            return quoted
        return self._match(_BARE_KEY)

    def _value(self, path: Keys) -> Iterator[tuple[Keys, int]]:
        self._match(_BLANK)
        if self.take("["):
            yield from self._array(path)
        elif self.take("{"):
            while self.skip_blank() and not self.take("}"):
                yield from self.pair(path)
                self._match(_BLANK)
                self.take(",")
        elif not self._match(_STRING):
            self._match(_PLAIN_VALUE)

    def _array(self, path: Keys) -> Iterator[tuple[Keys, int]]:
        index = 0
        while self.skip_blank() and not self.take("]"):
            before = self.at
            yield (*path, index), before
            yield from self._value((*path, index))
            self._match(_BLANK)
            self.take(",")
            index += 1
            if self.at == before:
                self.at = len(self._text)  # Nothing that tomllib would have let pass.

    def _match(self, expression: re.Pattern[str]) -> str:
        found = expression.match(self._text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found[0]
