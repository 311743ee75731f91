"""Where a kernel learns what has changed: the words that all kinds of source share.

A source knows folders and tells which paths in them changed since it was asked last. It reloads
nothing and decides nothing.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from towline.notebook.policy import Trouble

Waiting = Callable[[], None]
"""Called again and again while an answer is waited for; may raise, to give it up."""


@dataclass(frozen=True)
class Answer:
    """`changed`: absolute paths of files and folders; None if anything may have changed."""

    changed: tuple[str, ...] | None = ()
    revision: int | None = None  # None where there are none: without a laptop.
    trouble: Trouble | None = None
    whole: bool = True  # Whether no revision is here by half.


def shown(path: str) -> str:
    """Return a path as a person writes it."""
    home = os.path.expanduser("~")
    return f"~{path[len(home) :]}" if path.startswith(f"{home}/") else path


class Source(ABC):
    """One kernel's view of one or more folders. Use from one thread at a time."""

    name: str
    roots: tuple[str, ...]
    ends: tuple[float, str] | None = None  # In how many seconds the machine ends, and why.

    @property
    @abstractmethod
    def about(self) -> str:
        """One line for a person: what is kept in step with what."""

    @abstractmethod
    def begin(self, timeout_s: float) -> None:
        """Ask for all that was saved before now, without waiting for the answer."""

    @abstractmethod
    def finish(self, waiting: Waiting) -> Answer:
        """Return the answer to `begin`: within its time, or with what the trouble is."""

    @abstractmethod
    def peek(self) -> Answer:
        """Return what has changed since the last answer, without waiting for anybody."""

    @abstractmethod
    def wait(self, timeout_s: float) -> Answer:
        """Return once something has changed, or after `timeout_s`."""

    @abstractmethod
    def unwatched(self, paths: Sequence[str]) -> Sequence[str]:
        """Return those of these files whose changes are told by no answer."""

    @abstractmethod
    def close(self) -> None:
        """Let go of whatever is held."""
