"""A descriptor that becomes readable when someone rings: wakes a selector from another thread."""

from __future__ import annotations

import socket
from contextlib import suppress


class Bell:
    """A pair of sockets, since Windows selects on nothing else."""

    def __init__(self) -> None:
        self._ear, self._rope = socket.socketpair()
        self._ear.setblocking(False)
        self._rope.setblocking(False)

    def fileno(self) -> int:
        return self._ear.fileno()

    def ring(self) -> None:
        with suppress(OSError):  # Full: it rings already. Closed: nobody listens.
            self._rope.send(b"\0")

    def silence(self) -> None:
        with suppress(BlockingIOError):
            while self._ear.recv(4096):
                pass

    def close(self) -> None:
        self._ear.close()
        self._rope.close()
