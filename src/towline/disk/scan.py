"""A walk over a root, or a part of it, that turns what is there into entries.

It is cooperative: a caller that runs it step by step stays live. It decides nothing, and what it
cannot read or may not sync is an entry too, never absence. Ignore rules are a seam (`Rules`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Protocol

from towline.core.checkpoint import Checkpoints
from towline.core.entry import Directory, Entry, File, Unsynced
from towline.core.path import OWN_DIRECTORY, BadPathError, check_path, join, shared
from towline.core.problem import Problem, ProblemKind
from towline.core.steps import Steps
from towline.disk.folder import BESIDE_PREFIX, is_own_name
from towline.disk.look import Look

ENTRIES_PER_STEP = 256  # About a millisecond of lstat.
LEFT_OUT_MAX = 5  # Told at link time; more would not be read.
LEFT_OUT_WALK_MAX = 20_000  # Entries looked at to size ignored directories: some 40 ms.
LEFT_OUT_SHARE_MIN = 200  # Of these for each directory at least, however many there are.
_LONG_PATH = (
    198  # Characters; only longer paths can have more than DEPTH_MAX names, or be too long.
)


Found = list[tuple[str, os.stat_result]]


class DirectoryRules(Protocol):
    """The ignore rules as they apply in one directory."""

    def ignores(self, name: str, is_directory: bool) -> bool: ...
    def spares(self, names: Sequence[str]) -> bool: ...
    def below(self, name: str) -> DirectoryRules: ...


class Rules(Protocol):
    """What is left out of a root, or waits. `size_max` in bytes, None for no limit."""

    @property
    def size_max(self) -> int | None: ...
    @property
    def checkpoints(self) -> Checkpoints: ...
    def at(self, directory: str) -> DirectoryRules: ...
    def ignores(self, path: str, is_directory: bool) -> bool: ...


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something ignored or too large. `size` in bytes, of a directory its files' sum."""

    path: str
    size: int
    reason: str
    at_least: bool = False


