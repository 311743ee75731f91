"""A copy of the project as one revision had it, for a job that later edits must not reach.

What is synced is copied, shared by the file system where it can (a reflink): a hard link would be
safe against sync, which replaces files, but not against a program that writes in place. What is not
synced (data, checkpoints, environments) and what only the machine writes is linked to, so that it
is the same for all. When the job is over, what it made in the copy is moved to where it would have
been without one; what cannot be moved stays, and keeps the copy.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress

from towline.agent.ask import NoAgentError, ask
from towline.agent.jobs.record import HELD, MANIFEST, Request
from towline.agent.jobs.shelf import Job
from towline.core.direction import Direction, Directions
from towline.core.ignore import Rules
from towline.core.path import OWN_DIRECTORY, join

HELD_MAX = 2 << 30  # Bytes of one copy. Code has some millions; this much is data.
LEFT_MAX = 100  # Paths told of what could not be moved home.
ASK_S = 10.0
NEVER = frozenset({OWN_DIRECTORY, "__pycache__"})  # The latter would be written by both.

_FICLONE = 0x40049409

Stamps = dict[str, tuple[int, int, int]]  # Path to size, mtime and inode in the copy.
OF_A_DIRECTORY = (0, 0, 0)


class HoldError(Exception):
    """No copy could be made. The text is for a person."""


def hold(workspace: str, request: Request, stage: str) -> None:
    """Make the copy in a job's directory that is being staged. Raises HoldError, OSError."""
    directions = Directions(
        [(pattern, Direction(direction)) for pattern, direction in request.pulled]
    )
    copy = _Copy(request.cwd, f"{stage}/{HELD}", _rules_of(workspace, request.cwd), directions)
    copy.make()
    with open(f"{stage}/{MANIFEST}", "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(copy.stamps, file)


def bring_home(job: Job, home: str) -> tuple[str, ...]:
    """Move what the job made in its copy to where it belongs; return the paths that stayed.

    Nothing is replaced: where there is something already, the job's stays in the copy.
    """
    held = job.file(HELD)
    try:
        with open(job.file(MANIFEST), encoding="utf-8", errors="surrogateescape") as file:
            stamps: Stamps = {path: (*stamp,) for path, stamp in json.load(file).items()}
        made = list(_made(held, "", stamps))
    except (OSError, ValueError, TypeError, AttributeError):
        return (".",)  # What is the job's cannot be told: all of it stays.
    return tuple(path for path in made if not _moved(held, home, path))[:LEFT_MAX]


class _Copy:
    def __init__(self, source: str, target: str, rules: Rules, directions: Directions) -> None:
        self._source = source
        self._target = target
        self._rules = rules
        self._directions = directions
        self._size = 0
        self.stamps: Stamps = {}

    def make(self, path: str = "") -> None:
        """Copy a directory and all below it."""
        source, target = _at(self._source, path), _at(self._target, path)
        names = sorted({*os.listdir(source)} - NEVER)
        os.mkdir(target, 0o700)
        self.stamps[path] = OF_A_DIRECTORY
        for name in names:
            inner = join(path, name)
            try:
                self._take(inner)
            except FileNotFoundError:
                # Gone meanwhile, perhaps in the middle: none of it stays.
                _remove(_at(self._target, inner))
        shutil.copystat(source, target)
        os.chmod(target, 0o700 | stat.S_IMODE(os.stat(source).st_mode))

    def _take(self, path: str) -> None:
        source, target = _at(self._source, path), _at(self._target, path)
        status = os.lstat(source)
        if stat.S_ISLNK(status.st_mode):
            os.symlink(_as_seen_from_the_copy(self._source, path, os.readlink(source)), target)
        elif self._is_shared(path, status):
            os.symlink(source, target)
        elif stat.S_ISDIR(status.st_mode):
            return self.make(path)
        elif stat.S_ISREG(status.st_mode):
            self._copy(source, target, status.st_size)
        else:
            return None
        made = os.lstat(target)
        self.stamps[path] = (made.st_size, made.st_mtime_ns, made.st_ino)
        return None

    def _is_shared(self, path: str, status: os.stat_result) -> bool:
        size_max = self._rules.size_max
        is_directory = stat.S_ISDIR(status.st_mode)
        too_large = (
            stat.S_ISREG(status.st_mode) and size_max is not None and status.st_size > size_max
        )
        # What we cannot read is not synced either.
        needs = os.R_OK | os.X_OK if is_directory else os.R_OK
        return (
            self._rules.ignores(path, is_directory)
            or too_large
            or self._directions.of(path) is Direction.PULL
            or not os.access(_at(self._source, path), needs)
        )

    def _copy(self, source: str, target: str, size: int) -> None:
        self._size += size
        if self._size > HELD_MAX:
            raise HoldError(
                f"the project holds more than {HELD_MAX >> 30} GiB that would be copied"
            )
        if not _reflinked(source, target):
            shutil.copyfile(source, target)
        shutil.copystat(source, target)


def _rules_of(workspace: str, root: str) -> Rules:
    """Ask the agent what of the folder is synced."""
    try:
        answer = ask(workspace, {"verb": "rules"}, ASK_S)
        return Rules.from_wire(answer["rules"][os.path.realpath(root)])
    except (NoAgentError, KeyError, TypeError, ValueError) as error:
        raise HoldError(f"what of the folder is code is not known: {error}") from None


def _as_seen_from_the_copy(source: str, path: str, target: str) -> str:
    """A link that leads out of the project leads to the same place from anywhere."""
    if os.path.isabs(target):
        return target
    directory = os.path.dirname(path)
    leads_out = os.path.normpath(os.path.join(directory, target)).split("/")[0] == ".."
    return os.path.join(_at(source, directory), target) if leads_out else target


def _reflinked(source: str, target: str) -> bool:
    """Share the content until one of the two is written; False where the file system cannot."""
    with open(source, "rb") as old, open(target, "wb") as new, suppress(OSError):
        fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        return True
    return False


def _made(held: str, directory: str, stamps: Stamps) -> Iterator[str]:
    """Yield what the job made or changed; a directory that is all its own as one path."""
    with os.scandir(_at(held, directory)) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        path = join(directory, entry.name)
        status = entry.stat(follow_symlinks=False)
        if entry.name == "__pycache__":
            continue
        if stat.S_ISDIR(status.st_mode):
            if stamps.get(path) == OF_A_DIRECTORY:
                yield from _made(held, path, stamps)
            else:
                yield path
        elif stamps.get(path) != (status.st_size, status.st_mtime_ns, status.st_ino):
            yield path


def _moved(held: str, home: str, path: str) -> bool:
    """Bring a path home, whole or not at all: the two may lie on different disks."""
    source, target = _at(held, path), _at(home, path)
    if os.path.lexists(target):
        return False
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(source, target)
    except OSError as error:
        return error.errno == errno.EXDEV and _copied(source, home, target)
    return True


def _copied(source: str, home: str, target: str) -> bool:
    """Copy to where nothing is synced from; it gets its name, and the source goes, at the end."""
    stage = f"{home}/{OWN_DIRECTORY}/home-{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(stage), 0o700, exist_ok=True)
        if os.path.isdir(source) and not os.path.islink(source):
            shutil.copytree(source, stage, symlinks=True)
        else:
            shutil.copy2(source, stage, follow_symlinks=False)
        os.rename(stage, target)
    except (OSError, shutil.Error):
        _remove(stage)
        return False
    _remove(source)
    return True


def _remove(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
    shutil.rmtree(path, ignore_errors=True)


def _at(base: str, path: str) -> str:
    return f"{base}/{path}" if path else base
