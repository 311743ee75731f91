"""A recursive watch by inotify; directories for which no watch is to be had are polled.

Every directory is watched first and listed afterwards, so that nothing made in between is missed.
A moved directory is let go of and found anew: whatever happened meanwhile shows in the listing.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from towline.core.path import OWN_DIRECTORY, join, name_of, parent_of
from towline.disk.watch import inotify as kernel
from towline.disk.watch.base import Clock, Found, Mode, Seen, Skip, Statistics, Watch
from towline.disk.watch.cookie import Cookies
from towline.disk.watch.directories import Directories
from towline.disk.watch.git_lock import GIT, GIT_LOCK, GitLock
from towline.disk.watch.inotify import Event, Inotify
from towline.disk.watch.mode import mode_of
from towline.disk.watch.poller import Looked, Poller
from towline.disk.watch.walk import Listing, list_directory, walk

READ_MAX = 1 << 18  # Bytes of records in one `read` (some 8,000), so that a loop stays fair.
PROMOTED_PART = 8  # Of the watches change place in one step of polling at most: no thrashing.

_PLACE = kernel.ONLYDIR | kernel.DONT_FOLLOW
_CONTENT_MASK = (
    _PLACE
    | kernel.EXCL_UNLINK
    | kernel.CLOSE_WRITE
    | kernel.MODIFY
    | kernel.ATTRIB
    | kernel.CREATE
    | kernel.DELETE
    | kernel.MOVED_FROM
    | kernel.MOVED_TO
    | kernel.DELETE_SELF
    | kernel.MOVE_SELF
)
_COOKIE_MASK = _PLACE | kernel.CREATE | kernel.ATTRIB
_GIT_MASK = _PLACE | kernel.CREATE | kernel.DELETE | kernel.MOVED_FROM | kernel.MOVED_TO

_ARRIVED = kernel.CREATE | kernel.MOVED_TO
_CAME = kernel.MOVED_TO | kernel.MOVE_SELF
_LEFT = kernel.DELETE | kernel.MOVED_FROM
_RENAME = [kernel.MOVED_FROM, kernel.MOVED_TO]
_FINISHED = kernel.CLOSE_WRITE | kernel.MOVED_TO
_ROOT_GONE = kernel.DELETE_SELF | kernel.MOVE_SELF | kernel.UNMOUNT | kernel.IGNORED
_NONE = -1  # A descriptor that no record carries (an overflow's -1 is met before).


class InotifyWatch(Watch):
    """The watch on Linux, wherever inotify works."""

    def __init__(
        self, root: Path, skip: Skip, inotify: Inotify, *, now: Clock = time.monotonic
    ) -> None:
        self._root = str(root)
        self._skip = skip
        self._inotify = inotify
        self._cookies = Cookies(root)
        self._poller = Poller(self._root, now)
        self._now = now
        self._directories = Directories()
        self._released: dict[int, str] = {}  # Watches given up whose last records may still come.
        self._moved_in: set[tuple[int, str]] = set()  # Records to come of what `move_in` did.
        self._git_lock = GitLock(self._root)
        self._queued: list[Event] = []  # Records that were too much for `read_plain`.
        self._created: set[str] = set()  # Files made, not known to be written or closed.
        self._found = Found()
        self._cookies_wd = _NONE
        self._git_wd = _NONE
        self._events = 0
        self._overflows = 0

    def start(self) -> None:
        self._cookies.remove_all()
        self._watch_cookies()
        self._watch_git()
        walk("", self._skip, self._look_after)

    def close(self) -> None:
        self._inotify.close()

    def fileno(self) -> int:
        return self._inotify.fileno()

    def deadline(self) -> float | None:
        return self._now() if self._found or self._queued else self._poller.deadline()

    def read(self) -> Seen:
        return self._take_all([*self._queued, *self._inotify.read(READ_MAX)])

    def read_plain(self) -> Seen | None:
        self._queued += self._inotify.read(READ_MAX)
        if len(self._poller) or not all(map(self._is_plain, self._queued)):
            return None
        return self._take_all(self._queued)

    def _take_all(self, events: list[Event]) -> Seen:
        self._queued = []
        for event in events:
            self._events += 1
            self._take(event)
        self._settle_created()
        self._take_polled()
        self._found.is_rename = _are_one_rename(events)
        found, self._found = self._found, Found()
        return found.seen()

    def move_in(self, directories: Mapping[str, str], move: Callable[[], None]) -> None:
        """As `Watch.move_in`. A watch stays with its directory, whatever that is called."""
        watched = self._watch_staged(directories)
        try:
            move()
        except OSError:
            self._give_back(watched)
            raise
        for path, wd in watched.items():
            self._directories.put(path, wd)
        if watched:
            top, wd = next(iter(watched.items()))
            above = self._directories.wd_of(parent_of(top))
            self._moved_in |= {(_NONE if above is None else above, name_of(top)), (wd, "")}

    def _watch_staged(self, directories: Mapping[str, str]) -> dict[str, int]:
        """Watch directories that are about to get their places: all of them, or none."""
        watched: dict[str, int] = {}
        if self._directories.wd_of(parent_of(next(iter(directories.values())))) is None:
            return watched  # Nothing would tell that they came.
        try:
            for staged, path in directories.items():
                place = os.path.join(self._root, staged)
                watched[path] = self._inotify.add(place, _CONTENT_MASK)
        except OSError:
            self._give_back(watched)
            return {}
        return watched

    def _give_back(self, watched: Mapping[str, int]) -> None:
        for wd in watched.values():
            self._inotify.remove(wd)

    def rewatch(self) -> None:
        self._moved_in.clear()
        self._watch_cookies_again()
        self._watch_git()
        reached = walk("", self._skip, self._look_after_again).reached
        for path in [path for path in self._directories if path not in reached]:
            self._forget(path)
        self._released.clear()
        self._found.root_gone = self._found.root_gone or "" not in reached

    def place_cookie(self) -> str:
        name = self._cookies.new_name()
        if self._cookies_wd == _NONE:
            self._watch_cookies()
        try:
            self._cookies.place(name)
        except FileNotFoundError:
            self._watch_cookies()
            self._cookies.place(name)
        return name

    @property
    def mode(self) -> Mode:
        return mode_of(self._directories.watched, len(self._poller), self._inotify.limit)

    def statistics(self) -> Statistics:
        return Statistics(
            watched=self._directories.watched,
            polled=len(self._poller),
            events=self._events,
            overflows=self._overflows,
            passes=self._poller.passes,
        )

    # Records, one by one.

    def _is_plain(self, event: Event) -> bool:
        """Whether the record tells of a name in a directory, and that name is no directory."""
        return bool(event.name) and not event.mask & kernel.ISDIR

    def _take(self, event: Event) -> None:
        if event.mask & kernel.Q_OVERFLOW:
            self._overflows += 1
            self._found.rescan = True
        elif event.wd == self._cookies_wd:
            self._take_cookie(event)
        elif event.wd == self._git_wd:
            self._take_git(event)
        elif (directory := self._directories.path_of(event.wd)) is not None:
            self._directories.use(event.wd)
            if not (self._moved_in and self._is_moved_in(event)):
                self._take_content(directory, event)
        elif (directory := self._released.get(event.wd)) is not None:
            self._take_content(directory, event)

    def _is_moved_in(self, event: Event) -> bool:
        """Whether it is the first to tell of what `move_in` did: that is known.

        One of an earlier directory of that name may be taken for it: then its own is told.
        """
        known = (event.wd, event.name)
        if not event.mask & _CAME or known not in self._moved_in:
            return False
        self._moved_in.remove(known)
        return True

    def _take_cookie(self, event: Event) -> None:
        if event.mask & kernel.IGNORED:
            self._cookies_wd = _NONE
        elif event.name:
            self._cookies.remove(event.name)
            if len(self._poller):
                self._poller.ask(event.name)
            else:
                self._found.cookies.add(event.name)

    def _take_git(self, event: Event) -> None:
        if event.mask & kernel.IGNORED:
            self._git_wd = _NONE
            self._found.note_git(self._git_lock.learn(False))
        elif event.name == GIT_LOCK:
            self._found.note_git(self._git_lock.learn(bool(event.mask & _ARRIVED)))

    def _take_content(self, directory: str, event: Event) -> None:
        if event.name:
            self._take_child(join(directory, event.name), event.mask)
        elif not directory and event.mask & _ROOT_GONE:
            self._found.root_gone = True
        elif event.mask & kernel.IGNORED and event.wd in self._released:
            del self._released[event.wd]
        elif event.mask & (kernel.IGNORED | kernel.MOVE_SELF | kernel.DELETE_SELF):
            self._find_anew(directory)

    def _take_child(self, path: str, mask: int) -> None:
        if path == OWN_DIRECTORY:
            if mask & _ARRIVED:
                self._watch_cookies_again()
        elif mask & kernel.ISDIR:
            self._take_directory(path, mask)
        elif mask & kernel.MODIFY:
            self._found.writing.add(path)
        elif mask & kernel.CREATE:
            self._created.add(path)
        elif not (mask & kernel.ATTRIB and self._is_being_written(path)):
            self._created.discard(path)
            self._found.note(path)
            if mask & _FINISHED:
                self._found.closed.add(path)
            if mask & kernel.CLOSE_WRITE:
                self._found.written.add(path)

    def _is_being_written(self, path: str) -> bool:
        return path in self._found.writing or path in self._created

    def _take_directory(self, path: str, mask: int) -> None:
        self._found.note(path)
        if path == GIT:
            if mask & _ARRIVED:
                self._watch_git()
        elif mask & _LEFT:
            self._forget(path)
        else:  # It came, or its mode changed, so that it can perhaps be read now.
            self.cover(path)

    def _settle_created(self) -> None:
        """Report what was made without being written: links, pipes, a name for a whole file.

        A plain file is about to be written most likely, and is reported when that is over: also
        if it takes the place of one deleted just before.
        """
        for path in self._created:
            try:
                status = os.lstat(os.path.join(self._root, path))
            except OSError:
                self._found.note(path)
                continue
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
                self._found.paths.discard(path)
                self._found.writing.add(path)
            else:
                self._found.note(path)
        self._created.clear()

    def _take_polled(self) -> None:
        self._take_looked(self._poller.step())
        if self._git_wd == _NONE and len(self._poller):
            self._found.note_git(self._git_lock.look())

    # The set of directories.

    def cover(self, directory: str) -> None:
        for path in walk(directory, self._skip, self._look_after).found:
            self._found.note(path)

    def _look_after(self, directory: str) -> Listing | None:
        """Watch, or else poll; return what the directory holds.

        None if it is gone or cannot be read. Of one that was looked after already only directories
        that are not: what else is below it is known, or its records are still to come.
        """
        was_known = directory in self._directories
        wd = self._directories.wd_of(directory)
        listing = self._look_after_again(directory)
        if listing and was_known and wd == self._directories.wd_of(directory):
            return [
                one
                for one in listing
                if one[1] and join(directory, one[0]) not in self._directories
            ]
        return listing

    def _look_after_again(self, directory: str) -> Listing | None:
        """As `_look_after`, but None only if the directory is gone or cannot be read."""
        place = os.path.join(self._root, directory)
        try:
            wd = self._inotify.add(place, _CONTENT_MASK)
        except OSError as error:
            return self._poll(directory) if kernel.is_out_of(error) else None
        self._directories.put(directory, wd)
        if directory in self._poller:
            self._stop_polling(directory)
        return list_directory(place)

    def _poll(self, directory: str) -> Listing | None:
        if directory in self._poller:
            return list_directory(os.path.join(self._root, directory))
        with suppress(OSError):
            listing = self._poller.add(directory)
            self._directories.put(directory, None)
            return listing
        return None

    def _stop_polling(self, directory: str) -> None:
        looked = Looked()
        self._poller.look(directory, looked)
        self._poller.remove(directory)
        self._take_looked(looked)

    def _forget(self, path: str) -> None:
        for directory, wd in self._directories.remove(path):
            if wd is None:
                self._poller.remove(directory)
            else:
                self._inotify.remove(wd)

    def _find_anew(self, directory: str) -> None:
        self._found.note(directory)
        self._forget(directory)
        self._poller.doubt(directory)  # It may come back, the same, before the next pass.
        self.cover(directory)

    def _take_looked(self, looked: Looked) -> None:
        """Take in what polling found."""
        for path in looked.paths:
            self._found.note(path)
        for path in looked.departed:
            self._forget(path)
        for path in looked.arrived:
            self.cover(path)
        promotions = 1 + self._directories.watched // PROMOTED_PART
        for directory in sorted(looked.active.intersection(self._poller))[:promotions]:
            self._promote(directory)
        self._found.cookies.update(looked.answered)

    def _promote(self, directory: str) -> None:
        """Give a watch to a polled directory in which someone works, from one where nobody does."""
        self._look_after(directory)  # A watch may have become free.
        if directory in self._poller and self._make_room():
            self._look_after(directory)

    def _make_room(self) -> bool:
        """Poll the watched directory where nothing happened for longest, to have its watch."""
        idle = self._directories.longest_unused()
        if idle is None:
            return False
        path, wd = idle
        with suppress(OSError):
            self._poller.add(path)
            self._directories.put(path, None)
            self._released[wd] = path
            self._inotify.remove(wd)
        return True

    def _add(self, place: str, mask: int) -> int:
        """Watch a directory that is worth more than any other."""
        try:
            return self._inotify.add(place, mask)
        except OSError as error:
            if not (kernel.is_out_of(error) and self._make_room()):
                raise
            return self._inotify.add(place, mask)

    # The two directories that are watched for one purpose only.

    def _watch_cookies(self) -> None:
        self._cookies_wd = self._add(self._cookies.ensure_directory(), _COOKIE_MASK)

    def _watch_cookies_again(self) -> None:
        """Cookies whose event was lost, or that nobody watched, get a new one."""
        with suppress(OSError):
            self._watch_cookies()
            self._cookies.touch_all()

    def _watch_git(self) -> None:
        with suppress(OSError):  # No repository, a file that leads to one elsewhere, or no watch.
            self._git_wd = self._add(os.path.join(self._root, GIT), _GIT_MASK)
        self._found.note_git(self._git_lock.look())


def _are_one_rename(events: list[Event]) -> bool:
    """Whether these records tell of one rename within the root, and of nothing beside it.

    What was renamed may have been written just before: so editors save.
    """
    named = [event for event in events if event.name]
    ends = [event for event in named if event.rename]
    if [event.mask & (kernel.MOVED_FROM | kernel.MOVED_TO) for event in ends] != _RENAME:
        return False
    places = {(event.wd, event.name) for event in ends}
    is_one = ends[0].rename == ends[1].rename and named[-1] is ends[1]
    return is_one and all((event.wd, event.name) in places for event in named)
