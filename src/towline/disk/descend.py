"""From a directory's descriptor down to one below it, following no link on the way.

Linux does that in one system call (openat2, from 5.6 on); elsewhere it is one for each name. Both
refuse a link with an OSError: a directory replaced by a link cannot lead out of the root.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
DIRECTORY = getattr(os, "O_DIRECTORY", 0) | _NO_FOLLOW
WALK = DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY)

_OPENAT2 = 437  # The number on every architecture but alpha.
_RESOLVE = 0x04 | 0x08  # RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH.
_MISSING = (errno.ENOSYS, errno.EPERM)  # An old kernel, or a sandbox that does not know the call.
# A link, or a rename meanwhile: what that means is for the walk to say, as it does everywhere.
_DOUBTFUL = (errno.ELOOP, errno.EXDEV, errno.EAGAIN, errno.EINTR)

_Call = Callable[[int, int, bytes, object, int], int]


class _How(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def _find() -> _Call | None:
    if sys.platform != "linux" or os.uname().machine == "alpha":
        return None
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    pointer, size = ctypes.POINTER(_How), ctypes.c_size_t
    call.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_char_p, pointer, size]
    return call


def descend(directory: int, path: str, flags: int) -> int:
    """Open `path`, relative to `directory`, with `flags`. Raises OSError."""
    global _call
    if _call is None or "/" not in path:
        return _walk(directory, path, flags)
    how = _HOW.get(flags)
    if how is None:
        how = _HOW[flags] = _How(flags, 0, _RESOLVE)
    found = _call(_OPENAT2, directory, os.fsencode(path), how, ctypes.sizeof(_How))
    if found >= 0:
        return found
    code = ctypes.get_errno()
    if code in _MISSING:
        _call = None
    elif code not in _DOUBTFUL:
        raise OSError(code, os.strerror(code), path)
    return _walk(directory, path, flags)


def _walk(directory: int, path: str, flags: int) -> int:
    descriptor = directory
    *names, last = path.split("/")
    for name, how in (*((name, WALK) for name in names), (last, flags)):
        try:
            below = os.open(name, how, dir_fd=descriptor)
        finally:
            if descriptor != directory:
                os.close(descriptor)
        descriptor = below
    return descriptor


_HOW: dict[int, _How] = {}
_call = _find()
