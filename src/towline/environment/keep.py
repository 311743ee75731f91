"""While a project is linked: what is installed on the machine is written down here, in time.

A machine that is gone says nothing any more, so the list must be on the laptop before. Blocking;
the engine runs it beside. It restores nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from towline.environment.file import LockFile
from towline.environment.lock import NAME, Json, is_empty, same
from towline.environment.machine import Asked, hold, watch

THEIRS = (
    f"{NAME} is not as towline wrote it, so it stays as it is; "
    "`towline env capture` writes what the machine has, `towline env restore` what the file says"
)
MISSING = (
    f"{NAME} lists what this machine does not have, so nothing is added to it; "
    "`towline env restore` puts it here, `towline env capture` writes what is here instead"
)


def keep(asked: Asked, file: LockFile, tell: Callable[[str], None]) -> None:
    """Write each change down until the machine is lost. Raises UserError then."""
    said = ""
    for captured in watch(asked):
        note, is_held = take_down(captured, file)
        if is_held and not captured["holds"]:
            hold(asked, captured)
        if note and note != said:
            tell(note)
        said = note or said


def take_down(captured: Json, file: LockFile) -> tuple[str, bool]:
    """Write down what was captured where that drops nothing; return a word on it.

    The second says whether the file now lists what this machine has.
    """
    lock = file.lock()
    if lock is None:
        if is_empty(captured):
            return "", True
    elif same(lock, captured):
        return "", True
    elif not captured["holds"]:
        return MISSING, False  # What it lists was not put back here: it is not gone, only missing.
    elif not file.is_ours():
        return THEIRS, False
    file.write(captured)
    return f"{NAME}: {summary(captured)}", True


def summary(lock: Json) -> str:
    """Say in one line how much there is beyond the image."""
    packages = {*lock["added"], *lock["changed"], *lock["urls"], *lock["editable"]}
    counts = (
        (len(packages), "package", "packages"),
        (len(lock["removed"]), "removed", "removed"),
        (len(lock["apt"]), "package of the system", "packages of the system"),
        (len(lock["variables"]), "variable", "variables"),
        (len(lock["dotfiles"]), "dotfile", "dotfiles"),
    )
    words = [f"{count} {one if count == 1 else more}" for count, one, more in counts if count]
    return f"{', '.join(words) or 'nothing'} beyond the image"
