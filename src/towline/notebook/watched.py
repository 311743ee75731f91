"""A folder of this computer, watched by the kernel itself: the same without any laptop.

It sees what the watch sees: virtual environments, caches and repositories are left out.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from pathlib import Path

from towline.core.ignore import DEFAULT_SOURCE, Rules
from towline.disk.watch import ModeKind, Watch, open_watch
from towline.notebook.policy import Kind, Trouble
from towline.notebook.source import Answer, Source, Waiting, shown

TURN_S = 0.05


class Watched(Source):
    """Raises OSError if the folder cannot be watched."""

    def __init__(self, directory: str) -> None:
        root = os.path.realpath(directory)
        self.name = os.path.basename(root) or root
        self.roots = (root,)
        self._rules = Rules([DEFAULT_SOURCE])
        self._watch = self._open()
        self._is_gone = False
        self._is_lost = False  # What had been read when a wait was interrupted.
        self._until = 0.0
        self._process = os.getpid()

    @property
    def about(self) -> str:
        mode = self._watch.mode
        how = "" if mode.kind is ModeKind.NOTIFIED else f" ({mode.sentence})"
        return f"{shown(self.roots[0])}, watched here{how}"

    def begin(self, timeout_s: float) -> None:
        self._until = time.monotonic() + timeout_s

    def finish(self, waiting: Waiting) -> Answer:
        """Read until the watch has told of a cookie: nothing that came before it remains."""
        if os.getpid() != self._process:  # A fork: what it read would be lost to the other.
            return Answer(None)
        changed: set[str] = set()
        is_all, self._is_lost = self._is_lost, True
        try:
            if self._is_gone:
                self._watch.close()
                self._watch, self._is_gone, is_all = self._open(), False, True
            cookie = self._watch.place_cookie()
        except OSError as error:
            self._is_gone = True
            return Answer(None, trouble=Trouble(Kind.SLOW, f"{self.roots[0]}: {error.strerror}"))
        while True:
            seen = self._watch.read()
            changed |= seen.paths | seen.writing
            self._is_gone = self._is_gone or seen.root_gone
            if seen.rescan:
                self._watch.rewatch()
                is_all = True
            if cookie in seen.cookies:
                break
            if time.monotonic() >= self._until:
                reason = f"the watch on {self.name} does not keep up"
                return Answer(None, trouble=Trouble(Kind.SLOW, reason))
            self._wait_readable(TURN_S)
            waiting()
        self._is_lost = False
        return self._answer(changed, is_all)

    def peek(self) -> Answer:
        seen = self._watch.read()
        if seen.rescan:
            self._watch.rewatch()
        return self._answer({*seen.paths, *seen.writing}, seen.rescan)

    def wait(self, timeout_s: float) -> Answer:
        until = time.monotonic() + timeout_s
        while True:
            answer = self.peek()
            left_s = until - time.monotonic()
            if answer.changed != () or left_s <= 0:
                return answer
            self._wait_readable(left_s)

    def unwatched(self, paths: Sequence[str]) -> Sequence[str]:
        root = f"{self.roots[0]}/"
        return [
            path
            for path in paths
            if not path.startswith(root)
            or self._rules.ignores(path[len(root) :], False)
            or os.path.realpath(path) != path  # A link's target may change unseen.
        ]

    def close(self) -> None:
        self._watch.close()

    def _open(self) -> Watch:
        watch = open_watch(Path(self.roots[0]), lambda path: self._rules.ignores(path, True))
        watch.start()
        return watch

    def _answer(self, changed: set[str], is_all: bool) -> Answer:
        root = self.roots[0]
        return Answer(None if is_all else tuple(f"{root}/{path}" for path in sorted(changed)))

    def _wait_readable(self, longest_s: float) -> None:
        due = self._watch.deadline()
        if due is not None:
            longest_s = min(longest_s, max(0.0, due - time.monotonic()))
        select.select([self._watch.fileno()], [], [], longest_s)
