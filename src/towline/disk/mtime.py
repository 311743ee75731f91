"""The mtime a new file gets, so that Python sees that its source changed.

A `.pyc` is valid as long as whole-second mtime and size of the source are what it recorded: two
saves of equal size within one second run old code. So the whole second of a source always rises.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from towline.core.path import join, name_of, parent_of
from towline.disk.folder import Folder

MTIME_SUFFIXES = (".py", ".pyx", ".ipynb", ".so")
"""What Python, or a tool beside it, recompiles or reloads by mtime."""

_SECOND = 1_000_000_000
_PYC_HEADER = struct.Struct("<4sIII")  # Magic, flags (0: judged by mtime), mtime, size.
_PYC_COUNT_MAX = 64  # Interpreters times optimisation levels; bounds the work for one file.


def new_mtime(folder: Folder, path: str, old_ns: int | None, now_ns: int, bare: set[str]) -> int:
    """Return the mtime (ns) for new content at `path`, where a file of mtime `old_ns` stands.

    `bare` gathers the directories found to have no bytecode, which are not looked into again.
    """
    if not path.endswith(MTIME_SUFFIXES):
        return now_ns
    parent = parent_of(path)
    recorded = [] if parent in bare else list(_recorded_in_bytecode(folder, path, bare))
    if old_ns is not None:
        recorded.append(old_ns)
    return raised_above(recorded, now_ns)


def raised_above(recorded: list[int], now_ns: int) -> int:
    """Return `now_ns`, or the start of a second later than any of these mtimes."""
    return max([now_ns, *((mtime // _SECOND + 1) * _SECOND for mtime in recorded)])


def _recorded_in_bytecode(folder: Folder, path: str, bare: set[str]) -> Iterator[int]:
    """Yield the source mtimes in `__pycache__/NAME.*.pyc`: the source may have been away."""
    cache = join(parent_of(path), "__pycache__")
    stem = name_of(path).rpartition(".")[0] + "."
    try:
        found = folder.scan_directory(cache) if folder.may_be(cache) else None
    except FileNotFoundError:
        found = None
    except OSError:
        return
    if found is None:
        bare.add(parent_of(path))
        return
    names = [name for name, _ in found if name.startswith(stem) and name.endswith(".pyc")]
    for name in names[:_PYC_COUNT_MAX]:
        try:
            header = _read_header(folder, join(cache, name))
        except OSError:
            continue
        if len(header) == _PYC_HEADER.size:
            _, flags, mtime, _ = _PYC_HEADER.unpack(header)
            if flags == 0:
                yield mtime * _SECOND


def _read_header(folder: Folder, path: str) -> bytes:
    descriptor = folder.open(path)
    try:
        return folder.read(descriptor, _PYC_HEADER.size)
    finally:
        folder.close_file(descriptor)
