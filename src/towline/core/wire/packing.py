"""How what follows a message's prefix is compressed, and back, within a bound.

By zlib each message by itself, which every Python can. Or, where both ends have zstd, as a stream
that goes on over the messages of a channel: what one of them said, the next need not say again.
Which library brings zstd is the affair of the ends, and so is whether the line is slow enough.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Protocol

from towline.core.wire.frames import ProtocolError

ZLIB = 0x80  # Flags, in a message's first byte. This one: by itself, by zlib.
STREAM = 0x40  # Part of the channel's stream of zstd.
FRESH = 0x20  # And the first one of a new stream; the one before, if any, is over.
FLAGS = ZLIB | STREAM | FRESH
PLAIN_MAX = 4 << 20  # Bytes of a message once decompressed: bounds what a bomb can cost.
WINDOW_LOG = 21  # 2 MiB: as far back as a stream refers, and what both ends hold for it.
COMPRESS_MIN = 512  # Bytes. Below this, compression saves nothing worth its time.
LEVEL = 4  # Of code a seventh less than level 1 leaves, for half as much time again.
_SIZE = struct.Struct(">I")  # Of what a part of a stream stands for; the part follows.
_SAMPLED_MIN = 64 << 10  # Bytes; of more than that a sample tells whether it is worth the time.
_SAMPLES = 4  # Places that are looked at.
_SAMPLE_SIZE = 4 << 10  # Bytes at each.
_SAMPLE_SHRINKS = 0.97  # To less than this part of itself: else nothing is to be gained.

Packed = tuple[int, bytes]  # Flags, and what stands for the plain bytes.


class Compressor(Protocol):
    """One stream of zstd, with a window of WINDOW_LOG at most."""

    def compress(self, plain: bytes, *, more: bool) -> bytes:
        """Return all that stands for `plain`; without `more` the stream ends with it."""
        ...


class Decompressor(Protocol):
    """The other end of such a stream."""

    @property
    def has_ended(self) -> bool: ...

    def decompress(self, packed: bytes, size: int) -> bytes:
        """Return the `size` bytes that `packed` stands for. Raises `ValueError` if it does not."""
        ...


class Packer:
    """Compresses the messages of one channel, as a stream where `open_stream` makes one."""

    def __init__(self, open_stream: Callable[[], Compressor] | None = None) -> None:
        self._open_stream = open_stream
        self._stream: Compressor | None = None

    def pack(self, plain: bytes, *, more: bool = False) -> Packed | None:
        """Return less than `plain` that stands for it; None where that cannot be had, or not soon.

        What is returned has to be sent, in this order, or `reset` to be called. `more`: something
        follows soon, and may refer to this one.
        """
        if not _is_compressible(plain):
            packed = None
        elif self._open_stream is None:
            packed = _compressed(plain)
        else:
            packed = self._streamed(plain, self._open_stream, more=more)
        if not more:
            self._stream = None
        return packed

    def reset(self) -> None:
        """What was packed last is not sent: a new stream begins with the next one."""
        self._stream = None

    def _streamed(
        self, plain: bytes, open_stream: Callable[[], Compressor], *, more: bool
    ) -> Packed:
        flags = STREAM
        if self._stream is None:
            self._stream = open_stream()
            flags |= FRESH
        return flags, _SIZE.pack(len(plain)) + self._stream.compress(plain, more=more)


class Unpacker:
    """Gives back what a `Packer` has packed; `open_stream` is None where this end has no zstd."""

    def __init__(self, open_stream: Callable[[], Decompressor] | None = None) -> None:
        self._open_stream = open_stream
        self._stream: Decompressor | None = None

    def unpack(self, flags: int, packed: memoryview) -> bytes:
        """Return the plain bytes. Raises `ProtocolError` for what no packer makes."""
        if flags == ZLIB:
            return decompressed(packed)
        if flags & ZLIB or not flags & STREAM or self._open_stream is None:
            raise ProtocolError(f"message is compressed in a way not agreed on: {flags:#x}")
        if flags & FRESH:
            self._stream = self._open_stream()
        if self._stream is None:
            raise ProtocolError("message goes on with a stream that never began")
        plain = _next_of(self._stream, packed)
        if self._stream.has_ended:
            self._stream = None
        return plain


def unpacked(flags: int, packed: memoryview) -> bytes:
    """Return what a packer without streams has packed. Raises `ProtocolError`."""
    return Unpacker().unpack(flags, packed)


def _compressed(plain: bytes) -> Packed | None:
    """Return it by itself, by zlib; None if that is no less."""
    packed = zlib.compress(plain, LEVEL)
    return (ZLIB, packed) if len(packed) < len(plain) else None


def decompressed(packed: memoryview) -> bytes:
    """Raises `ProtocolError` for anything but the whole of at most PLAIN_MAX bytes."""
    decompressor = zlib.decompressobj()
    try:
        plain = decompressor.decompress(packed, PLAIN_MAX)
    except zlib.error as error:
        raise ProtocolError(f"message does not decompress: {error}") from None
    if decompressor.unconsumed_tail or not decompressor.eof or decompressor.unused_data:
        raise ProtocolError(f"message exceeds {PLAIN_MAX} bytes or is cut short")
    return plain


def _next_of(stream: Decompressor, packed: memoryview) -> bytes:
    if len(packed) < _SIZE.size:
        raise ProtocolError("message is shorter than its size")
    (size,) = _SIZE.unpack_from(packed)
    if size > PLAIN_MAX:
        raise ProtocolError(f"message exceeds {PLAIN_MAX} bytes or is cut short")
    try:
        return stream.decompress(bytes(packed[_SIZE.size :]), size)
    except ValueError as error:
        raise ProtocolError(f"message does not decompress: {error}") from None


def _is_compressible(plain: bytes) -> bool:
    """Whether it is large enough, and a sample shrinks.

    On what is compressed already zlib works for ten times as long.
    """
    if len(plain) < _SAMPLED_MIN:
        return len(plain) >= COMPRESS_MIN
    step = len(plain) // _SAMPLES
    places = range(0, step * _SAMPLES, step)
    sample = b"".join(plain[at : at + _SAMPLE_SIZE] for at in places)
    return len(zlib.compress(sample, 1)) < len(sample) * _SAMPLE_SHRINKS
