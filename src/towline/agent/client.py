"""One end of the agent's unix socket: buffers, their limits, and who is on the other side.

It knows bytes and lines; what they mean is the loop's business. The transport's bytes do not pass
through the socket: `attach` hands over the descriptors that ssh gave it.
"""

from __future__ import annotations

import enum
import fcntl
import os
import selectors
import socket
import struct
import sys
import time
from contextlib import suppress

LINE_MAX = 64 << 10  # Bytes in one line of a local client: a request, never content.
READ_SIZE = 256 << 10  # Bytes at once: few system calls for bulk, no long stay at one client.
ANSWERS_MAX = 1 << 20  # Bytes a local client may leave unread before it is let go.
PIPE_SIZE = 256 << 10  # Bytes in each of ssh's pipes, where the system lets them hold so many.
SEND_BUFFER = 64 << 10  # Bytes in the kernel: what lies there cannot be overtaken any more.


class Role(enum.Enum):
    UNKNOWN = "has not said its first line"
    ATTACHING = "will be the transport once its HELLO is whole"
    TRANSPORT = "carries the Line"
    LOCAL = "asks in JSON lines"


class LineTooLongError(Exception):
    """A local client sent a line beyond `LINE_MAX`."""


class Client:
    """A connected socket that never blocks, or the two descriptors that it handed over."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.socket = sock
        self.source = self.target = sock.fileno()
        self.role = Role.UNKNOWN
        self.nonce = b""  # By which the laptop knows our first line, of one that attaches.
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.closed = False
        self.closes_when_sent = False

    @property
    def descriptors(self) -> set[int]:
        return {self.socket.fileno(), self.source, self.target}

    @property
    def has_taken_over(self) -> bool:
        """Whether bytes come and go on descriptors of their own; the socket then only ends."""
        return self.source != self.socket.fileno()

    def take_over(self) -> bool:
        """Read and write the descriptors that the other side sends, from now on.

        False: nothing has arrived yet. Raises OSError if it is not two descriptors.
        """
        try:
            data, descriptors, _, _ = socket.recv_fds(self.socket, 1, 2)
        except (BlockingIOError, InterruptedError):
            return False
        if len(descriptors) != 2:
            for descriptor in descriptors:
                os.close(descriptor)
            raise ConnectionError("no descriptors came" if data else "it ended")
        for descriptor in descriptors:
            os.set_blocking(descriptor, False)
            _widen(descriptor)
        self.source, self.target = descriptors
        return True

    def read(self) -> bytes | None:
        """Return what has arrived: b"" at the end of the stream, None if nothing has."""
        pieces: list[bytes] = []
        left = READ_SIZE  # A pipe gives 64 KiB at once: what follows is answered together.
        try:
            while left and (piece := os.read(self.source, left)):
                pieces.append(piece)
                left -= len(piece)
        except (BlockingIOError, InterruptedError):
            return b"".join(pieces) if pieces else None
        except OSError:
            pass  # As the end of the stream.
        return b"".join(pieces)

    def write(self) -> None:
        """Send what the other side takes of `outgoing`. Raises OSError when it is gone."""
        while self.outgoing:
            try:
                sent = os.write(self.target, self.outgoing)
            except (BlockingIOError, InterruptedError):
                return
            del self.outgoing[:sent]

    def send(self, data: bytes) -> None:
        """Send what the other side takes of `data`, after what waits; the rest waits, too.

        Raises OSError when it is gone.
        """
        sent = 0
        if not self.outgoing:  # So that most of it is not copied once more.
            with suppress(BlockingIOError, InterruptedError):
                sent = os.write(self.target, data)
        self.outgoing += memoryview(data)[sent:]

    def write_last(self, data: bytes, timeout_s: float) -> None:
        """Send all of `data`, waiting for it. Raises OSError, and TimeoutError among them."""
        self.outgoing += data
        ends_at = time.monotonic() + timeout_s
        with selectors.PollSelector() as selector:
            selector.register(self.target, selectors.EVENT_WRITE)
            while self.outgoing:
                if not selector.select(max(0.0, ends_at - time.monotonic())):
                    raise TimeoutError
                self.write()

    def take_line(self) -> bytes | None:
        """Return the next whole line without its end, or None. Raises `LineTooLongError`."""
        end = self.incoming.find(b"\n", 0, LINE_MAX + 1)
        if end < 0:
            if len(self.incoming) > LINE_MAX:
                raise LineTooLongError
            return None
        line = bytes(self.incoming[:end])
        del self.incoming[: end + 1]
        return line

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self.has_taken_over:
            os.close(self.source)
            os.close(self.target)
        self.socket.close()


def _widen(descriptor: int) -> None:
    """Let a pipe hold more: fewer turns for the same bytes. A socket, and a full system, refuse."""
    if sys.platform == "linux":
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_SIZE)


def is_ours(sock: socket.socket) -> bool:
    """Whether the peer runs as our user. Elsewhere than on Linux the 0700 directory says so."""
    if sys.platform != "linux":
        return True
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return bool(user == os.getuid())
