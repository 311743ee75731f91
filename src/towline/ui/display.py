"""What every display is, and which one fits: a terminal, a pipe, or a program that reads JSON."""

from __future__ import annotations

import os
import sys
from typing import Protocol

from towline.engine.events import Event, Status


class Display(Protocol):
    """Shows events and statuses as they come, from `with` to its end."""

    def __enter__(self) -> object: ...

    def __exit__(self, *exc: object) -> None: ...

    def __call__(self, item: Event | Status) -> None: ...


class UntilGone:
    """Shows to somebody who may leave, which is then no error: a background engine's parent."""

    def __init__(self, display: Display) -> None:
        self._display: Display | None = display

    def __enter__(self) -> UntilGone:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def __call__(self, item: Event | Status) -> None:
        if self._display is None:
            return
        try:
            self._display(item)
        except OSError:
            self._display = None
            _silence_stdout()


def display_for(*, as_json: bool, no_color: bool) -> Display:
    """Return what fits. Progress goes to standard error, JSON to standard output."""
    if as_json:
        from towline.ui.jsonl import Jsonl

        return Jsonl(sys.stdout)
    if sys.stderr.isatty():
        from rich.console import Console

        from towline.ui.live import Live

        return Live(Console(stderr=True, no_color=no_color or None, highlight=False))
    from towline.ui.plain import Plain

    return Plain(sys.stderr)


def _silence_stdout() -> None:
    """What is still buffered must not complain when the process ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
