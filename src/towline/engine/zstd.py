"""One stream of zstd, as the laptop writes it. What the machine reads it with is its own affair."""

from __future__ import annotations

import sys

from towline.core.wire.packing import WINDOW_LOG

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 3  # Its authors' choice; a core does 300 MB a second of code.
_OPTIONS = {
    int(zstd.CompressionParameter.compression_level): LEVEL,
    int(zstd.CompressionParameter.window_log): WINDOW_LOG,
}


class Stream:
    def __init__(self) -> None:
        self._stream = zstd.ZstdCompressor(options=_OPTIONS)

    def compress(self, plain: bytes, *, more: bool) -> bytes:
        """Return all that stands for `plain`; without `more` the stream ends with it."""
        if more:
            return self._stream.compress(plain, zstd.ZstdCompressor.FLUSH_BLOCK)
        return self._stream.compress(plain, zstd.ZstdCompressor.FLUSH_FRAME)
