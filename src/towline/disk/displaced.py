"""What was taken out of its place, until it is certain that nobody needs it.

Whatever sync replaces or deletes is first moved into the stage, then looked at. Only what is
exactly what was expected, and what nobody has open for writing, is dropped, and not before a second
look, which `retired` says when to take. All else lives on as a conflict copy. The name of a staged
file says where it belongs and what is expected in it, so that a crash between two steps loses
nothing either.
"""

from __future__ import annotations

import errno
import math
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone

from towline.core.conflict import copy_name
from towline.core.digest import Hasher
from towline.core.entry import Entry, File, Symlink, digest_of
from towline.core.path import (
    NAME_MAX,
    BadPathError,
    check_path,
    encode_path,
    join,
    name_of,
    parent_of,
    parents_of,
)
from towline.disk.cache import Stamp, is_settled, stamp_of
from towline.disk.folder import BESIDE_PREFIX, STAGE, Folder
from towline.disk.look import PIECE, SMALL_MAX
from towline.disk.retired import GRACE_S, REVIEW_MAX_S, Retired, Retirement

RETIRED_S = 60  # How long, where the system cannot say whether anybody has a file open.
COPIES_MAX = 1000  # Conflict copies of one path within one second; more is a loop.
REHASH_MAX = 1 << 20  # Bytes; up to this size reading again costs less than being wrong.
HALF_WRITTEN_MODE = 0o300  # No project has such a file; a crash leaves it for us to know.


