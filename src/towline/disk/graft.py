"""New directories, made whole in the stage and put in place by one rename each.

Where nothing stands at a directory's name, nothing stands at any path below it: taking the one
name is the compare-and-swap of all of them. What cannot be had that way (the name is taken, another
device, content that is not at hand) is left to be carried out path by path. Decides nothing else.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from towline.core.change import Change
from towline.core.entry import Directory, File, digest_of
from towline.core.path import join, name_of, parent_of
from towline.disk.cache import Stamp, stamp_of
from towline.disk.folder import STAGE, Folder, mode_of_new
from towline.disk.look import Look

MoveIn = Callable[[Mapping[str, str], Callable[[], None]], None]
"""Gives directories, all by one move, their places: as staged → the path. As a watch does it."""

_PREFIX = f"{STAGE}/graft-"


@dataclass(slots=True)
class _Graft:
    """A directory staged as `name`: what stands where it belongs once it has the name `path`."""

    path: str
    name: str
    directories: dict[str, str] = field(default_factory=dict[str, str])  # As staged → its path.
    files: dict[str, tuple[Stamp, bytes]] = field(default_factory=dict[str, tuple[Stamp, bytes]])


class Grafts:
    """The new directories of one group of changes, by path.

    `move_in` is told of each that gets its place.
    """

    def __init__(self, look: Look) -> None:
        self._folder: Folder = look.folder
        self.move_in: MoveIn = _just_move
        self._look = look
        self._token = f"{_PREFIX}{os.urandom(4).hex()}-"  # Tells this life's from leftovers.
        self._count = 0
        self._ready: dict[str, _Graft] = {}
        self._within: dict[str, tuple[_Graft, str]] = {}  # Directory → its graft, its staged name.
        self._placed: set[str] = set()

    def grow(self, changes: Sequence[Change], contents: Mapping[bytes, bytes]) -> set[str]:
        """Make what the changes put into new directories; return the paths of all that is made.

        Raises OSError, and leaves it to `finish` to drop what was made.
        """
        made: set[str] = set()
        try:
            for change in changes:
                if change.old is None and change.keep is None and self._grow(change, contents):
                    made.add(change.path)
        finally:
            self._folder.release()
        return made

    def put(self, path: str) -> bool:
        """Whether `path` stands where it belongs now, as a change wants it, by way of a graft."""
        graft = self._ready.pop(path, None)
        if graft is None:
            return path in self._placed
        try:
            self.move_in(graft.directories, lambda: self._folder.place(graft.name, path))
        except OSError:
            self._drop(graft)
            return False
        self._placed.update(graft.directories.values(), graft.files)
        for file, (stamp, digest) in graft.files.items():
            self._look.cache.put_own(file, stamp, digest)  # Renaming what it is in leaves a stamp.
        return True

    def has_put(self, path: str) -> bool:
        """Whether `path` stands where it belongs since the directory above it was put there."""
        return path in self._placed

    def finish(self) -> None:
        """Drop what was not put in place."""
        while self._ready:
            self._drop(self._ready.popitem()[1])
        self._within.clear()
        self._placed.clear()

    def recover(self, name: str) -> bool:
        """Drop what an earlier life made and did not put in place; False: it is no such thing."""
        if not name.startswith(_PREFIX):
            return False
        if not name.startswith(self._token):
            self._remove(name)
        return True

    def _grow(self, change: Change, contents: Mapping[bytes, bytes]) -> bool:
        path, new = change.path, change.new
        within = self._within.get(parent_of(path))
        if isinstance(new, Directory):
            self._make_directory(path, within)
            return True
        if within is None or not isinstance(new, File):
            return False
        content = contents.get(new.digest) if new.size else b""
        if content is None or digest_of(content) != new.digest:
            return False
        graft, directory = within
        self._folder.hold(directory)
        stamp = self._write(join(directory, name_of(path)), content, executable=new.executable)
        graft.files[path] = (stamp, new.digest)
        return True

    def _make_directory(self, path: str, within: tuple[_Graft, str] | None) -> None:
        if within is None:
            self._count += 1
            graft = _Graft(path, f"{self._token}{self._count}")
            name = graft.name
        else:
            graft, name = within[0], join(within[1], name_of(path))
        self._folder.mkdir(name)
        if within is None:
            self._ready[path] = graft
        graft.directories[name] = path
        self._within[path] = (graft, name)

    def _write(self, name: str, content: bytes, *, executable: bool) -> Stamp:
        """Write a file in the stage. Its mtime is set, so that any later write would change it."""
        folder = self._folder
        descriptor = folder.create(name, mode_of_new(folder.umask, executable=executable))
        try:
            left = memoryview(content)
            while left:
                left = left[folder.write(descriptor, left) :]
            folder.set_file_mtime(descriptor, self._look.now_ns())
            return stamp_of(folder.fstat(descriptor))
        finally:
            folder.close_file(descriptor)

    def _drop(self, graft: _Graft) -> None:
        with suppress(OSError):  # What resists is left to a later cleaning of the stage.
            self._remove(graft.name)

    def _remove(self, directory: str) -> None:
        for name, status in self._folder.scan_directory(directory):
            at = join(directory, name)
            if stat.S_ISDIR(status.st_mode):
                self._remove(at)
            else:
                self._folder.unlink(at)
        self._folder.rmdir(directory)


def _just_move(_: Mapping[str, str], move: Callable[[], None]) -> None:
    move()
