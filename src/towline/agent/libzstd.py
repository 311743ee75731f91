"""Reading a stream of zstd by the system's library, through ctypes.

Only the part of its interface that is stable since 1.4 (2019), as zstd.h tells it. It compresses
nothing.
"""

from __future__ import annotations

import ctypes
import weakref
from ctypes import c_char, c_char_p, c_int, c_size_t, c_uint, c_void_p

from towline.core.wire.packing import WINDOW_LOG

_NAMES = ("libzstd.so.1", "libzstd.1.dylib")
_WINDOW_LOG_MAX = 100  # `ZSTD_d_windowLogMax`: bounds what a stream makes this end hold.


class _Buffer(ctypes.Structure):
    """`ZSTD_inBuffer`, and `ZSTD_outBuffer`."""

    _fields_ = (("start", c_void_p), ("size", c_size_t), ("at", c_size_t))


def load() -> ctypes.CDLL | None:
    """Return the library, None where there is none (or one from before 1.4)."""
    for name in _NAMES:
        try:
            library = ctypes.CDLL(name)
            _declare(library)
        except (OSError, AttributeError):
            continue
        return library
    return None


def _declare(library: ctypes.CDLL) -> None:
    """Raises `AttributeError` if something is missing."""
    buffer = ctypes.POINTER(_Buffer)
    for name, result, arguments in (
        ("ZSTD_createDCtx", c_void_p, ()),
        ("ZSTD_freeDCtx", c_size_t, (c_void_p,)),
        ("ZSTD_DCtx_setParameter", c_size_t, (c_void_p, c_int, c_int)),
        ("ZSTD_decompressStream", c_size_t, (c_void_p, buffer, buffer)),
        ("ZSTD_isError", c_uint, (c_size_t,)),
        ("ZSTD_getErrorName", c_char_p, (c_size_t,)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


class Stream:
    """`library` is what `load` has returned."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._context = library.ZSTD_createDCtx()
        if not self._context:
            raise MemoryError("zstd")
        weakref.finalize(self, library.ZSTD_freeDCtx, self._context)
        self._check(library.ZSTD_DCtx_setParameter(self._context, _WINDOW_LOG_MAX, WINDOW_LOG))
        self.has_ended = False

    def decompress(self, packed: bytes, size: int) -> bytes:
        """Return the `size` bytes that `packed` stands for. Raises `ValueError` if it does not."""
        plain = bytearray(size + 1)  # One more shows what would be too long.
        room = (c_char * len(plain)).from_buffer(plain)
        there = _Buffer(ctypes.addressof(room), len(plain), 0)
        here = _Buffer(ctypes.cast(c_char_p(packed), c_void_p), len(packed), 0)
        while not self.has_ended:
            before = here.at, there.at
            self._step(here, there)
            if (here.at, there.at) == before:
                break
        if there.at != size or here.at != len(packed):
            raise ValueError(f"it is not {size} bytes")
        return bytes(memoryview(plain)[:size])

    def _step(self, here: _Buffer, there: _Buffer) -> None:
        """Raises `ValueError` with what the library says."""
        left = self._library.ZSTD_decompressStream(
            self._context, ctypes.byref(there), ctypes.byref(here)
        )
        self._check(left)
        self.has_ended = left == 0

    def _check(self, result: int) -> None:
        if self._library.ZSTD_isError(result):
            raise ValueError(self._library.ZSTD_getErrorName(result).decode())