@dataclass(frozen=True, slots=True)
class Kept:
    """Content that stood at `path` and lives on at `copy`, a path, too."""

    path: str
    copy: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a displaced thing turned out to be."""

    as_expected: bool
    is_open: bool | None = False  # For writing, by anybody; None: cannot tell.
    stamp: Stamp | None = None  # While it holds, the content is still what was read.
    is_safe: bool = False  # Nobody can write to it, or it has another name to live on under.


class Displaced:
    """The things taken out of one folder. `host` names conflict copies."""

    def __init__(self, folder: Folder, host: str, now_ns: Callable[[], int]) -> None:
        self._folder = folder
        self._host = host
        self._now_ns = now_ns
        self._token = os.urandom(4).hex()  # Tells this life's files from leftovers.
        self._count = 0
        self._retired = Retirement()
        self._kept: list[Kept] = []

    def staged_name(
        self, path: str, old: Entry | None, new: Entry | None, *, out: bool, beside: bool = False
    ) -> str:
        """Return a fresh name for something on its way in, or out, of `path`."""
        self._count += 1
        kind = "out" if out else "new"
        head = f"{kind}-{self._token}-{self._count}-{_mark(old)}-{_mark(new)}-"
        if beside:
            head = BESIDE_PREFIX + head
        room = NAME_MAX - len(head)
        where = _quoted(path) if not beside else _quoted(name_of(path))
        if not beside and len(where) <= room and where.isascii():
            return f"{STAGE}/{head}{where}"
        if len(encode_path(where)) > room:
            where = _quoted(name_of(path))
        while len(encode_path(where)) > room:
            where = where[:-1]
        return join(parent_of(path) if beside else STAGE, head + where)

    def examine(
        self,
        name: str,
        expected: Entry | None,
        trusted: Stamp | None = None,
        seen: Stamp | None = None,
        is_first: bool = False,
    ) -> Verdict:
        """Look at what was displaced to `name`. Raises OSError if it cannot be looked at.

        `trusted` is a stamp that vouched for `expected` before, settled but for a rename, which
        keeps all of it but ctime. It is believed of files that nobody has open, if they are large
        or `is_first`: the next look reads them. `seen` is the stamp of an earlier verdict; it is
        believed as long as the file stays anyway.
        """
        if isinstance(expected, File):
            rehash_max = -1 if is_first and not _is_beside(name) else REHASH_MAX
            return self._examine_file(name, expected.digest, trusted, seen, rehash_max)
        status = self._folder.lstat(name)
        if stat.S_ISLNK(status.st_mode) and isinstance(expected, Symlink):
            return Verdict(self._folder.readlink(name) == expected.target, is_safe=True)
        return Verdict(as_expected=False)

    def let_go(self, name: str, path: str, expected: Entry | None, verdict: Verdict) -> None:
        """Drop what is as expected: at once if it is safe, or else when nobody can write to it.

        What lies beside its place has no grace: its directory may have to go next.
        """
        name = self._as_done(name, path, expected)
        if not verdict.is_safe and not (_is_beside(name) and verdict.is_open is False):
            self._retire(name, path, expected, verdict)
            return
        try:
            self._folder.unlink(name)
        except FileNotFoundError:
            return
        except OSError:
            self._retire(name, path, expected, Verdict(as_expected=True, is_open=None))

    def rescue(self, name: str, path: str, *, may_return: bool = False) -> str | None:
        """Put somebody's edit from `name` back under a synced name; return that name.

        With `may_return`, `path` itself if it is free. None: nothing could be done for now, it
        stays in the stage and `review` tries again.
        """
        try:
            return self._bring_back(name, path, may_return=may_return)
        except OSError:
            with suppress(FileNotFoundError):
                self._folder.lstat(name)
                self._retire(name, path, None, Verdict(as_expected=False, is_open=None))
            return None

    @property
    def has_retired(self) -> bool:
        """Whether `review` has anything to do or to tell, now or later."""
        return bool(len(self._retired) or self._kept)

    def review_due(self, now: float) -> float | None:
        """Return when to call `review`; None: there is nothing to look at."""
        due = self._retired.date(now)
        return now if self._kept else due

    def review(self, now: float, *, at_once: bool = False) -> list[Kept]:
        """Look again at what was retired and is due; return what became a conflict copy meanwhile.

        `now` in seconds, of any clock. `at_once`: also at all that somebody may have written to.
        """
        for retired in self._retired.take(now, at_once=at_once):
            self._review_one(retired, now)
        kept, self._kept = self._kept, []
        return kept

    def tidy(self) -> None:
        """Look a last time: drop what nobody has open. The rest is for the next life to find."""
        for retired in self._retired.take_all():
            with suppress(OSError):
                self._part(retired)

    def recover(self, name: str) -> None:
        """Deal with something that an earlier life left in the stage. Others' files stay.

        What fails now is tried again by `review`.
        """
        parsed = _parsed(name)
        if parsed is None or parsed.token == self._token or name in self._retired:
            return
        try:
            self._recover(name, parsed)
        except FileNotFoundError:
            return
        except OSError:
            left = Retired(name, parsed.path, None, None, None, wait_s=REVIEW_MAX_S, is_left=True)
            self._retired.add(left)

    def _recover(self, name: str, parsed: _Name) -> None:
        status = self._folder.lstat(name)
        half_written = stat.S_IMODE(status.st_mode) == HALF_WRITTEN_MODE
        if not parsed.out and (half_written or sys.platform == "win32"):
            self._folder.unlink(name)
            return
        mark, is_open = self._mark_of(name, status)
        if mark not in (parsed.old, parsed.new):
            self._note(parsed.path, self.rescue(name, parsed.path, may_return=True))
        elif mark == parsed.old and _returns(parsed):
            if not self._place(name, parsed.path):
                self._folder.unlink(name)
        elif is_open and mark.startswith("f"):
            expected = File(bytes.fromhex(mark[1:]))
            self._retire(name, parsed.path, expected, Verdict(as_expected=True, is_open=True))
        else:
            self._folder.unlink(name)

    # Reading what was displaced.

    def _examine_file(
        self,
        name: str,
        digest: bytes,
        trusted: Stamp | None,
        seen: Stamp | None,
        rehash_max: int,
    ) -> Verdict:
        descriptor = self._folder.open(name)
        try:
            status = self._folder.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return Verdict(as_expected=False)
            is_open = self._is_open(descriptor, status)  # Before reading: what is read then stays.
            stamp = stamp_of(status)
            is_safe = status.st_nlink > 1
            if is_open is not False and stamp == seen:
                return Verdict(as_expected=True, is_open=is_open, stamp=seen)
            is_small = stamp.size <= (REHASH_MAX if is_safe else rehash_max)
            if is_open is False and not is_small and _is_renamed(trusted, stamp):
                return Verdict(as_expected=True, is_open=False, stamp=trusted, is_safe=is_safe)
            now_ns = self._now_ns()
            same = self._digest(descriptor, stamp.size) == digest
            vouching = stamp if is_open is not False else stamp._replace(ctime_ns=0)
            settled = vouching if is_settled(vouching, now_ns) else None
            return Verdict(same, is_open, settled, is_safe)
        finally:
            self._folder.close_file(descriptor)

    def _is_open(self, descriptor: int, status: os.stat_result) -> bool | None:
        """A file with further names loses nothing by losing this one."""
        return status.st_nlink == 1 and self._folder.is_open_for_writing(descriptor)

    def _digest(self, descriptor: int, size: int) -> bytes:
        hasher = Hasher()
        if size <= SMALL_MAX:
            piece = self._folder.read(descriptor, size + 1)
            if len(piece) == size:  # And no more: that was all.
                return digest_of(piece)
            hasher.update(piece)
        while piece := self._folder.read(descriptor, PIECE):
            hasher.update(piece)
        return hasher.digest()

    def _mark_of(self, name: str, status: os.stat_result) -> tuple[str, bool | None]:
        if stat.S_ISLNK(status.st_mode):
            return _mark(Symlink(self._folder.readlink(name))), False
        if not stat.S_ISREG(status.st_mode):
            return "other", False
        descriptor = self._folder.open(name)
        try:
            is_open = self._is_open(descriptor, status)
            return _mark(File(self._digest(descriptor, status.st_size))), is_open
        finally:
            self._folder.close_file(descriptor)

    # Deciding again, later.

    def _review_one(self, retired: Retired, now: float) -> None:
        try:
            if retired.is_left and (parsed := _parsed(retired.name)):
                self._recover(retired.name, parsed)
            elif not self._decide(retired, now):
                self._retired.again(retired, now)
        except FileNotFoundError:  # Nothing of ours to be decided any more.
            return
        except OSError:
            self._retired.again(retired, now)

    def _decide(self, retired: Retired, now: float) -> bool:
        """Look at one again; False if it has to be kept for yet another look."""
        age_s = math.inf if retired.must_go else now - retired.since
        verdict = self._look_again(retired, is_last=age_s >= RETIRED_S)
        patience_s = RETIRED_S if verdict.is_open is None else GRACE_S
        if not verdict.as_expected or (retired.must_go and verdict.is_open):
            self._rescue_late(retired)
        elif not verdict.is_open and age_s >= patience_s:
            self._folder.unlink(retired.name)
        else:
            retired.stamp = verdict.stamp
            return False
        return True

    def _part(self, retired: Retired) -> None:
        """Drop it if nobody has it open, however short its time was."""
        if retired.is_left:
            return
        verdict = self._look_again(retired, is_last=True)
        if not verdict.as_expected:
            self._rescue_late(retired)
        elif verdict.is_open is False:
            self._folder.unlink(retired.name)
        else:
            self._retire(retired.name, retired.path, retired.expected, verdict)

    def _look_again(self, retired: Retired, *, is_last: bool) -> Verdict:
        """The last look reads: what was written through a mapping shows in no stamp."""
        if retired.expected is None:
            return Verdict(as_expected=False)
        if retired.is_open is False:
            return self.examine(retired.name, retired.expected, trusted=retired.stamp)
        seen = None if is_last else retired.stamp
        return self.examine(retired.name, retired.expected, seen=seen)

    def _rescue_late(self, retired: Retired) -> None:
        """Bring an edit back. Raises OSError if it cannot be done for now."""
        kept = self._bring_back(retired.name, retired.path, may_return=False)
        self._note(retired.path, kept)

    def _bring_back(self, name: str, path: str, *, may_return: bool) -> str:
        try:
            if may_return and self._place(name, path):
                return path
            return self._place_copy(name, path)
        except NotADirectoryError:  # A parent became a file; the root is always there.
            return self._bring_back(name, name_of(path), may_return=may_return)

    def _retire(self, name: str, path: str, expected: Entry | None, verdict: Verdict) -> None:
        self._retired.add(Retired(name, path, expected, verdict.stamp, verdict.is_open))
        for surplus in self._retired.surplus():
            with suppress(OSError):
                self._part(surplus)

    def _as_done(self, name: str, path: str, expected: Entry | None) -> str:
        """Return a name that says after a crash what this is, and that it stays away."""
        parsed = _parsed(name)
        if parsed is None or (parsed.old == _mark(expected) and not _returns(parsed)):
            return name
        done = self.staged_name(path, expected, None, out=True, beside=_is_beside(name))
        try:
            self._folder.place(name, done)
        except OSError:
            return name
        return done

    def _note(self, path: str, kept: str | None) -> None:
        if kept is not None:
            self._kept.append(Kept(path, kept))

    # Finding a place.

    def _place_copy(self, name: str, path: str) -> str:
        when = datetime.fromtimestamp(self._now_ns() / 1e9, timezone.utc)
        for number in range(1, COPIES_MAX):
            copy = copy_name(path, self._host, when, number)
            if self._place(name, copy):
                return copy
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)

    def _place(self, name: str, path: str) -> bool:
        """Move to `path`, making its parents; False if it is taken."""
        try:
            place_with_parents(self._folder, name, path)
        except FileExistsError:
            return False
        return True


def place_with_parents(folder: Folder, name: str, path: str) -> None:
    """Move `name` to the free `path` and make the directories it lies in. Raises OSError."""
    try:
        folder.place(name, path)
    except FileNotFoundError:
        folder.lstat(name)  # If this is what is missing, no directory will help.
        make_parents(folder, path)
        folder.place(name, path)


def make_parents(folder: Folder, path: str) -> None:
    """Make the directories that hold `path`. Raises OSError."""
    for parent in reversed(list(parents_of(path))):
        with suppress(FileExistsError):
            folder.mkdir(parent)


@dataclass(frozen=True, slots=True)
class _Name:
    """A staged name taken apart; `old` and `new` are marks."""

    out: bool
    token: str
    old: str
    new: str
    beside: str | None  # The directory it lies in, if that is not the stage.
    where: str  # Its path, quoted, or of that what there was room for.

    @property
    def path(self) -> str:
        where = self.where.replace("%2F", "/").replace("%25", "%")
        try:
            return check_path(where if self.beside is None else join(self.beside, where))
        except BadPathError:
            return "recovered"


def _is_beside(name: str) -> bool:
    return name_of(name).startswith(BESIDE_PREFIX)


def _parsed(name: str) -> _Name | None:
    base = name_of(name)
    beside = base.startswith(BESIDE_PREFIX)
    parts = base[len(BESIDE_PREFIX) if beside else 0 :].split("-", 5)
    if len(parts) != 6 or parts[0] not in ("new", "out"):
        return None
    kind, token, _, old, new, where = parts
    return _Name(kind == "out", token, old, new, parent_of(name) if beside else None, where)


def _returns(parsed: _Name) -> bool:
    """Whether it goes back to its path after a crash, if that is free: nothing took its place."""
    return parsed.out and parsed.new != _mark(None)


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("/", "%2F")


def _mark(entry: Entry | None) -> str:
    """Say in a few characters what content an entry has."""
    if isinstance(entry, File):
        return "f" + entry.digest.hex()
    if isinstance(entry, Symlink):
        return "l" + digest_of(encode_path(entry.target)).hex()
    return "n" if entry is None else "other"


def _is_renamed(before: Stamp | None, after: Stamp) -> bool:
    """Whether only the name changed between two stamps."""
    return before is not None and before[:2] == after[:2] and before[3:] == after[3:]
