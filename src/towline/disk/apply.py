"""Carrying out a group of changes on a folder, each a compare-and-swap.

All contents are staged before anything changes, so that a full disk fails the group as a whole.
Then each change takes what stands at its path out of its place in one system call, looks at it,
and puts it back and refuses if it was not what the change expected. Decides nothing else.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from towline.core.change import Change, Outcome, Result, holds
from towline.core.conflict import numbered
from towline.core.digest import digest_of
from towline.core.entry import DIRECTORY, Directory, Entry, File, Symlink, Unsynced, shallow
from towline.core.path import check_path, join, parent_of
from towline.core.problem import Problem, ProblemKind
from towline.core.steps import run_to_end
from towline.disk.cache import Stamp, is_settled, stamp_of
from towline.disk.displaced import (
    COPIES_MAX,
    Displaced,
    Verdict,
    make_parents,
    place_with_parents,
)
from towline.disk.folder import Folder
from towline.disk.graft import Grafts
from towline.disk.look import Look, leads_out
from towline.disk.mtime import new_mtime
from towline.disk.remove import Removal, remove_directory
from towline.disk.rename import UNSUPPORTED
from towline.disk.scan import Rules, Scan
from towline.disk.spelling import Spelling
from towline.disk.stage import Stage
from towline.disk.supply import LackingError, Staged, Supply

_KIND_OF = {
    errno.EACCES: ProblemKind.UNWRITABLE,
    errno.EPERM: ProblemKind.UNWRITABLE,
    errno.EROFS: ProblemKind.UNWRITABLE,
    errno.EBUSY: ProblemKind.UNWRITABLE,
    errno.ENOSPC: ProblemKind.DISK_FULL,
    errno.EDQUOT: ProblemKind.DISK_FULL,
    errno.ENAMETOOLONG: ProblemKind.NAME,
    errno.EILSEQ: ProblemKind.NAME,
}
IGNORED_IN_THE_WAY = "a directory with ignored files stands there"
_PLACE_IS_NOT_AS_SEEN = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError)
_Move = Callable[[Folder, str, str], None]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file that is what its change expects."""

    entry: File
    stamp: Stamp
    is_known: bool = False  # By its stamp: what takes its place has its mode and mtime already.


class _RefusedError(Exception):
    """`old` does not hold. `kept`: where an edit found in between lives on."""

    def __init__(self, kept: str | None = None) -> None:
        super().__init__()
        self.kept = kept


