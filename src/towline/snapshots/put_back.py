"""Putting restored files in their places: nothing that stands there is lost by it.

What was restored lies in the folder's own stage, whole, and is moved from there by name, so each
file is the old one or the new one. What stands in a place and is not the same is not judged by its
time: it takes the name of a conflict copy beside it. Directories that are missing come back in one
move, with all that is in them. Nothing here knows restic.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType

from towline.core.conflict import copy_name
from towline.core.path import OWN_DIRECTORY, BadPathError, check_path, join
from towline.disk.displaced import COPIES_MAX
from towline.disk.folder import Folder, is_own_name
from towline.disk.own import ensure_own_directory
from towline.disk.rename import UNSUPPORTED

STAGE = "restore-"
PIECE = 64 << 10  # Bytes compared at a time; most files are smaller.
HOST = "before-restore"  # In the names of what is kept.


@dataclass(slots=True)
class Restored:
    """What became of it. `kept` names, by path, where what stood there lives on."""

    placed: int = 0  # Files and links.
    same: int = 0
    kept: dict[str, str] = field(default_factory=dict[str, str])
    failed: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Stage:
    """A place for what is restored, on the same disk as where it is to go."""

    root: Path
    directory: Path
    was_ours: bool  # Whether towline used this folder before.


def open_stage(root: Path) -> Stage:
    """Make a stage in a folder, which is made, too, if it is not there. Raises OSError."""
    root.mkdir(parents=True, exist_ok=True)
    was_ours = (root / OWN_DIRECTORY).is_dir()
    own = ensure_own_directory(root)
    _clear_leftovers(own)
    directory = own / f"{STAGE}{os.getpid()}-{os.urandom(4).hex()}"
    directory.mkdir(mode=0o700)
    return Stage(root, directory, was_ours)


def _clear_leftovers(own: Path) -> None:
    """Remove stages of processes that were killed: what is in them is in the repository, too."""
    for stage in own.glob(f"{STAGE}*-*") if sys.platform != "win32" else ():
        owner = stage.name.removeprefix(STAGE).partition("-")[0]
        try:
            os.kill(int(owner), 0)
        except ProcessLookupError:
            shutil.rmtree(stage, onerror=_make_writable)
        except (ValueError, OSError):
            continue


def close_stage(stage: Stage) -> None:
    """Remove what is left of it; what was not placed is still in the repository."""
    shutil.rmtree(stage.directory, onerror=_make_writable)
    if not stage.was_ours:
        own = stage.directory.parent
        (own / ".gitignore").unlink(missing_ok=True)
        with suppress(OSError):
            own.rmdir()


def _make_writable(_: Callable[..., object], path: str, __: object) -> None:
    """A directory that came back read-only is ours to remove all the same."""
    with suppress(OSError):
        os.chmod(os.path.dirname(path), 0o700)
        os.chmod(path, 0o700)
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


def put_back(
    stage: Stage,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    *,
    spoilt: Mapping[str, str] = MappingProxyType({}),
    is_wanted: Callable[[], bool] = lambda: True,
    restored: Restored | None = None,
) -> Restored:
    """Move all that was restored into its place, as long as it `is_wanted`, but for files that are
    `spoilt`, and why. `restored` tells at any time what became of it."""
    if hasattr(os, "sync"):
        os.sync()  # What is in place is on the disk: a power cut leaves old or new.
    folder = Folder(stage.root)
    try:
        placing = _Placing(folder, stage, now, is_wanted, restored or Restored())
        placing.leave_out(spoilt)
        placing.directory("")
        for directory in sorted(placing.touched):
            folder.sync_directory(directory)
        return placing.restored
    finally:
        folder.close()


class _Placing:
    def __init__(
        self,
        folder: Folder,
        stage: Stage,
        now: Callable[[], datetime],
        is_wanted: Callable[[], bool],
        restored: Restored,
    ) -> None:
        self._folder = folder
        self._from = stage.directory.relative_to(stage.root).as_posix()
        self._now = now
        self._is_wanted = is_wanted
        self.restored = restored
        self.touched: set[str] = set()

    def leave_out(self, spoilt: Mapping[str, str]) -> None:
        """Take it out of the stage. Of a directory there stays what came of it."""
        self.restored.failed.update(spoilt)
        for path in spoilt:
            staged = join(self._from, path)
            with suppress(BadPathError, FileNotFoundError, NotADirectoryError):
                check_path(path)
                if not stat.S_ISDIR(self._folder.lstat(staged).st_mode):
                    with self._writable(staged.rpartition("/")[0]):
                        self._folder.unlink(staged)

    def directory(self, path: str) -> None:
        """Place what is in a directory that exists in both."""
        for name, status in self._folder.scan_directory(join(self._from, path)):
            if not self._is_wanted():
                return
            if is_own_name(name, at_top=not path):
                continue
            at = join(path, name)
            try:
                self._place(check_path(at), status)
            except BadPathError as error:
                self.restored.failed[at] = str(error)
            except OSError as error:
                self.restored.failed[at] = error.strerror or str(error)

    def _place(self, path: str, status: os.stat_result) -> None:
        staged = join(self._from, path)
        count = self._count(staged, status)
        try:
            self._move(staged, path, status)
        except FileExistsError:
            self._place_against(path, staged, status)
        else:
            self._placed(path, count)

    def _move(self, staged: str, path: str, status: os.stat_result) -> None:
        """Move it to a name that is free. Of a directory its `..` changes: that must be allowed."""
        mode = stat.S_IMODE(status.st_mode)
        if not stat.S_ISDIR(status.st_mode) or mode & stat.S_IWUSR:
            return self._folder.place(staged, path)
        self._set_mode(staged, mode | stat.S_IRWXU)
        self._folder.place(staged, path)
        self._set_mode(path, mode)
        return None

    @contextmanager
    def _writable(self, directory: str) -> Generator[None]:
        status = self._folder.lstat(directory)
        mode = stat.S_IMODE(status.st_mode)
        self._set_mode(directory, mode | stat.S_IRWXU)
        try:
            yield
        finally:
            self._set_mode(directory, mode)
            self._folder.set_mtime(directory, status.st_mtime_ns)

    def _set_mode(self, path: str, mode: int) -> None:
        with self._opened(path) as descriptor:
            self._folder.set_mode(descriptor, mode)

    def _place_against(self, path: str, staged: str, status: os.stat_result) -> None:
        """Something stands there."""
        there = self._folder.lstat(path)
        if stat.S_ISDIR(there.st_mode) and stat.S_ISDIR(status.st_mode):
            return self.directory(path)
        if self._is_same(path, there, staged, status):
            self._adopt(path, there, status)
            self.restored.same += 1
            return None
        self._refresh_mtime(there, staged, status)
        count = self._count(staged, status)
        if (kept := self._exchange(path, staged, status)) is not None:
            self.restored.kept[path] = kept
        self._placed(path, count)
        return None

    def _placed(self, path: str, count: int) -> None:
        self.restored.placed += count
        self.touched.add(path.rpartition("/")[0])

    def _exchange(self, path: str, staged: str, status: os.stat_result) -> str | None:
        """Put the staged thing in its place and what stood there beside it; return its name.

        It goes beside first, and the two are exchanged there: what stood in the place is never in
        the stage, which a kill may leave to be cleared away.
        """
        copy = self._move_beside(staged, path, status)
        try:
            self._folder.exchange(copy, path)
        except FileNotFoundError:  # It was removed meanwhile.
            self._folder.place(copy, path)
            return None
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            there = self._folder.lstat(path)
            kept = self._move_beside(path, path, there)  # For an instant nothing has this name.
            self._folder.place(copy, path)
            return kept
        return copy

    def _move_beside(self, source: str, path: str, status: os.stat_result) -> str:
        for number in range(1, COPIES_MAX):
            copy = copy_name(path, HOST, self._now(), number)
            with suppress(FileExistsError):
                self._move(source, copy, status)
                return copy
        raise FileExistsError(f"{path} has too many copies")

    def _is_same(
        self, path: str, there: os.stat_result, staged: str, status: os.stat_result
    ) -> bool:
        if stat.S_IFMT(there.st_mode) != stat.S_IFMT(status.st_mode):
            return False
        if stat.S_ISLNK(there.st_mode):
            return self._folder.readlink(path) == self._folder.readlink(staged)
        if not stat.S_ISREG(there.st_mode) or there.st_size != status.st_size:
            return False
        with self._opened(path) as one, self._opened(staged) as other:
            pieces = zip_longest(self._pieces(one), self._pieces(other))
            return all(mine == theirs for mine, theirs in pieces)

    def _adopt(self, path: str, there: os.stat_result, status: os.stat_result) -> None:
        """Give what is the same already the mode and time of the snapshot."""
        if not stat.S_ISREG(there.st_mode):
            return
        self._set_mode(path, stat.S_IMODE(status.st_mode))
        self._folder.set_mtime(path, status.st_mtime_ns)

    def _refresh_mtime(self, there: os.stat_result, staged: str, status: os.stat_result) -> None:
        """Python takes bytecode for current by whole second and size of its source: where the old
        and the new agree in both, the snapshot's time would make it run the other's code."""
        same_second = int(there.st_mtime) == int(status.st_mtime)
        if same_second and there.st_size == status.st_size and staged.endswith(".py"):
            self._folder.set_mtime(staged, status.st_mtime_ns + 1_000_000_000)

    def _count(self, staged: str, status: os.stat_result) -> int:
        """Return how many files and links are moved with a name."""
        if not stat.S_ISDIR(status.st_mode):
            return 1
        entries = self._folder.scan_directory(staged)
        return sum(self._count(join(staged, name), each) for name, each in entries)

    @contextmanager
    def _opened(self, path: str) -> Generator[int]:
        descriptor = self._folder.open(path)
        try:
            yield descriptor
        finally:
            self._folder.close_file(descriptor)

    def _pieces(self, descriptor: int) -> Iterator[bytes]:
        while piece := self._folder.read(descriptor, PIECE):
            yield piece
