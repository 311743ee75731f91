"""What a machine is given beside the files when it is new: one list of steps, each on its own.

Each step looks first whether there is anything to do, so they run whenever a machine is reached for
the first time in a life of the engine or of the agent. What one cannot do keeps none of the others
from trying, and is told at the end. The files themselves are the engine's, and go meanwhile.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from towline.control import ask
from towline.environment.file import LockFile
from towline.environment.keep import summary
from towline.environment.lock import NAME, Json, is_empty
from towline.environment.machine import Asked, capture, hold, restore
from towline.errors import ExitCode, UserError
from towline.git.here import Repository
from towline.git.setup import set_up, was_set_up
from towline.git.there import Far
from towline.jobs import resume, to_resume
from towline.jobs.kept import all_kept
from towline.served import take_gone

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step put back, in words, and what it could not, with the reason."""

    restored: str
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """`run` returns None if there is nothing to put back. It blocks, and may raise UserError."""

    name: str
    run: Callable[[Asked, Tell], Outcome | None]
    needs_files: bool = True  # It begins when the project's files are there.


@dataclass(frozen=True, slots=True)
class Done:
    """A step that had something to do."""

    step: str
    seconds: float
    outcome: Outcome


def carry_out(step: Step, asked: Asked, tell: Tell) -> Done | None:
    """Run a step; what stops it is part of its outcome."""
    began = time.monotonic()
    try:
        outcome = step.run(asked, tell)
    except UserError as error:
        outcome = Outcome("", (f"{step.name}: {error.message}",))
    if outcome is None:
        return None
    return Done(step.name, round(time.monotonic() - began, 3), outcome)


def put_back_packages(asked: Asked, tell: Tell) -> Outcome | None:
    """Packages and all else of the environment that needs no file of the project."""
    lock = _due(asked)
    if lock is None:
        return None
    file = LockFile(asked.binding.project)
    if not file.is_ours():
        return Outcome("", (f"{NAME} came from elsewhere: `towline env restore` installs it",))
    tell(f"{NAME}: {summary(lock)}")
    return restored(asked, {**lock, "editable": {}}, lock)


def put_back_editable(asked: Asked, tell: Tell) -> Outcome | None:
    """Packages that are folders of the project, which must be there first."""
    lock = _due(asked)
    if lock is None or not lock["editable"] or not LockFile(asked.binding.project).is_ours():
        return None
    nothing = {key: type(value)() for key, value in lock.items()}
    return restored(asked, {**nothing, "editable": lock["editable"]}, lock)


def put_back_repository(asked: Asked, tell: Tell) -> Outcome | None:
    project = asked.binding.project
    if not (project / ".git").exists():
        return None
    if not was_set_up(Repository(project)) or Far(asked.binding).look() is not None:
        return None
    result = set_up(asked.binding)
    left = [f"{path}: `git status` differs there" for path in result.differences]
    return Outcome(result.point.shown(), tuple(left))


def resume_jobs(asked: Asked, tell: Tell) -> Outcome | None:
    """Jobs that are to begin again where the last machine left them."""
    kept = to_resume(asked.binding) if all_kept(asked.binding) else []
    if not kept:
        return None
    revision = int(ask(asked.binding, "status")["revision"])
    begun, left = 0, list[str]()
    for one in kept:
        try:
            resume(asked.binding, one, revision)
            begun += 1
        except UserError as error:
            left.append(f"{one.asked.name or one.asked.argv[0]}: {error.message}")
    words = f"{begun} job{'' if begun == 1 else 's'} begun again" if begun else ""
    return Outcome(words, tuple(left))


def tell_services(asked: Asked, tell: Tell) -> Outcome | None:
    """Programs with a page: a person starts them, for to install one may take minutes."""
    gone = take_gone(asked.binding)
    if not gone:
        return None
    left = [f"{title} was running: `towline {name}`" for name, title in gone.items()]
    return Outcome("", tuple(left))


STEPS: tuple[Step, ...] = (
    Step("environment", put_back_packages, needs_files=False),
    Step("editable packages", put_back_editable),
    Step("git", put_back_repository),
    Step("jobs", resume_jobs),
    Step("services", tell_services),
)
"""In this order: the first cell needs the packages, all else can follow."""


def restored(asked: Asked, lock: Json, whole: Json) -> Outcome:
    """Put back what a lock lists, and compare with what is there then. Raises UserError.

    Once the `whole` of the file is there, the machine is noted to hold it, and only then: what it
    has from there on is written down, and what is missing would be dropped from the list.
    """
    last = deque(restore(asked, lock), maxlen=1)
    if not last or "now" not in last[0]:
        raise UserError("the machine's answer is not understood", "", ExitCode.BAD_DATA)
    end = last[0]
    told = end.get("left")
    known = cast("Json", told) if isinstance(told, dict) else Json()
    left = {**known, **differences(lock, end["now"], known)}
    if not differences(whole, end["now"], {}):
        hold(asked, end["now"])
    words = tuple(f"{name}: {reason}" for name, reason in sorted(left.items()))
    return Outcome(f"{summary(lock)}, by {end.get('installer')}", words)


def differences(lock: Json, now: Json, known: Json) -> dict[str, str]:
    """Return by name how a machine is not as a lock says, but for what is `known`."""
    return {name: how for name, how in _differences(lock, now) if name not in known}


def compared(lock: Json, now: Json) -> dict[str, str]:
    """Return by name how a machine and a lock are not alike, both ways."""
    found = dict(_differences(lock, now))
    wanted, there = _versions(lock), _versions(now)
    found.update({name: f"is there, {there[name]}" for name in there if name not in wanted})
    found.update({name: "was removed" for name in now["removed"] if name not in lock["removed"]})
    found.update({name: "is there" for name in now["apt"] if name not in lock["apt"]})
    for kind in ("variables", "dotfiles"):
        names = lock[kind].keys() | now[kind].keys()
        unlike = [name for name in names if lock[kind].get(name) != now[kind].get(name)]
        found.update(dict.fromkeys(unlike, "is not the same"))
    return dict(sorted(found.items()))


def _differences(lock: Json, now: Json) -> Iterator[tuple[str, str]]:
    wanted, there = _versions(lock), _versions(now)
    for name in sorted(wanted):
        if name not in there:
            yield name, f"is not there, was {wanted[name]}"
        elif there[name] != wanted[name]:
            yield name, f"is {there[name]}, was {wanted[name]}"
    for name in sorted({*lock["removed"]} - {*now["removed"]}):
        yield name, "is there, was removed"
    for name in sorted({*lock["apt"]} - {*now["apt"]}):
        yield name, "is not there"


def _versions(lock: Json) -> dict[str, str]:
    changed = {name: two["now"] for name, two in lock["changed"].items()}
    return {**lock["added"], **changed, **lock["urls"], **lock["editable"]}


def _due(asked: Asked) -> Json | None:
    """Return what the file lists if this machine was not given it yet."""
    lock = LockFile(asked.binding.project).lock()
    if lock is None or is_empty(lock) or capture(asked)["holds"]:
        return None
    return lock
