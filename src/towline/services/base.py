"""The seam for programs with a page: what one is told of the machine, what it answers.

A service decides, and does nothing: it says what to look for, how to install what is missing, and
how to start it. `serving` carries that out, and the agent keeps the program running.
"""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

READY_S = 60.0  # A first start on a cold, slow disk; a warm one takes two seconds.


@dataclass(frozen=True, slots=True)
class Found:
    """What is on the machine, as its agent says."""

    programs: Mapping[str, str]  # Only those that are there.
    python: str  # That of the person's environment; empty if there is none.
    modules: Mapping[str, bool]  # Whether that Python can import them.
    path: str
    home: str


@dataclass(frozen=True, slots=True)
class Start:
    """How to start a program; placeholders as in `agent.service`. `notes` are for the person."""

    argv: Sequence[str]
    ready: str  # A page that it answers as soon as it answers any.
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    secrets: Sequence[str] = ()
    notes: Sequence[str] = ()
    before: Sequence[Sequence[str]] = ()  # Commands to run first; one that fails is only told.


class Service(ABC):
    """A kind of program. It is given the settings it needs when it is made."""

    name: str  # In commands, and of its directory there.
    title: str  # For a person.
    programs: Sequence[str]
    modules: Sequence[str] = ()
    secret: str  # What is asked for at its door.
    kept: Sequence[str] = ()  # Files that the laptop keeps, for the next machine.

    @property
    def own(self) -> str:
        """Where it is installed if it is not there."""
        return f"~/.local/share/towline/{self.name}"

    @abstractmethod
    def program(self, found: Found) -> str:
        """Return the program to start, empty if it must be installed. Raises `UserError`."""

    @abstractmethod
    def install(self, found: Found) -> str:
        """Return a script for sh that installs it into `own`. Raises `UserError`."""

    @abstractmethod
    def start(self, found: Found, program: str, folder: str) -> Start:
        """Say how to start it in the project's folder."""

    @abstractmethod
    def url(self, port: int, secret: str) -> str:
        """Where its page is, on this computer's loopback."""

    @abstractmethod
    def public_url(self, base: str, secret: str) -> str:
        """Where its page is, below an address that everybody can reach."""

    @abstractmethod
    def door(self, port: int, secret: str) -> str:
        """Return a page of HTML that leads to it and lets in: a URL would stand in an argv."""


def for_shell(path: str) -> str:
    """Quote a path for sh; a leading ~ is still the home."""
    if path.startswith("~/"):
        return f'"$HOME"/{shlex.quote(path[2:])}'
    return shlex.quote(path)
