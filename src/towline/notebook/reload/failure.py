"""Turn an exception into a `Failure`: which line of the person's files is to blame."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Sequence

from towline.notebook.reload.finder import is_below
from towline.notebook.reload.report import Failure
from towline.notebook.reload.source import Source

_COMPILES_NOT = "does not compile"


def failure_of(error: BaseException, roots: Sequence[str], source: Source | None = None) -> Failure:
    """Return where and why; `source` is what was being compiled."""
    message = _message(error)
    if isinstance(error, SyntaxError) and (source is not None or error.filename):
        path = error.filename or (source.path if source is not None else "")
        text = (error.text or "").strip()
        return Failure(path, error.lineno or 0, error.offset or 0, text, message, _COMPILES_NOT)
    if source is not None:
        return Failure(source.path, 0, 0, "", message, _COMPILES_NOT)
    path, line, text = _place(error, roots)
    return Failure(path, line, 0, text, message, "raised")


def _message(error: BaseException) -> str:
    words = error.msg if isinstance(error, SyntaxError) else _text(error)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def _place(error: BaseException, roots: Sequence[str]) -> tuple[str, int, str]:
    """Return the innermost line of theirs that the exception went through."""
    best = ("", 0, "")
    for frame, line in traceback.walk_tb(error.__traceback__):
        path = frame.f_code.co_filename
        if is_below(path, roots):
            linecache.checkcache(path)
            best = (path, line, linecache.getline(path, line).strip())
    return best
