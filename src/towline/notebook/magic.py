"""`%towline`: what a person asks of the extension, one word and perhaps another."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from towline.notebook.policy import Policy, Trouble

if TYPE_CHECKING:
    from towline.notebook.extension import Extension

WHERE_SHOWN = 50

ABOUT_POLICY = {
    Policy.AUTO: "waits for the laptop while it is connected, and stops a cell that cannot be had "
    "in step in 2 s; while the laptop is away, or a file does not load, cells run and say on what",
    Policy.STRICT: "a cell that cannot be had in step is not run",
    Policy.WARN: "a cell that cannot be had in step runs, and says on what",
    Policy.OFF: "waits for nothing; loads what has arrived",
}


class Magic:
    """`%towline [WORD [ARGUMENT]]`

    status          what is kept in step, and what stands in the way (as without a word)
    why NAME        what happened to an object or a module, and when
    revision        the revision that this cell runs on
    where           which cell ran on which revision
    reload          look at every module's file anew
    policy [NAME]   auto, strict, warn or off
    on, off         have this before each cell, or not at all
    watch [DIR]     keep a folder of this computer in step, without a laptop
    use [NAME]      keep a workspace in step that is linked to this machine
    """

    def __init__(self, extension: Extension) -> None:
        self._extension = extension
        self._words: dict[str, Callable[[str], None]] = {
            "": self._status,
            "status": self._status,
            "why": self._why,
            "revision": self._revision,
            "where": self._where,
            "reload": self._reload,
            "policy": self._policy,
            "on": lambda _: self._switch(True),
            "off": lambda _: self._switch(False),
            "watch": extension.watch,
            "use": extension.use,
        }

    def line(self, line: str) -> None:
        word, _, argument = line.partition("#")[0].strip().partition(" ")
        act = self._words.get(word)
        if act is None:
            return _print(f"%towline {word}: no such word\n{Magic.__doc__}")
        return act(argument.strip())

    def _status(self, _: str) -> None:
        barrier, gate = self._extension.barrier, self._extension.gate
        if not barrier.projects:
            _print("nothing is kept in step here: %towline use, or %towline watch")
        troubles = barrier.troubles()
        for project in barrier.projects:
            revision = "" if project.revision is None else f"revision {project.revision} of "
            _print(f"{revision}{project.source.about}; {project.reloader.modules} modules watched")
        for trouble in troubles:
            _print(f"  {trouble.reason}{_since(trouble)}")
        state = barrier.policy.value if gate.is_on else "off: cells are not looked after"
        _print(f"policy {state}")

    def _why(self, name: str) -> None:
        for project in self._extension.barrier.projects:
            _print(project.reloader.why(name))

    def _revision(self, _: str) -> None:
        for project in self._extension.barrier.projects:
            _print(
                "no revisions without a laptop"
                if project.revision is None
                else f"{project.revision}"
            )

    def _where(self, _: str) -> None:
        for count, revisions in list(self._extension.gate.cells)[-WHERE_SHOWN:]:
            told = ", ".join(f"{name} {number}" for name, number in revisions if number is not None)
            _print(f"[{count}] {told or 'no revision'}")

    def _reload(self, _: str) -> None:
        barrier = self._extension.barrier
        for project in barrier.projects:
            project.reloader.note_all()
        verdict = barrier.before_cell(lambda: None)
        for line in (*verdict.lines, *filter(None, [verdict.why_not])):
            _print(line)

    def _policy(self, name: str) -> None:
        barrier = self._extension.barrier
        names = [policy.value for policy in Policy]
        if name and name not in names:
            return _print(f"no policy is called {name!r}; there are: {', '.join(names)}")
        if name:
            barrier.policy = Policy(name)
        return _print(f"policy {barrier.policy.value}: {ABOUT_POLICY[barrier.policy]}")

    def _switch(self, is_on: bool) -> None:
        self._extension.gate.is_on = is_on
        _print("on" if is_on else "off: cells run on whatever is loaded")


def _since(trouble: Trouble) -> str:
    if trouble.since is None:
        return ""
    return time.strftime(" since %H:%M:%S", time.localtime(trouble.since))


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201
