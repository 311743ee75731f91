"""One end of the agent's unix socket: buffers, their limits, and who is on the other side.

It knows bytes and lines; what they mean is the loop's business.
"""

from __future__ import annotations

import enum
import os
import socket
import struct
import sys

LINE_MAX = 64 << 10  # Bytes in one line of a local client: a request, never content.
READ_SIZE = 256 << 10  # Bytes at once: few system calls for bulk, no long stay at one client.
ANSWERS_MAX = 1 << 20  # Bytes a local client may leave unread before it is let go.
SEND_BUFFER = 64 << 10  # Bytes in the kernel: what lies there cannot be overtaken any more.


class Role(enum.Enum):
    UNKNOWN = "has not said its first line"
    ATTACHING = "will be the transport once its HELLO is whole"
    TRANSPORT = "carries the Line"
    LOCAL = "asks in JSON lines"


class LineTooLongError(Exception):
    """A local client sent a line beyond `LINE_MAX`."""


class Client:
    """A connected socket that never blocks."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.socket = sock
        self.role = Role.UNKNOWN
        self.incoming = bytearray()
        self.outgoing = bytearray()
        self.closed = False
        self.closes_when_sent = False

    def read(self) -> bytes | None:
        """Return what has arrived: b"" at the end of the stream, None if nothing has."""
        try:
            return self.socket.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def write(self) -> None:
        """Send what the socket takes of `outgoing`. Raises OSError when the peer is gone."""
        while self.outgoing:
            try:
                sent = self.socket.send(self.outgoing)
            except (BlockingIOError, InterruptedError):
                return
            del self.outgoing[:sent]

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
        self.closed = True
        self.socket.close()


def is_ours(sock: socket.socket) -> bool:
    """Whether the peer runs as our user. Elsewhere than on Linux the 0700 directory says so."""
    if sys.platform != "linux":
        return True
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return bool(user == os.getuid())
