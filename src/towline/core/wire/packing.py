"""How messages are compressed: whether it is worth the time, how hard, and back, within a bound.

zlib is what every Python has. Whether the line is slow enough for it is decided by who sends.
"""

from __future__ import annotations

import zlib

from towline.core.wire.frames import ProtocolError

PLAIN_MAX = 4 << 20  # Bytes of a message once decompressed: bounds what a bomb can cost.
COMPRESS_MIN = 512  # Bytes. Below this, compression saves nothing worth its time.
LEVEL = 4  # Of code a seventh less than level 1 leaves, for half as much time again.
_SAMPLED_MIN = 64 << 10  # Bytes; of more than that a sample tells whether it is worth the time.
_SAMPLES = 4  # Places that are looked at.
_SAMPLE_SIZE = 4 << 10  # Bytes at each.
_SAMPLE_SHRINKS = 0.97  # To less than this part of itself: else nothing is to be gained.


def compressed(plain: bytes) -> bytes | None:
    """Return less than `plain` that stands for it; None where that cannot be had, or not soon."""
    if len(plain) < COMPRESS_MIN or not _is_compressible(plain):
        return None
    packed = zlib.compress(plain, LEVEL)
    return packed if len(packed) < len(plain) else None


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


def _is_compressible(plain: bytes) -> bool:
    """Whether a sample is. On what is compressed already zlib works for ten times as long."""
    if len(plain) < _SAMPLED_MIN:
        return True
    step = len(plain) // _SAMPLES
    places = range(0, step * _SAMPLES, step)
    sample = b"".join(plain[at : at + _SAMPLE_SIZE] for at in places)
    return len(zlib.compress(sample, 1)) < len(sample) * _SAMPLE_SHRINKS
