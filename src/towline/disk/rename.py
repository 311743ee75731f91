"""Renames that replace nothing unseen: exchange two names, or take a free one.

Linux has them as renameat2, macOS as renameatx_np. Elsewhere, and on file systems without them,
they fail with an errno in `UNSUPPORTED`; what to do then is the caller's business.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable

UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})

_Rename = Callable[[int, bytes, int, bytes, int], int]


def _find() -> tuple[_Rename | None, int, int]:
    """Return the system's call with its flags for "no replace" and "exchange"."""
    name, no_replace, exchange = {
        "linux": ("renameat2", 1, 2),
        "darwin": ("renameatx_np", 4, 2),
    }.get(sys.platform, ("", 0, 0))
    if not name:
        return None, 0, 0
    function = getattr(ctypes.CDLL(None, use_errno=True), name, None)  # glibc < 2.28 has none.
    if function is None:
        return None, 0, 0
    unsigned = ctypes.c_uint
    function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, unsigned]
    function.restype = ctypes.c_int
    return function, no_replace, exchange


_function, _NO_REPLACE, _EXCHANGE = _find()


def exchange(source_fd: int, source: str, target_fd: int, target: str) -> None:
    """Swap two existing names in one step. Raises OSError."""
    _rename(source_fd, source, target_fd, target, _EXCHANGE)


def rename_to_free(source_fd: int, source: str, target_fd: int, target: str) -> None:
    """Rename `source` to `target`, which must not exist. Raises OSError."""
    _rename(source_fd, source, target_fd, target, _NO_REPLACE)


def _rename(source_fd: int, source: str, target_fd: int, target: str, flag: int) -> None:
    if _function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), target)
    if _function(source_fd, os.fsencode(source), target_fd, os.fsencode(target), flag):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), target)
