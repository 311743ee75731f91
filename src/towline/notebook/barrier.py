"""The barrier of a kernel: before a cell, everything saved is here and loaded, or it is said.

All of it but IPython: what is asked of whom, what is loaded when, and what is decided about a
cell. One lock, since a kernel may run cells in several threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

from towline.core.deadline import Countdown, Deadline
from towline.notebook import words
from towline.notebook.callbacks import Callback, Callbacks
from towline.notebook.policy import Decision, Policy, Trouble, decide
from towline.notebook.project import Outcome, Project
from towline.notebook.source import Source, Waiting

TIMEOUT_S = 2.0  # How long a cell may wait for what was saved. A save takes one network delay.


@dataclass(frozen=True)
class Verdict:
    """`lines` are to be said; if the cell is not to run, `why_not` is."""

    lines: tuple[str, ...] = ()
    why_not: str = ""


class Barrier:
    def __init__(self, namespace: MutableMapping[str, object]) -> None:
        self.policy = Policy.AUTO
        self.timeout_s = TIMEOUT_S
        self.projects: list[Project] = []
        self.callbacks = Callbacks()
        self._namespace = namespace
        self._countdowns: dict[str, Countdown] = {}
        self._lock = threading.RLock()

    def add(self, source: Source) -> Project:
        """Keep one more project in step. One that is kept already is kept once."""
        with self._lock:
            for known in self.projects:
                if set(known.source.roots) & set(source.roots):
                    source.close()
                    return known
            project = Project(source, self._namespace, self.callbacks)
            self.projects.append(project)
            return project

    def close(self) -> None:
        with self._lock:
            for project in self.projects:
                project.close()
            self.projects.clear()

    def before_cell(self, waiting: Waiting) -> Verdict:
        """Have everything here and loaded. What `waiting` raises comes through."""
        with self._lock:
            if self.policy is Policy.OFF:
                outcomes = [project.take_what_is_here() for project in self.projects]
                return self._judge(outcomes)
            for project in self.projects:  # All at once: the slowest is what it takes.
                project.source.begin(self.timeout_s)
            outcomes = [project.take(waiting) for project in self.projects]
            return self._judge(outcomes)

    def after_cell(self, cell: str) -> None:
        """A cell is over; `cell` is its text if it ran to its end."""
        with self._lock:
            for project in self.projects:
                project.after_cell(cell)

    def in_between(self) -> Verdict:
        """For what runs without being a cell: load what has arrived, wait for nothing."""
        if not self._lock.acquire(blocking=False):  # A cell in another thread does it just now.
            return Verdict()
        try:
            outcomes = [project.take_what_is_here() for project in self.projects]
            return Verdict(tuple(line for outcome in outcomes for line in outcome.lines))
        finally:
            self._lock.release()

    def wait_for(self, path: str, timeout_s: float, waiting: Waiting) -> Path:
        """Return the file once all that is saved is here and it is among it.

        A relative path is one of the first project's. Raises TimeoutError, LookupError.
        """
        project, target = self._place_of(path)
        until = time.monotonic() + timeout_s
        reason = ""
        while True:
            with self._lock:
                left_s = max(0.0, until - time.monotonic())
                project.source.begin(min(left_s, self.timeout_s))
                answer = project.source.finish(waiting)
                project.absorb(answer)
                if target.exists():
                    return target
                if left_s > 0 or not reason:  # In no time at all nobody answers.
                    reason = answer.trouble.reason if answer.trouble else "nobody has saved it"
                if left_s <= 0:
                    raise TimeoutError(f"{path} is not here after {timeout_s:g} s: {reason}")
                project.absorb(project.source.wait(min(left_s, self.timeout_s)))

    def on_change(self, pattern: str, call: Callback) -> None:
        roots = [root for project in self.projects for root in project.source.roots]
        self.callbacks.add(pattern, call, roots)

    def modules(self) -> list[str]:
        """Return the names of all modules that are kept in step."""
        return [name for project in self.projects for name in project.reloader.names]

    def revision(self, name: str = "") -> int | None:
        """Return the revision that the present cell runs on."""
        for project in self.projects:
            if name in ("", project.name):
                return project.revision
        return None

    def _place_of(self, path: str) -> tuple[Project, Path]:
        for project in self.projects:
            for root in project.source.roots:
                target = Path(root, path)
                if Path(root) in target.parents and ".." not in target.parts:
                    return project, target
        raise LookupError(f"{path} is in no project that is kept in step here")

    def _judge(self, outcomes: list[Outcome]) -> Verdict:
        lines = [line for outcome in outcomes for line in outcome.lines]
        for project, outcome in zip(self.projects, outcomes, strict=True):
            for trouble in outcome.troubles:
                decision = decide(self.policy, trouble)
                if decision is Decision.STOP:
                    return Verdict(tuple(lines), words.stopped(trouble))
                if decision is Decision.SAY:
                    lines.insert(0, words.went_on(trouble, project.revision))
        called = [f"{words.PREFIX}! {line}" for line in self.callbacks.call_due()]
        return Verdict((*lines, *called, *self._warnings()))

    def _warnings(self) -> list[str]:
        """Return what is to be said of machines that end soon: each warning once."""
        lines: list[str] = []
        for project in self.projects:
            if project.source.ends is not None:
                (left_s, why), now = project.source.ends, time.monotonic()
                countdown = self._countdowns.setdefault(project.name, Countdown())
                countdown.set(Deadline(now + left_s, why))
                if countdown.due(now):
                    lines.append(words.ends(left_s, why))
        return lines

    def troubles(self) -> list[Trouble]:
        """Return what stands in the way now, without waiting."""
        with self._lock:
            answers = [project.source.peek() for project in self.projects]
            for project, answer in zip(self.projects, answers, strict=True):
                project.absorb(answer)
            return [answer.trouble for answer in answers if answer.trouble is not None]
