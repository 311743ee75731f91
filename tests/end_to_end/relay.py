"""A TCP port that passes everything on to another one, counts it, and can be cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress

READ_SIZE = 256 << 10


class Relay:
    """`up` and `down` are bytes passed on to the target and back from it, so far."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.up = 0
        self.down = 0
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def cut(self) -> None:
        """End every connection that there is now."""
        for sock in list(self._open):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._open |= {near, far}
            for source, sink, name in ((near, far, "up"), (far, near, "down")):
                thread = threading.Thread(target=self._pass_on, args=(source, sink, name))
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, name: str) -> None:
        with suppress(OSError):
            while data := source.recv(READ_SIZE):
                sink.sendall(data)
                setattr(self, name, getattr(self, name) + len(data))
        for sock in (source, sink):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._open.discard(source)
        if sink not in self._open:  # The other way has ended, too.
            source.close()
            sink.close()


@contextmanager
def relay_to(address: str, port: int) -> Generator[Relay]:
    relay = Relay((address, port))
    try:
        yield relay
    finally:
        relay.close()
