"""What the C library does with blocks that content passes through. It knows nothing of content.

Content moves in pieces of 16 KiB to some megabytes, each freed milliseconds after it was made. The
GNU C library returns such blocks to the system at once and asks for them again at the next piece,
a page at a time: that took half the processor time of a stream (ADR 0120). It also gives each
thread a heap of its own, and what one has freed no other uses again, though only one of them runs
Python at a time (ADR 0136). Elsewhere nothing is done.
"""

from __future__ import annotations

import ctypes
import sys

BLOCK_MAX = 1 << 20  # Bytes. What is larger is rare, and is returned at once, as before.
FREE_MAX = 4 << 20  # Bytes kept at the heap's end for the next piece: some pieces each way.

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def keep_blocks() -> None:
    """Let what is freed be used again. Once in a process is enough; none is inherited."""
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, 1)
            mallopt(_M_MMAP_THRESHOLD, BLOCK_MAX)
            mallopt(_M_TRIM_THRESHOLD, FREE_MAX)
