"""Whether this machine reads a stream of zstd. Nothing is installed for it.

The package managers of Debian, Red Hat and Arch are linked with zstd's library. A machine without
it, or whose Python was built without ctypes, is sent zlib.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from towline.core.wire.packing import Decompressor


@cache
def find() -> Callable[[], Decompressor] | None:
    """Return what opens a stream; None where there is no zstd."""
    try:
        from towline.agent.libzstd import Stream, load
    except ImportError:
        return None
    library = load()
    return None if library is None else lambda: Stream(library)
