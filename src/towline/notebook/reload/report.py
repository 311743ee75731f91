"""What one reload did: plain values, for whoever tells the person. Nothing here prints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """Why a set of changes was not taken over. All of it stays as it was until it changes."""

    path: str
    line: int  # 1-based; 0 where nothing points to a line.
    column: int  # 1-based; 0 where unknown.
    text: str  # The line itself, without its indentation.
    message: str  # "SyntaxError: invalid syntax"
    kind: str  # "does not compile" or "raised"


@dataclass(frozen=True)
class Left:
    """One thing that could not follow, by its full name: it still is as it was before."""

    name: str  # "pkg.mod.Thing"
    reason: str  # A few words: "deleted", "2 live objects made by the old __init__".
    next_step: str  # What to do about it: "re-create them".


@dataclass(frozen=True)
class Report:
    """The outcome of one `Reloader.reload`.

    A failure holds until its set of files changes; until then each report carries that same
    `Failure` object, so that `report.failure is last.failure` means "told already".
    """

    modules: tuple[str, ...] = ()  # Those that were changed, in the order of imports.
    failure: Failure | None = None
    left: tuple[Left, ...] = ()
    seconds: float = 0.0