class Apply:
    """Carries out changes. `durable`: contents and names outlive a loss of power."""

    def __init__(
        self,
        look: Look,
        stage: Stage,
        displaced: Displaced,
        grafts: Grafts,
        *,
        durable: bool = False,
    ) -> None:
        self._folder: Folder = look.folder
        self._look = look
        self._displaced = displaced
        self._grafts = grafts
        self._stage = stage
        self._supply = Supply(look.folder, stage, displaced, durable=durable)
        self._durable = durable
        self._touched: set[str] = set()
        self._seen: dict[str, _Seen] = {}  # What is to be replaced, as it was while staging.
        self._began_ns = 0  # Before anything of this group was looked at.
        self._bare: set[str] = set()  # Directories without bytecode, in this group's time.
        self._spelling = Spelling(look.folder)

    def carry_out(
        self, changes: Sequence[Change], contents: Mapping[bytes, bytes], rules: Rules
    ) -> list[Result]:
        """Return one result per change, in order.

        Raises BadPathError for a path that must not be used and ValueError for a change that makes
        no sense, before anything is done.
        """
        for change in changes:
            _check(change)
        self._began_ns = self._look.now_ns()
        try:
            if full := self._ensure_stage() or self._stage_all(changes, contents):
                return [_failed(change, full) for change in changes]
            return [
                Result(change.path, Outcome.DONE)
                if self._grafts.has_put(change.path)
                else self._carry_out(change, contents, rules)
                for change in changes
            ]
        finally:
            self._supply.finish()
            self._grafts.finish()
            self._bare.clear()
            self._seen.clear()
            self._folder.release()
            self._sync_touched()

    def rename(self, source: str, target: str) -> Result:
        """Give a directory another name, with all that is in it. The result is that of `target`.

        Nothing is looked at in it: no content is replaced or dropped by this.
        """
        if problem := self._why_impossible(target, DIRECTORY):
            return Result(target, Outcome.FAILED, problem=problem)
        change = Change(target, None, DIRECTORY)
        try:
            if not stat.S_ISDIR(self._folder.lstat(source).st_mode):
                return self._refused(change, None)
            self._touched.update((parent_of(source), parent_of(target)))
            self._folder.place(source, target)
        except _PLACE_IS_NOT_AS_SEEN:
            return self._refused(change, None)
        except OSError as error:
            return _failed(change, error)
        finally:
            self._sync_touched()
        return Result(target, Outcome.DONE)

    # First: all contents into the stage.

    def _ensure_stage(self) -> OSError | None:
        try:
            self._stage.ensure_directory()
        except OSError as error:
            return error
        return None

    def _stage_all(
        self, changes: Sequence[Change], contents: Mapping[bytes, bytes]
    ) -> OSError | None:
        """Stage what is needed; return the error if the disk is full.

        Other trouble is met again, and reported, when the change is carried out.
        """
        grown = self._grow(changes, contents)
        if isinstance(grown, OSError):
            return grown
        uses = Counter(change.new.digest for change in changes if isinstance(change.new, File))
        for change in changes:
            if not isinstance(change.new, File) or change.path in grown:
                continue
            uses[change.new.digest] -= 1
            is_last_use = not uses[change.new.digest]
            try:
                self._stage_one(change, change.new, contents, is_last_use=is_last_use)
            except LackingError:
                continue
            except OSError as error:
                if _KIND_OF.get(error.errno or 0) is ProblemKind.DISK_FULL:
                    return error
        return None

    def _grow(
        self, changes: Sequence[Change], contents: Mapping[bytes, bytes]
    ) -> set[str] | OSError:
        """Make new directories whole; return the paths in them, or the error of a full disk."""
        if self._durable:  # Each name is to be made durable, and a graft makes many at once.
            return set()
        try:
            return self._grafts.grow(changes, contents)
        except OSError as error:
            self._grafts.finish()
            return error if _KIND_OF.get(error.errno or 0) is ProblemKind.DISK_FULL else set()

    def _stage_one(
        self, change: Change, new: File, contents: Mapping[bytes, bytes], *, is_last_use: bool
    ) -> None:
        if _is_addition(change):  # Not looked at: what stands there shows when the name is taken.
            self._supply.prepare(change.path, None, new, None, contents, is_last_use=is_last_use)
            return
        if self._stage_known(change, new, contents):
            return
        with suppress(OSError):  # Whatever it is, looking at the path tells it better.
            self._folder.hold(parent_of(change.path))
        actual, status = self._look.at(change.path)
        if holds(actual, new) or (_is_mode_only(actual, new) and change.keep is None):
            return
        old = change.old if change.keep is None else None
        self._supply.prepare(change.path, old, new, status, contents, is_last_use=is_last_use)
        if isinstance(actual, File) and status is not None and holds(actual, old):
            self._seen[change.path] = _Seen(actual, stamp_of(status))

    def _stage_known(self, change: Change, new: File, contents: Mapping[bytes, bytes]) -> bool:
        """Stage what replaces a file whose digest is known by a stamp, if it is one.

        The disk is not asked: whether that stamp is still the file's is seen in the instant before
        it is replaced. So most changes take one look.
        """
        path, old, content = change.path, change.old, contents.get(new.digest)
        if not content or not isinstance(old, File) or change.keep is not None or self._durable:
            return False
        stamp = None if _is_mode_only(old, new) else self._look.stamp_of_known(path, old)
        if stamp is None or digest_of(content) != new.digest:
            return False
        mtime_ns = new_mtime(self._folder, path, stamp.mtime_ns, self._look.now_ns(), self._bare)
        self._supply.prepare_known(path, old, new, stamp.mode, content, mtime_ns)
        self._seen[path] = _Seen(old, stamp, is_known=True)
        return True

    # Then: one change after the other.

    def _carry_out(self, change: Change, contents: Mapping[bytes, bytes], rules: Rules) -> Result:
        try:
            return self._decide(change, contents, rules)
        except LackingError:
            return Result(change.path, Outcome.LACKING)
        except _RefusedError as refused:
            return self._refused(change, refused.kept)
        except _PLACE_IS_NOT_AS_SEEN:
            return self._refused(change, None)
        except OSError as error:
            return _failed(change, error)
        finally:
            self._folder.release()

    def _decide(self, change: Change, contents: Mapping[bytes, bytes], rules: Rules) -> Result:
        path, new = change.path, change.new
        if problem := self._why_impossible(path, new):
            return Result(path, Outcome.FAILED, problem=problem)
        if self._grafts.put(path) or (_is_addition(change) and self._add(path, new)):
            return Result(path, Outcome.DONE)
        if (seen := self._seen.get(path)) is not None and self._replace_seen(path, seen):
            return Result(path, Outcome.DONE)
        actual, status = self._look.at(path)
        if holds(actual, new):
            return Result(path, Outcome.DONE)
        if change.keep is None and not (_is_synced(actual) and holds(actual, change.old)):
            if isinstance(actual, Directory) and self._is_hidden(path, rules):
                return _stays(path, new)
            return Result(path, Outcome.REFUSED, actual=shallow(actual))
        if isinstance(new, (File, Symlink)) and (change.keep or not _is_mode_only(actual, new)):
            self._supply.prepare(path, actual, new, status, contents)
        self._touched.add(parent_of(path))
        if change.keep is not None and actual is not None:
            return self._keep_and_put(path, change.keep, new)
        if isinstance(actual, Directory):
            removal = remove_directory(self._look, path, rules)
            if removal is Removal.IGNORED_STAYS:
                return _stays(path, new)
            if removal is not Removal.GONE:
                raise _RefusedError
            actual = status = None
        self._put(path, actual, status, new)
        return Result(path, Outcome.DONE)

    def _replace_seen(self, path: str, seen: _Seen) -> bool:
        """Replace a file if it is as it was seen; its directory is held for all that takes."""
        self._folder.hold(parent_of(path))
        status = self._folder.lstat(path)
        if stamp_of(status) == seen.stamp:
            self._touched.add(parent_of(path))
            self._put_staged(path, seen.entry, status, is_dated=seen.is_known)
            return True
        if seen.is_known:  # It would get the mode and the mtime that belong to another.
            self._supply.drop(self._supply.take(path))
        return False

    def _add(self, path: str, new: Entry | None) -> bool:
        """Put something new where nothing stands: taking the name is all the look it needs.

        False: something stands there, or the content is not at hand; look, then decide.
        """
        try:
            if isinstance(new, Directory):
                self._mkdir(path)
            elif not self._supply.has(path):
                return False
            else:
                self._put(path, None, None, new)
        except FileExistsError:
            return False
        self._touched.add(parent_of(path))
        return True

    def _is_hidden(self, directory: str, rules: Rules) -> bool:
        """Whether it is part of no tree: ignored (as `d/` ignores no file `d`), or all in it is."""
        if rules.ignores(directory, True):
            return True
        return run_to_end(Scan(self._look).directory_steps(directory, rules.at(directory))) is None

    def _keep_and_put(self, path: str, keep: str, new: Entry | None) -> Result:
        kept = self._move_aside(path, keep)
        try:
            self._put(path, None, None, new)
        except (OSError, _RefusedError):
            if kept is not None and not self._move_back(kept, path):
                raise _RefusedError(kept) from None
            raise
        return Result(path, Outcome.DONE, kept=kept)

    def _put(
        self, path: str, actual: Entry | None, status: os.stat_result | None, new: Entry | None
    ) -> None:
        """Turn `actual`, no directory, into `new`. Raises _RefusedError if it is not there."""
        if isinstance(new, Directory):
            self._make_directory(path, actual, status)
        elif isinstance(new, File) and _is_mode_only(actual, new):
            self._change_mode(path, new)
        elif isinstance(new, (File, Symlink)):
            self._put_staged(path, actual, status)
        elif actual is not None:
            taken = self._take_out(path, actual, status, None)
            self._displaced.let_go(*taken)

    def _put_staged(
        self,
        path: str,
        actual: Entry | None,
        status: os.stat_result | None,
        *,
        is_dated: bool = False,
    ) -> None:
        """Turn `actual` into what is staged. Raises _RefusedError and OSError as `_put`."""
        staged = self._supply.take(path)
        try:
            if not is_dated:
                self._set_mtime(staged, status)
            if actual is None:
                self._create(staged)
            else:
                self._replace(staged, actual, status)
        except FileExistsError:
            self._supply.put_back(staged)
            raise
        except OSError:
            self._supply.drop(staged)
            raise
        self._placed(staged)

    # Files and links. Each either puts `staged` in its place, or leaves it to the caller to drop
    # and raises OSError, or deals with it and raises _RefusedError.

    def _create(self, staged: Staged) -> None:
        self._beside_if_needed(place_with_parents, staged)

    def _replace(self, staged: Staged, actual: Entry, status: os.stat_result | None) -> None:
        try:
            self._beside_if_needed(_exchange, staged)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            self._replace_in_two(staged, actual, status)
            return
        try:
            trusted = self._trusted(status)
            verdict = self._displaced.examine(staged.name, actual, trusted, is_first=True)
        except OSError:
            raise _RefusedError(self._swap_back(staged)) from None
        if not verdict.as_expected:
            raise _RefusedError(self._swap_back(staged))
        self._displaced.let_go(staged.name, staged.path, actual, verdict)

    def _swap_back(self, staged: Staged) -> str | None:
        """Undo an exchange; return the name of an edit that could not return to its path."""
        path = staged.path
        self._folder.release()  # Its directory, too, may be another by now.
        try:
            self._folder.exchange(staged.name, path)
        except OSError:  # The path is gone, most likely.
            return self._put_back(staged.name, path)
        try:
            verdict = self._displaced.examine(staged.name, staged.entry)
        except OSError:
            verdict = Verdict(as_expected=False)
        if not verdict.as_expected:  # Somebody wrote again, in between.
            return self._displaced.rescue(staged.name, path)
        # Not dropped, nor given back to the contents: it was seen, and may be being opened.
        self._displaced.let_go(staged.name, path, staged.entry, verdict)
        return None

    def _replace_in_two(self, staged: Staged, actual: Entry, status: os.stat_result | None) -> None:
        """Replace where names cannot be exchanged: nothing is lost, but for an instant the path
        is absent. Only the other order, which can lose an edit, would avoid that.
        """
        try:
            taken = self._take_out(staged.path, actual, status, staged.entry)
        except _RefusedError:
            self._supply.drop(staged)
            raise
        try:
            place_with_parents(self._folder, staged.name, staged.path)
        except FileExistsError:  # Somebody was faster; theirs stands, and the old one was known.
            self._displaced.let_go(*taken)
            raise
        except OSError:
            self._put_back(taken[0], staged.path)
            raise
        self._displaced.let_go(*taken)

    def _take_out(
        self, path: str, actual: Entry, status: os.stat_result | None, new: Entry | None
    ) -> tuple[str, str, Entry, Verdict]:
        """Move what is at `path` into the stage if it is `actual`; return it for `let_go`."""
        name = self._displaced.staged_name(path, actual, new, out=True)
        try:
            self._folder.place(path, name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            name = self._displaced.staged_name(path, actual, new, out=True, beside=True)
            self._folder.place(path, name)
        try:
            verdict = self._displaced.examine(name, actual, self._trusted(status))
        except OSError:
            raise _RefusedError(self._put_back(name, path)) from None
        if not verdict.as_expected:
            raise _RefusedError(self._put_back(name, path))
        return name, path, actual, verdict

    def _put_back(self, name: str, path: str) -> str | None:
        """Return what was taken out; name its place if that is not `path`."""
        self._folder.release()
        kept = self._displaced.rescue(name, path, may_return=True)
        return None if kept == path else kept

    def _beside_if_needed(self, move: _Move, staged: Staged) -> None:
        try:
            move(self._folder, staged.name, staged.path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._supply.move_beside(staged)
            move(self._folder, staged.name, staged.path)

    def _set_mtime(self, staged: Staged, status: os.stat_result | None) -> None:
        if isinstance(staged.entry, File):
            now_ns = self._look.now_ns()
            before_ns = status.st_mtime_ns if status and stat.S_ISREG(status.st_mode) else None
            mtime_ns = new_mtime(self._folder, staged.path, before_ns, now_ns, self._bare)
            self._supply.set_mtime(staged, mtime_ns)

    def _placed(self, staged: Staged) -> None:
        """Remember an own write, so that its event is not taken for somebody's edit."""
        self._supply.placed(staged)
        cache, path = self._look.cache, staged.path
        try:
            status = self._folder.lstat(path)
        except OSError:
            return cache.forget(path)
        seen = (status.st_ino, status.st_size, status.st_mtime_ns)
        if seen != (staged.ino, staged.size, staged.mtime_ns) or not isinstance(staged.entry, File):
            return cache.forget(path)
        return cache.put_own(path, stamp_of(status), staged.entry.digest)

    def _trusted(self, status: os.stat_result | None) -> Stamp | None:
        """Return the stamp of a file that was looked at, if it vouches for what was found."""
        if status is None:
            return None
        stamp = stamp_of(status)
        return stamp if is_settled(stamp, self._began_ns) else None

    def _change_mode(self, path: str, new: File) -> None:
        descriptor = self._folder.open(path)
        try:
            status = self._folder.fstat(descriptor)
            mode = self._supply.final_mode(status, executable=new.executable)
            self._folder.set_mode(descriptor, mode)
        finally:
            self._folder.close_file(descriptor)
        self._look.cache.forget(path)

    # Directories.

    def _make_directory(
        self, path: str, actual: Entry | None, status: os.stat_result | None
    ) -> None:
        taken = actual and self._take_out(path, actual, status, DIRECTORY)
        try:
            self._mkdir(path)
        except OSError:
            if taken:
                self._put_back(taken[0], path)
            raise
        if taken:
            self._displaced.let_go(*taken)

    def _mkdir(self, path: str) -> None:
        try:
            self._folder.mkdir(path)
        except FileNotFoundError:
            make_parents(self._folder, path)
            self._folder.mkdir(path)

    # Names.

    def _move_aside(self, path: str, keep: str) -> str | None:
        """Move whatever is at `path` to `keep` or the next free name; None if nothing is there."""
        target = keep if "/" in keep else join(parent_of(path), keep)
        for number in range(1, COPIES_MAX):
            kept = numbered(target, number)
            try:
                place_with_parents(self._folder, path, kept)
            except FileExistsError:
                continue
            except FileNotFoundError:
                return None
            return kept
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)

    def _move_back(self, kept: str, path: str) -> bool:
        try:
            self._folder.place(kept, path)
        except OSError:
            return False
        return True

    def _why_impossible(self, path: str, new: Entry | None) -> Problem | None:
        if isinstance(new, Symlink) and leads_out(path, new.target):
            return Problem(path, ProblemKind.LINK, new.target)
        if other := self._spelling.other(path):
            return Problem(path, ProblemKind.NAME, f"{other} is the same name here")
        return None

    # Results.

    def _refused(self, change: Change, kept: str | None) -> Result:
        try:
            actual, _ = self._look.at(change.path)
        except OSError as error:
            return _failed(change, error)
        outcome = Outcome.DONE if holds(actual, change.new) else Outcome.REFUSED
        told = shallow(actual) if outcome is Outcome.REFUSED else None
        return Result(change.path, outcome, actual=told, kept=kept)

    def _sync_touched(self) -> None:
        touched, self._touched = self._touched, set()
        for directory in sorted(touched) if self._durable else ():
            with suppress(FileNotFoundError, NotADirectoryError):
                self._folder.sync_directory(directory)


def _exchange(folder: Folder, name: str, path: str) -> None:
    folder.exchange(name, path)


def _check(change: Change) -> None:
    check_path(change.path)
    if change.keep is not None:
        check_path(change.keep)
    if isinstance(change.new, Unsynced):
        raise ValueError(f"{change.path}: what cannot be synced cannot be put anywhere")


def _stays(path: str, new: Entry | None) -> Result:
    """Say what becomes of a change to a directory that is kept for what is ignored in it."""
    if new is None:
        return Result(path, Outcome.DONE)
    problem = Problem(path, ProblemKind.UNWRITABLE, IGNORED_IN_THE_WAY)
    return Result(path, Outcome.FAILED, problem=problem)


def _is_synced(entry: Entry | None) -> bool:
    return not isinstance(entry, Unsynced)


def _is_addition(change: Change) -> bool:
    """Whether it puts a file or a directory where nothing is expected."""
    return change.old is None and change.keep is None and isinstance(change.new, File | Directory)


def _is_mode_only(actual: Entry | None, new: Entry | None) -> bool:
    return isinstance(actual, File) and isinstance(new, File) and actual.digest == new.digest


def _failed(change: Change, error: OSError) -> Result:
    """Return the error as a problem with the path: a broken disk stops nothing else either."""
    kind = _KIND_OF.get(error.errno or 0, ProblemKind.UNWRITABLE)
    problem = Problem(change.path, kind, error.strerror or str(error))
    return Result(change.path, Outcome.FAILED, problem=problem)