class Scan:
    """One walk. Run `directory_steps`, then read what it gathered."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._folder = look.folder
        self._seen = 0
        self._ignored_directories: list[str] = []
        self._left_out: list[LeftOut] = []
        self.problems: dict[str, Problem] = {}
        self.beside: list[str] = []  # Own names found beside their targets, left by a crash.

    def directory_steps(self, path: str, rules: DirectoryRules) -> Steps[Entry | None]:
        """Yield now and then; return the Directory with all that is synced below `path`.

        None if it holds only what is ignored: as in git it is then no part of the tree, so that
        leftovers of ignored files do not bring a removed directory back.
        """
        try:
            found = self._folder.scan_directory(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            unreadable = Unsynced(ProblemKind.UNREADABLE, error.strerror or str(error))
            return self._noted(path, unreadable)
        others = [one for one in found if one[0][0] != "." or not self._is_own(path, one[0])]
        is_bare = not others
        children: dict[str, Entry] = {}
        others = yield from self._files_steps(path, others, rules, children)
        for name, status in others:
            child = yield from self._child_steps(path, name, status, rules)
            if child is not None:
                children[shared(name)] = child
        return Directory(children) if children or is_bare or not path else None

    def _is_own(self, parent: str, name: str) -> bool:
        """Whether a name is towline's own; note it if a crash may have left it."""
        if not is_own_name(name, at_top=not parent):
            return False
        if name.startswith(BESIDE_PREFIX):
            self.beside.append(join(parent, name))
        return True

    def _files_steps(
        self, path: str, found: Found, rules: DirectoryRules, children: dict[str, Entry]
    ) -> Steps[Found]:
        """Take in the files of a directory that one look suffices for; return all the others."""
        others: Found = []
        for start in range(0, len(found), ENTRIES_PER_STEP):
            some = found[start : start + ENTRIES_PER_STEP]
            self._seen += len(some)
            if self._seen >= ENTRIES_PER_STEP:
                self._seen = 0
                yield
            files = self._files_among(path, some, rules)
            children.update(files)
            others += [one for one in some if one[0] not in files]
        return others

    def _files_among(self, path: str, found: Found, rules: DirectoryRules) -> dict[str, File]:
        """Return the files that one look suffices for: the cache knows them, or they are small."""
        able = [one for one in found if not _may_be_unusable(path, one[0])]
        if not rules.spares([name for name, _ in able]):
            able = [one for one in able if not rules.ignores(one[0], False)]
        return self._look.files_in(path, able)

    def entry_steps(
        self, path: str, status: os.stat_result, below: DirectoryRules
    ) -> Steps[Entry | None]:
        """As `directory_steps` for whatever is at `path`; `below` holds inside it."""
        if stat.S_ISDIR(status.st_mode):
            return (yield from self.directory_steps(path, below))
        entry = yield from self._look.entry_steps(path, status)
        if isinstance(entry, Unsynced) and entry.kind is ProblemKind.TOO_LARGE:
            self._leave_out(LeftOut(path, status.st_size, "too large"))
        return self._noted(path, entry)

    def left_out_steps(self) -> Steps[list[LeftOut]]:
        """Size what was ignored, within bounds; return the largest things left out."""
        budget = LEFT_OUT_WALK_MAX
        # The uppermost first: these are the data and the environments, not the many small caches.
        directories = sorted(self._ignored_directories, key=lambda path: (path.count("/"), path))
        for number, directory in enumerate(directories):
            if budget <= 0:
                break
            share = max(LEFT_OUT_SHARE_MIN, budget // (len(directories) - number))
            size, looked, whole = yield from self._size_steps(directory, min(share, budget))
            budget -= looked
            self._leave_out(LeftOut(directory, size, "ignored", at_least=not whole))
        return self._left_out

    def _child_steps(
        self, parent: str, name: str, status: os.stat_result, rules: DirectoryRules
    ) -> Steps[Entry | None]:
        path = join(parent, name)
        is_directory = stat.S_ISDIR(status.st_mode)
        if rules.ignores(name, is_directory):
            if name == OWN_DIRECTORY:  # Ours, or that of a project inside this one.
                return None
            if is_directory:
                self._ignored_directories.append(path)
            else:
                self._leave_out(LeftOut(path, status.st_size, "ignored"))
            return None
        if _may_be_unusable(parent, name) and (detail := _why_unusable(path)):
            return self._noted(path, Unsynced(ProblemKind.NAME, detail))
        below = rules.below(name) if is_directory else rules
        return (yield from self.entry_steps(path, status, below))

    def _size_steps(self, directory: str, limit: int) -> Steps[tuple[int, int, bool]]:
        """Return (bytes, entries looked at, whether that was all) of an ignored directory."""
        size, looked, waiting = 0, 0, [directory]
        while waiting and looked < limit:
            at = waiting.pop()
            try:
                found = self._folder.scan_directory(at)
            except OSError:
                continue
            for name, status in found:
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(join(at, name))
                elif stat.S_ISREG(status.st_mode):
                    size += status.st_size
            looked += len(found) + 1
            yield
        return size, looked, not waiting

    def _leave_out(self, left: LeftOut) -> None:
        self._left_out = nlargest(LEFT_OUT_MAX, [*self._left_out, left], key=lambda one: one.size)

    def _noted(self, path: str, entry: Entry | None) -> Entry | None:
        if isinstance(entry, Unsynced):
            self.problems[path] = Problem(path, entry.kind, entry.detail)
        return entry


def _may_be_unusable(parent: str, name: str) -> bool:
    """Whether `check_path` may refuse a path that a walk has found."""
    return not parent or len(parent) + len(name) >= _LONG_PATH


def _why_unusable(path: str) -> str | None:
    try:
        check_path(path)
    except BadPathError as error:
        return str(error)
    return None
