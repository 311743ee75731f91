"""One side's folder as sync sees it: what it holds, what changed, and how to change it.

The same on the laptop and on the machine. It blocks, has no thread and one owner; it knows no peer
and decides nothing about whose version is right.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from towline.core.change import Change, Outcome, Result, moved_contents
from towline.core.entry import Directory, Entry, File, Unsynced, directories_in, shallow
from towline.core.ignore import NO_CHECKPOINTS
from towline.core.path import (
    BadPathError,
    by_directory,
    check_path,
    is_below,
    join,
    name_of,
    parent_of,
)
from towline.core.problem import Problem, ProblemKind
from towline.core.steps import Steps, run_to_end
from towline.core.summary import digest_of_directory
from towline.core.tree import Tree
from towline.disk.apply import Apply
from towline.disk.cache import Cache, inode_in, load_cache, packed_stamp_of
from towline.disk.displaced import Displaced, Kept
from towline.disk.folder import STAGE, Folder, is_own_path
from towline.disk.graft import Grafts, MoveIn
from towline.disk.ignored import ignored_among
from towline.disk.incarnation import RootState, root_state
from towline.disk.look import UNSETTLED, Look
from towline.disk.observation import Observation, differences, uppermost
from towline.disk.outgoing import Outgoing
from towline.disk.reading import Progress, Reading
from towline.disk.scan import LeftOut, Rules, Scan
from towline.disk.signatures import Signatures
from towline.disk.stage import TOTAL_MAX, Stage
from towline.disk.versions import Versions

__all__ = ["Kept", "Replica"]

SCANNED_MAX = 24 << 20  # Bytes of contents kept from a scan; the rest is read again to be sent.


class Replica:
    """A folder with its tree. `host` names conflict copies; `stage_max` in bytes. With `settles` a
    checkpoint is unsynced as long as it is being written.

    `tree`: what this side is known to hold; its root is None before the first scan, and if the
    folder was removed. `problems`: by path. Raises OSError where the folder as a whole fails.
    """

    def __init__(
        self,
        folder: Folder,
        rules: Rules,
        *,
        host: str,
        durable: bool = False,
        now_ns: Callable[[], int] = time.time_ns,
        cache_file: Path | None = None,
        stage_max: int = TOTAL_MAX,
        settles: bool = False,
    ) -> None:
        self.folder = folder
        self.tree = Tree()
        self.problems: dict[str, Problem] = {}
        self.left_out: list[LeftOut] = []
        self._signatures = Signatures()
        if cache_file is not None:
            self._signatures.load(_signatures_file(cache_file))
        self.stage = Stage(folder, now_ns, stage_max, self._signatures)
        self._now_ns = now_ns
        self._cache_file = cache_file
        self._cache = load_cache(cache_file) if cache_file else Cache()
        self._look = Look(folder, self._cache, now_ns, self._signatures)
        self._settles = settles
        self.settling = self._look.settling
        self.reading = Reading(self._look)
        self.outgoing = Outgoing(folder, self._cache, self._look)
        self.versions = Versions(folder, self._cache, self._signatures, self.stage)
        self._just_read: dict[str, Entry | None] = {}
        self._displaced = Displaced(folder, host, now_ns)
        self._grafts = Grafts(self._look)
        self._apply = Apply(self._look, self.stage, self._displaced, self._grafts, durable=durable)
        self._to_observe: set[str] = set()  # Looked at with the next `observe`, event or not.
        self._noted: set[str] | None = None  # Seen or done while a scan runs.
        self._linked: set[bytes] = set()  # Inodes with other names, that were found changed.
        self.set_rules(rules)

    @property
    def rules(self) -> Rules:
        return self._rules

    @property
    def has_retired(self) -> bool:
        """Whether `review` has anything to do or to tell, now or later."""
        return self._displaced.has_retired

    def set_rules(self, rules: Rules) -> None:
        """Use these from now on. What is known changes with the next scan."""
        self._rules = rules
        self._look.size_max, self._look.checkpoints = rules.size_max, rules.checkpoints
        self.settling.checkpoints = rules.checkpoints if self._settles else NO_CHECKPOINTS

    def follow_by(self, move_in: MoveIn) -> None:
        """Have new directories get their places by `move_in`: so a watch can follow them there."""
        self._grafts.move_in = move_in

    def scan(self) -> None:
        for _ in self.scan_steps():
            pass

    def scan_steps(self, contents: dict[bytes, bytes] | None = None) -> Iterator[None]:
        """Look at everything again, step by step; `tree` is replaced at the end.

        Between steps the replica can be used as ever. `contents` gets what is read of small files
        on the way, as far as SCANNED_MAX goes.
        """
        self._recover(self._leftovers())
        noted = self._noted = set()
        scan = Scan(self._look)
        try:
            with self._look.keeping(contents, SCANNED_MAX):
                root = yield from scan.directory_steps("", self._rules.at(""))
            left_out = yield from scan.left_out_steps()
        finally:
            self._noted = None
        if root_state(self.folder) is not RootState.PRESENT:
            root = None
        if isinstance(root, Unsynced):
            raise PermissionError(errno.EACCES, root.detail, str(self.folder.root))
        self.tree, self.problems, self.left_out = Tree(root), scan.problems, left_out
        self._cache.keep_only(self._names_in)
        self._recover(scan.beside)
        self.observe(noted)

    def verify_steps(self) -> Steps[list[Observation]]:
        """Look at everything again, step by step; return what had changed without being told.

        Between steps the replica can be used as ever.
        """
        known = self.tree
        yield from self.scan_steps()
        return list(differences("", known.root, self.tree.root))

    def observe(
        self, paths: Iterable[str], contents: dict[bytes, bytes] | None = None
    ) -> list[Observation]:
        """Look again at these paths; return what really changed, parents first.

        `contents` gets what is read of small files on the way. A directory is looked at with all
        it holds; but a large file that would have to be read is taken for what it was, and left to
        `read_on`. Paths that are ignored, unusable or towline's own are skipped; so are those below
        another one in the result.
        """
        waiting, self._to_observe = self._to_observe, set()
        subjects = self._subjects({*paths, *waiting})
        self._look.moved = self._rows_moved(subjects)
        with self._look.keeping(contents), self._look.postponing(self._postpone):
            try:
                changed = self._observe_each(subjects)
                if self._linked:
                    changed |= self._observe_each(self._cache.paths_of(self._linked))
            finally:
                self._linked.clear()
                self.folder.release()
        # A later look may have found more below an earlier one: the tree has the last word.
        return [Observation(path, self.tree.get(path)) for path in uppermost(changed)]

    def read_ahead(self, path: str) -> None:
        """Read a known file that is to be observed in an instant; `forget_ahead` if it changes."""
        known = self.tree.get(path)
        if isinstance(known, File):
            try:
                self._hold_parent(path)
                self._look.read_ahead(path)
            finally:
                self.folder.release()

    def doubt(self, paths: Iterable[str]) -> None:
        """Read these files when they are looked at next, whatever their stamps say."""
        for path in paths:
            self._cache.doubt(path)

    def note_changed(self, paths: Iterable[str]) -> None:
        """These have changed just now, and may go on to."""
        self.settling.note_changed(paths, self._now_ns())

    def forget_ahead(self) -> None:
        self._look.forget_ahead()

    def read_on(self) -> tuple[list[Observation], Progress | None]:
        """Read a bit of what `observe` left to be read; return as it does, and how far that is.

        To be called while `reading.delay_s()` is not None, and not sooner than it says.
        """
        read, progress = self.reading.step()
        if read is None:
            return [], progress
        self._just_read = dict([read])
        try:
            return self.observe([read[0]]), progress
        finally:
            self._just_read = {}

    def look_at_settled(self) -> list[Observation]:
        """Look at the checkpoints that may have settled by now; return what `observe` does.

        To be called when `settle_delay_s` says so.
        """
        due = self.settling.due(self._now_ns())
        observations = self.observe(due)
        self.settling.looked_at(due, self._now_ns())
        return observations

    def settle_delay_s(self) -> float | None:
        """How long until a checkpoint may have settled; None: none is being written."""
        return self.settling.delay_s(self._now_ns())

    def new_checkpoint(self) -> str | None:
        """Return the checkpoint that is being read, if it was just closed and its name is new."""
        path = self.reading.path
        if path is None or not self.settling.was_closed(path):
            return None
        return None if self._cache.last_digest(path) else path

    def apply(self, changes: Sequence[Change], contents: Mapping[bytes, bytes]) -> list[Result]:
        """Carry out a group of changes; see `disk.apply`. The tree follows what was done.

        Contents that are not given are taken from files that the same group removes, if there.

        A path that is ignored here is refused: who asks for it goes by other rules, or means ill.

        The next `observe` tells the conflict copies (`Result.kept`), as anything new.
        """
        ignored = ignored_among(changes, self._rules)
        allowed = [change for change, no in zip(changes, ignored, strict=True) if not no]
        at_hand = {**dict(self._moved(allowed, contents)), **contents}
        carried_out = iter(self._apply.carry_out(allowed, at_hand, self._rules))
        results = [
            Result(change.path, Outcome.REFUSED) if no else next(carried_out)
            for change, no in zip(changes, ignored, strict=True)
        ]
        for directory, some in by_directory(
            zip(changes, results, strict=True), lambda pair: pair[0].path
        ):
            self._note_results(directory, some)
        return results

    def _note_results(self, directory: str, some: Sequence[tuple[Change, Result]]) -> None:
        """Take in what became of changes in one directory: most often new files, as planned."""
        files = {
            name_of(change.path): change.new
            for change, result in some
            if isinstance(change.new, File) and result.outcome is Outcome.DONE and not result.kept
        }
        known = self.tree.children_in(directory) or {}
        is_quiet = not self.problems and self._noted is None
        if is_quiet and len(files) == len(some) and known.keys().isdisjoint(files):
            self.tree.add(directory, files)
        else:
            for change, result in some:
                self._note_result(change, result)

    def _note_result(self, change: Change, result: Result) -> None:
        if result.outcome is Outcome.DONE:
            self.tree.put_shallow(change.path, change.new)
            self._forget_problems(change.path, below=not isinstance(change.new, Directory))
        else:
            self._note_told(result)
            self._to_observe.add(change.path)
        if result.kept is not None:
            self._to_observe.add(result.kept)
        if self._noted is not None:
            self._noted.add(change.path)

    def rename(self, source: str, target: str, digest: bytes) -> Result:
        """Give a directory another name, if all that is known to be in it has this digest.

        What the next `observe` tells is what was not known to be in it.
        """
        entry = self.tree.get(source)
        is_same = isinstance(entry, Directory) and digest_of_directory(entry) == digest
        if not is_same or self._rules.ignores(target, True) or is_below(target, source):
            result = Result(target, Outcome.REFUSED, actual=shallow(self.tree.get(target)))
        else:
            result = self._apply.rename(source, target)
        if result.outcome is Outcome.DONE:
            for path, _ in self.tree.walk(source):
                self._cache.move(path, target + path.removeprefix(source))
            self.tree.put(target, entry)
            self.tree.put(source, None)
        else:
            self._note_told(result)
        self._to_observe.update((source, target))
        if self._noted is not None:
            self._noted.update((source, target))
        return result

    def _note_told(self, result: Result) -> None:
        """Whoever reads a refusal takes it for the truth: what differs from it is to be told."""
        is_known = isinstance(self.tree.get(parent_of(result.path)), Directory)
        if result.outcome is Outcome.REFUSED and is_known:
            self.tree.put_shallow(result.path, result.actual)

    def _moved(
        self, changes: Sequence[Change], given: Mapping[bytes, bytes]
    ) -> Iterator[tuple[bytes, bytes]]:
        """Yield the contents that are not given and can be had here."""
        for digest, (path, file) in moved_contents(changes).items():
            if digest not in given and (content := self.outgoing.read(path, file)) is not None:
                yield digest, content

    def review_due(self, now: float) -> float | None:
        """Return when to call `review`; None: there is nothing to look at."""
        return self._displaced.review_due(now)

    def review(self, now: float, *, at_once: bool = False) -> list[Kept]:
        """Look again at what was replaced and may yet be written to; return new conflict copies.

        To be called when `review_due` says; `now` in seconds of any clock, and the same one.
        `at_once`: what was written by now is to be found. The next `observe` tells of the copies.
        """
        kept = self._displaced.review(now, at_once=at_once)
        self._to_observe.update(one.copy for one in kept)
        return kept

    def tidy(self) -> None:
        """Drop what was replaced and is not open, without waiting longer: this life ends."""
        self._displaced.tidy()

    def save_cache(self) -> None:
        """Write the digests known to the cache file, if there is one. Raises OSError."""
        if self._cache_file is not None:
            self._cache.save(self._cache_file)
            self._signatures.save(_signatures_file(self._cache_file))

    # Scanning.

    def _names_in(self, directory: str) -> Container[str]:
        entry = self.tree.get(directory)
        return entry.children if isinstance(entry, Directory) else ()

    def _leftovers(self) -> list[str]:
        try:
            return [join(STAGE, name) for name, _ in self.folder.scan_directory(STAGE)]
        except OSError:
            return []

    def _recover(self, names: list[str]) -> None:
        """Deal with what an earlier life left; a graft that fails is tried with the next scan."""
        for name in names:
            with suppress(OSError):
                if not self._grafts.recover(name):
                    self._displaced.recover(name)

    # Observing.

    def _rows_moved(self, subjects: Iterable[str]) -> dict[bytes, bytes]:
        """Return what is known of files in directories that are gone: they may be elsewhere."""
        moved: dict[bytes, bytes] = {}
        for path in subjects:
            entry = self.tree.get(path)
            if isinstance(entry, Directory) and not self._is_there(path):
                for directory in directories_in(path, entry):
                    moved.update(self._cache.rows_by_stamp(directory))
        return moved

    def _is_there(self, path: str) -> bool:
        try:
            self.folder.lstat(path)
        except OSError:
            return not path
        return True

    def _subjects(self, paths: set[str]) -> list[str]:
        """Return what to look at for these paths: where one is new, its uppermost new parent."""
        usable = [path for path in uppermost(paths) if not path or _is_usable(path)]
        return uppermost({self._uppermost_new(path) for path in usable})

    def _hold_parent(self, path: str) -> None:
        """Hold the directory that `path` is in: the next path is in the same one, most often."""
        with suppress(OSError):  # Whatever it is, looking at the path tells it better.
            self.folder.hold(parent_of(path))

    def _uppermost_new(self, path: str) -> str:
        if isinstance(self.tree.get(parent_of(path)), Directory):
            return path
        at = ""
        for name in path.split("/")[:-1]:
            at = join(at, name)
            if not isinstance(self.tree.get(at), Directory):
                return at
        return path

    def _observe_each(self, subjects: Iterable[str]) -> set[str]:
        """Look at these paths; return those that really changed."""
        changed: set[str] = set()
        for path in subjects:
            if self._noted is not None:
                self._noted.add(path)
            self._hold_parent(path)
            changed.update(observation.path for observation in self._observe_one(path))
        return changed

    def _observe_one(self, path: str) -> list[Observation]:
        old = self.tree.get(path)
        if isinstance(old, File) and (file := self._file_now(path, old)) is not None:
            return self._note_file(path, old, file)
        scan = Scan(self._look)
        new = self._entry_now(path, scan)
        changed = list(differences(path, old, new))
        self._forget_below(path, old, new)
        self.problems.update(scan.problems)
        if changed and (path or new is None or isinstance(new, Directory)):
            self.tree.put(path, new)
        parent = parent_of(path)
        if path and new is None and self._is_bare(parent):
            # Without this entry its parent may hold only what is ignored, or nothing at all.
            changed += self._observe_one(parent)
        return changed

    def _file_now(self, path: str, known: File) -> File | None:
        """Return the file at `path` as far as one look tells; None where it takes more."""
        try:
            status = self.folder.lstat(path)
        except OSError:
            return None
        file = self._look.at_once(path, status) if stat.S_ISREG(status.st_mode) else None
        if file != known and status.st_nlink > 1:
            self._linked.add(inode_in(packed_stamp_of(status)))
        return None if file != known and self._rules.ignores(path, False) else file

    def _note_file(self, path: str, old: File, new: File) -> list[Observation]:
        """A file is one still: often the same, of our own writing."""
        if self.problems:
            self._forget_problems(path, below=True)
        if new == old:
            return []
        self.tree.put(path, new)
        return [Observation(path, new)]

    def _entry_now(self, path: str, scan: Scan) -> Entry | None:
        try:
            status = self.folder.lstat(path) if path else self.folder.fstat_root()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            detail = error.strerror or str(error)
            scan.problems[path] = Problem(path, ProblemKind.UNREADABLE, detail)
            return Unsynced(ProblemKind.UNREADABLE, detail)
        is_directory = stat.S_ISDIR(status.st_mode)
        if path and self._rules.ignores(path, is_directory):
            return None
        if stat.S_ISREG(status.st_mode) and (file := self._look.at_once(path, status)) is not None:
            return file
        below = self._rules.at(path if is_directory else parent_of(path))
        return run_to_end(scan.entry_steps(path, status, below))

    def _postpone(self, path: str, _status: os.stat_result) -> Entry | None:
        """Return what a large file is to be taken for: what it was, unless it was just read.

        Of a checkpoint it must be known, for the sake of its mark, that there is a new one.
        """
        if path in self._just_read:
            return self._just_read.pop(path)
        self.reading.add(path)
        is_checkpoint = self.settling.checkpoints.covers(path)
        return UNSETTLED if is_checkpoint else self.tree.get(path)

    def _is_bare(self, directory: str) -> bool:
        entry = self.tree.get(directory)
        return bool(directory) and isinstance(entry, Directory) and not entry.children

    def _forget_below(self, path: str, old: Entry | None, new: Entry | None) -> None:
        self._forget_problems(path, below=True)
        if not isinstance(new, (File, Directory)) and new != UNSETTLED:
            self._cache.forget(path)
        if isinstance(old, Directory) and not isinstance(new, Directory):
            for directory in directories_in(path, old):
                self._cache.forget_in(directory)

    def _forget_problems(self, path: str, *, below: bool) -> None:
        self.problems.pop(path, None)
        for known in [known for known in self.problems if below and is_below(known, path)]:
            del self.problems[known]


def _signatures_file(cache_file: Path) -> Path:
    return cache_file.with_name(f"{cache_file.name}-blocks")


def _is_usable(path: str) -> bool:
    if is_own_path(path):
        return False
    try:
        check_path(path)
    except BadPathError:
        return False
    return True
