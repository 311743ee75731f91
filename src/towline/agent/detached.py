"""A process of a workspace that may go on by itself: one of each name, ended by that name.

It begins as a program of the laptop, reads what it is to do, and then either stays one or lets go
of the laptop. What it does is not known here.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from towline.agent.place import ensure_place


class Life:
    """This process, as the one of its name."""

    def __init__(self, held: int) -> None:
        self._held = held
        self._ready = -1
        self._sign()

    def detach(self) -> None:
        """Go on as a process of nobody's. Who started us ends when it is told that all is well;
        what goes wrong before is still said to them."""
        heard, self._ready = os.pipe()
        if os.fork():
            os.close(self._ready)
            os._exit(0 if os.read(heard, 1) else 1)
        os.close(heard)
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._sign()

    def _sign(self) -> None:
        os.ftruncate(self._held, 0)
        os.pwrite(self._held, str(os.getpid()).encode(), 0)

    def settle(self) -> None:
        """All is prepared. From now on it can be ended, and nobody needs to listen to it."""
        signal.signal(signal.SIGTERM, _leave)
        if self._ready < 0:
            return
        tell(running=os.getpid(), detached=True)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        os.close(nothing)
        os.write(self._ready, b"1")
        os.close(self._ready)


@contextmanager
def alone(workspace: str, name: str) -> Generator[Life | None, None, None]:
    """Be the only one of this name; None, and it is told, if one runs already."""
    held = _open(workspace, name)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        tell(running=_owner(held))
        yield None
    else:
        yield Life(held)


def end(workspace: str, name: str) -> int:
    """End the one of this name, if one runs, and tell which that was."""
    held = _open(workspace, name)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = _owner(held)
        if owner:
            os.kill(owner, signal.SIGTERM)
        tell(stopped=owner)
    else:
        tell(stopped=0)
    return 0


def tell(**told: object) -> None:
    """Say something to who started us: a line of JSON."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _open(workspace: str, name: str) -> int:
    place = ensure_place(workspace)
    return os.open(f"{place.directory}/{place.name}.{name}", os.O_RDWR | os.O_CREAT, 0o600)


def _owner(held: int) -> int:
    """Return its process, 0 where it has only just begun."""
    return int(os.pread(held, 32, 0) or 0)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
