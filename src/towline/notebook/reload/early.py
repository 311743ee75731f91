"""Modules that were imported before we were here: the text that each of them runs, if it is known.

Their file may have been saved since. What tells of it is what a reloader before this one knew, the
bytecode that the import left behind, and the functions that are alive. Nothing is run here.
"""

from __future__ import annotations

import os
import sys
from importlib.util import MAGIC_NUMBER, cache_from_source
from types import ModuleType
from weakref import WeakKeyDictionary

from towline.notebook.reload.reach import functions_of
from towline.notebook.reload.source import index_codes

_PYC_HEAD = 16  # Bytes: a magic number, flags, the source's mtime and size.
_WORD = 0xFFFFFFFF

_known: WeakKeyDictionary[ModuleType, bytes] = WeakKeyDictionary()
"""What modules run, by reloaders that were closed, too."""


def keep_text(module: ModuleType, text: bytes) -> None:
    """Say what a module runs: the next reloader is not to guess."""
    _known[module] = text


def text_of(module: ModuleType, path: str, now: bytes) -> bytes | None:
    """Return the text that a module runs; None if it is lost, and not the file's, `now`."""
    if module in _known:
        return _known[module]
    if _is_bytecode_older(path) or _runs_other_functions(module, path, now):
        return None
    return now


def _is_bytecode_older(path: str) -> bool:
    """Whether the import, which writes bytecode, was of another text than the file's."""
    if sys.dont_write_bytecode:
        return False
    try:
        cached = cache_from_source(path)
        with open(cached, "rb") as file:
            head = file.read(_PYC_HEAD)
        status = os.stat(path)
    except (OSError, NotImplementedError):  # Not there, or of a Python that keeps none.
        return False
    words = [int.from_bytes(head[at : at + 4], "little") for at in range(4, _PYC_HEAD, 4)]
    if head[:4] != MAGIC_NUMBER or words[0] or not os.access(os.path.dirname(cached), os.W_OK):
        return False  # No import has written it, or none could.
    return words[1:] != [int(status.st_mtime) & _WORD, status.st_size & _WORD]


def _runs_other_functions(module: ModuleType, path: str, now: bytes) -> bool:
    alive = [one.__code__ for one in functions_of(module) if one.__code__.co_filename == path]
    try:
        codes = index_codes(compile(now, path, "exec", dont_inherit=True))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    return any(codes.get((code.co_name, code.co_firstlineno)) != code for code in alive)
