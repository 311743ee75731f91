"""Data goes to standard output, progress and messages to standard error."""

from __future__ import annotations

import io
import json
import sys
from typing import Any


class ReaderGoneError(Exception):
    """Whoever read standard output has left, as `head` does. That ends a command, quietly."""


def data(line: str = "") -> None:
    """Print at once, so that who follows through a pipe sees it as it happens."""
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise ReaderGoneError from error


def json_line(value: Any) -> None:
    data(json.dumps(value))


def say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def columns(rows: list[list[str]]) -> None:
    """Print rows as aligned columns; the last one is as long as it is."""
    if not rows:
        return
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths[:-1], strict=True)]
        data("  ".join([*cells, row[-1]]))


def prepare() -> None:
    """A name that the terminal's encoding lacks is escaped; it does not end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
