"""What a supervisor is told while it runs: one pipe with a name, in the job's directory.

An order is a byte of kind, two of length, the content; short enough to be written in one piece, so
that orders of several writers never mix. Who is gone hears nothing, and the writer is told.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator

INPUT, SIZE, SIGNAL, CANCEL, DEADLINE = b"i", b"w", b"s", b"c", b"d"
HEADER = struct.Struct(">cH")
WINDOW = struct.Struct(">HH")  # Rows, columns.
CONTENT_MAX = 2048  # A pipe takes PIPE_BUF, 4096 on Linux, in one piece.


class NobodyError(Exception):
    """No supervisor listens."""


def order(kind: bytes, content: bytes = b"") -> bytes:
    return HEADER.pack(kind, len(content)) + content


def tell(path: str, told: bytes) -> None:
    """Write an order, waiting while the pipe is full. Raises NobodyError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            raise NobodyError from None
        raise
    try:
        os.set_blocking(descriptor, True)
        os.write(descriptor, told)
    except BrokenPipeError:
        raise NobodyError from None
    finally:
        os.close(descriptor)


class Orders:
    """Takes orders out of bytes as they come."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def put(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the orders that are whole. Raises ValueError for one of a length that cannot be."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            kind, size = HEADER.unpack_from(self._buffer)
            if size > CONTENT_MAX:
                raise ValueError(f"an order of {size} bytes")
            end = HEADER.size + size
            if len(self._buffer) < end:
                return
            content = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield kind, content
