"""Data goes to standard output, progress and messages to standard error.

Much of it was said by a machine: what a terminal would obey is shown, never sent.
"""

from __future__ import annotations

import io
import json
import re
import sys
from typing import Any

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters but tab and the end of a line, and those that turn text around."""


class ReaderGoneError(Exception):
    """Whoever read standard output has left, as `head` does. That ends a command, quietly."""


def data(line: str = "") -> None:
    """Print at once, so that who follows through a pipe sees it as it happens."""
    _write(_harmless(line))


def content(line: str) -> None:
    """Print what is in a file: as it is, but for a terminal."""
    _write(_harmless(line) if sys.stdout.isatty() else line)


def _write(line: str) -> None:
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise ReaderGoneError from error


def json_line(value: Any) -> None:
    data(json.dumps(value))


def say(line: str) -> None:
    sys.stderr.write(_harmless(line) + "\n")
    sys.stderr.flush()


def _harmless(text: str) -> str:
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def columns(rows: list[list[str]]) -> None:
    """Print rows as aligned columns; the last one is as long as it is."""
    if not rows:
        return
    rows = [[_harmless(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
        data("  ".join([*cells, row[-1]]))


def prepare() -> None:
    """A name that the terminal's encoding lacks is escaped; it does not end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
