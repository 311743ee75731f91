"""What a person reads: one line a matter, the next step at its end. Nothing is printed here."""

from __future__ import annotations

import time

from towline.notebook.policy import Kind, Trouble
from towline.notebook.reload import Failure, Left

PREFIX = "towline: "
TO_GO_ON = "run it again, or `%towline policy warn` to run without waiting"


def running(revision: int | None) -> str:
    return "what is here" if revision is None else f"revision {revision}"


def stopped(trouble: Trouble) -> str:
    """Why a cell was not run."""
    return "\n".join((_stopped(trouble), *trouble.detail))


def _stopped(trouble: Trouble) -> str:
    if trouble.kind is Kind.AWAY:
        return f"{PREFIX}cell NOT run: {trouble.reason}{_since(trouble)} - {TO_GO_ON}"
    if trouble.kind is Kind.BROKEN:
        way = "save the cure, or `%towline policy warn` to run the old code"
        return f"{PREFIX}cell NOT run: {trouble.reason} - {way}"
    return f"{PREFIX}cell NOT run: {trouble.reason} - {TO_GO_ON}"


def went_on(trouble: Trouble, revision: int | None) -> str:
    """On what a cell runs that could not be had in step."""
    return "\n".join((_went_on(trouble, revision), *trouble.detail))


def _went_on(trouble: Trouble, revision: int | None) -> str:
    if trouble.kind is Kind.AWAY:
        return f"{PREFIX}{trouble.reason}{_since(trouble)}: running {running(revision)}"
    return f"{PREFIX}{trouble.reason} - still running {running(revision)}"


def ends(left_s: float, why: str) -> str:
    """That the machine ends soon."""
    when = f"ends in {left_s / 60:.0f} min" if left_s >= 90 else f"ends in {left_s:.0f} s"
    return f"{PREFIX}this machine {when if left_s else 'has ended'} ({why})"


def failed(failure: Failure, root: str, held_back: int) -> str:
    """The line that names a failure."""
    path = failure.path.removeprefix(f"{root}/")
    where = f"{path}:{failure.line}" if failure.line else path
    held = f" ({held_back} changed files held back)" if held_back > 1 else ""
    return f"{where}: {failure.message}{held}"


def shown(failure: Failure) -> tuple[str, ...]:
    """The line of code, and a caret below it."""
    if not failure.text:
        return ()
    caret = [" " * (failure.column - 1) + "^"] if failure.column else []
    return tuple(f"    {line}" for line in (failure.text, *caret))


def left(thing: Left) -> str:
    return f"{PREFIX}! {thing.name}: {thing.reason} - {thing.next_step}"


def _since(trouble: Trouble) -> str:
    if trouble.since is None:
        return ""
    return time.strftime(" since %H:%M:%S", time.localtime(trouble.since))
