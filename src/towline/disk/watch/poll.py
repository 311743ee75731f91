"""A watch that asks no favours of the system: it looks over the whole root again and again."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from towline.disk.watch.base import Clock, Found, Mode, ModeKind, Seen, Skip, Statistics, Watch
from towline.disk.watch.bell import Bell
from towline.disk.watch.cookie import Cookies
from towline.disk.watch.directories import Directories
from towline.disk.watch.git_lock import GitLock
from towline.disk.watch.mode import SILENT
from towline.disk.watch.poller import Looked, Poller
from towline.disk.watch.walk import Listing, list_directory, walk


class PollWatch(Watch):
    """`sentence` says to people why the root is polled."""

    def __init__(
        self, root: Path, skip: Skip, *, now: Clock = time.monotonic, sentence: str = SILENT
    ) -> None:
        self._root = str(root)
        self._skip = skip
        self._now = now
        self._sentence = sentence
        self._cookies = Cookies(root)
        self._poller = Poller(self._root, now)
        self._directories = Directories()
        self._found = Found()
        self._git_lock = GitLock(self._root)
        self._inode = 0
        self._bell = Bell()

    def start(self) -> None:
        self._cookies.remove_all()
        self._inode = os.stat(self._root).st_ino
        walk("", self._skip, self._look_after)
        self._found.note_git(self._git_lock.look())

    def close(self) -> None:
        self._bell.close()

    def fileno(self) -> int:
        return self._bell.fileno()

    def deadline(self) -> float | None:
        return self._now() if self._found else self._poller.deadline()

    def read(self) -> Seen:
        self._bell.silence()
        due = self._poller.deadline()
        if due is not None and due <= self._now():
            self._look_at_root()
            self._found.note_git(self._git_lock.look())
            self._take_looked(self._poller.step())
        found, self._found = self._found, Found()
        return found.seen()

    def rewatch(self) -> None:
        self._look_at_root()
        reached = walk("", self._skip, self._look_after_again).reached
        for directory in [directory for directory in self._poller if directory not in reached]:
            self._forget(directory)

    def place_cookie(self) -> str:
        """As promised by `Watch`, without a file: the next whole look at the root answers it."""
        name = self._cookies.new_name()
        self._poller.ask(name)
        self._bell.ring()
        return name

    @property
    def mode(self) -> Mode:
        return Mode(ModeKind.POLLED, self._sentence)

    def statistics(self) -> Statistics:
        return Statistics(polled=len(self._poller), passes=self._poller.passes)

    def _look_at_root(self) -> None:
        try:
            inode = os.stat(self._root).st_ino
        except OSError:
            inode = -1
        self._found.root_gone = self._found.root_gone or inode != self._inode

    def _look_after(self, directory: str) -> Listing | None:
        return None if directory in self._poller else self._look_after_again(directory)

    def _look_after_again(self, directory: str) -> Listing | None:
        if directory in self._poller:
            return list_directory(os.path.join(self._root, directory))
        with suppress(OSError):
            listing = self._poller.add(directory)
            self._directories.put(directory, None)
            return listing
        return None

    def _forget(self, path: str) -> None:
        for directory, _ in self._directories.remove(path):
            self._poller.remove(directory)

    def _take_looked(self, looked: Looked) -> None:
        self._found.paths |= looked.paths
        for path in looked.departed:
            self._forget(path)
        for path in looked.arrived:
            self._found.paths.update(walk(path, self._skip, self._look_after).found)
        self._found.cookies.update(looked.answered)
