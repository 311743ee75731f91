"""Where the jobs of a workspace lie on this machine, each a directory named by its number.

`~/.local/state/towline/jobs/WORKSPACE/NUMBER`, or in the temporary directory where the home cannot
be written, apart for each home. A directory appears whole, by a rename. Which jobs are over enough
to be cleared away is decided here, too; nothing here starts or ends one.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

from towline.agent.jobs.record import (
    ENDED,
    HELD,
    LOCK,
    LOG,
    MANIFEST,
    ORDERS,
    REQUEST,
    RUNNING,
    Ended,
    Request,
    Running,
    read_record,
    write_record,
)
from towline.agent.lifetime import boot_id
from towline.agent.place import beside_home, ensure_private

JOBS_KEPT = 200  # Jobs that are over; the oldest go when another begins.
HELD_KEPT_S = 24 * 3600.0  # A held copy of the code, after its job is over.
RESERVE = 16 << 10  # Bytes kept for the last record, so that a full disk can take it.
STARTING_S = 60.0  # From the directory to a supervisor; on a busy machine.


class NoJobError(Exception):
    """There is no such job; the message says so."""


class Job:
    """One job's directory, read anew at each question."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.number = int(os.path.basename(path))

    @property
    def workspace(self) -> str:
        return os.path.basename(os.path.dirname(self.path))

    def file(self, name: str) -> str:
        return f"{self.path}/{name}"

    @property
    def request(self) -> Request:
        """Raises NoJobError if the directory is being cleared away."""
        if request := read_record(self.file(REQUEST), Request):
            return request
        raise NoJobError(f"there is no job {self.number} any more")

    @property
    def running(self) -> Running | None:
        return read_record(self.file(RUNNING), Running)

    @property
    def ended(self) -> Ended | None:
        return read_record(self.file(ENDED), Ended)

    @property
    def log_size(self) -> int:
        try:
            return os.stat(self.file(LOG)).st_size
        except OSError:
            return 0

    def is_supervised(self) -> bool:
        """Whether a supervisor lives: it holds a lock for as long."""
        try:
            lock = os.open(self.file(LOCK), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # A file system without locks: believe the process id, if it is of here.
            running, request = self.running, self.request
            is_of_now = (request.host, request.boot) == (os.uname().nodename, boot_id())
            return is_of_now and running is not None and _is_process(running.supervisor)
        finally:
            os.close(lock)
        return False

    def state(self) -> tuple[str, str]:
        """Return in one word how the job is, and why where that is not plain."""
        if ended := self.ended:
            if ended.cancelled:
                return "cancelled", ended.reason
            return ("failed" if ended.code else "done"), ended.reason
        request = self.request
        is_elsewhere = request.host != os.uname().nodename
        # A machine may have another name meanwhile; of another machine we may see the lock.
        if (not is_elsewhere or request.boot == boot_id()) and self.is_supervised():
            return "running", ""
        if self.ended:  # Meanwhile.
            return self.state()
        if is_elsewhere:
            return "elsewhere", f"on {request.host}, which has the same home"
        if request.boot != boot_id():
            return "lost", "the machine was started anew"
        if self.running is None and time.time() < request.created + STARTING_S:
            return "running", ""
        return "lost", "its supervisor was killed"


class Shelf:
    """The jobs of one workspace."""

    def __init__(self, workspace: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", workspace) or workspace[0] == ".":
            raise NoJobError("that is no workspace's name")
        self.path = f"{state_directory()}/jobs/{workspace}"

    def jobs(self) -> list[Job]:
        """Return all, in the order of their numbers."""
        jobs = [Job(f"{self.path}/{number}") for number in self._numbers()]
        return [job for job in jobs if read_record(job.file(REQUEST), Request)]

    def _numbers(self) -> list[int]:
        return sorted(int(name) for name in _listed(self.path) if name.isdigit())

    def find(self, named: str) -> Job:
        """Return the job of this number or key, or the latest of this name. Raises NoJobError."""
        for job in reversed(self.jobs()):
            with suppress(NoJobError):
                request = job.request
                if named in (str(job.number), request.key, request.name or None):
                    return job
        raise NoJobError(f"there is no job {named} on this machine")

    def with_key(self, key: str) -> Job | None:
        return next((job for job in reversed(self.jobs()) if job.request.key == key), None)

    @contextmanager
    def locked(self) -> Generator[None]:
        """Only one job begins at a time; it waits for its turn."""
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        lock = os.open(f"{self.path}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with suppress(OSError):  # A file system without locks; numbers are given out safely.
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def stage(self) -> str:
        """Return a new directory that is no job yet. Raises OSError."""
        for name in _listed(self.path):
            if name.startswith(".new-"):  # Of a start that was killed.
                shutil.rmtree(f"{self.path}/{name}", ignore_errors=True)
        path = f"{self.path}/.new-{os.getpid()}"
        os.mkdir(path, 0o700)
        return path

    def take_up(self, stage: str, request: Request) -> Job:
        """Make a staged directory the next job. Raises OSError."""
        with open(f"{stage}/{ENDED}.new", "wb") as reserve:
            reserve.write(b" " * RESERVE)
        for name in (LOG, LOCK):
            os.close(os.open(f"{stage}/{name}", os.O_CREAT | os.O_WRONLY, 0o600))
        os.mkfifo(f"{stage}/{ORDERS}", 0o600)
        write_record(f"{stage}/{REQUEST}", request)
        number = max([0, *self._numbers()]) + 1
        os.rename(stage, f"{self.path}/{number}")  # Never onto another job: that one is not empty.
        return Job(f"{self.path}/{number}")

    def clear(self) -> None:
        """Remove what is over for long: copies of code after a day, records beyond the limit."""
        jobs = self.jobs()
        over = [job for job in jobs if job.state()[0] != "running" and not job.is_supervised()]
        for job in over:
            if not _keeps_files(job):
                _drop_copy(job)
        for job in over[: max(0, len(over) - JOBS_KEPT)]:
            if not os.path.exists(job.file(HELD)):
                shutil.rmtree(job.path, ignore_errors=True)


def write_end(job: Job, ended: Ended) -> None:
    """Write how a job ended into the room kept for it. Raises OSError."""
    text = json.dumps({name: getattr(ended, name) for name in Ended.__dataclass_fields__}).encode()
    beside = job.file(f"{ENDED}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT, 0o600)
    with open(descriptor, "wb") as file:
        file.write(text.ljust(RESERVE))
    os.replace(beside, job.file(ENDED))


def state_directory() -> str:
    """Return where this machine keeps what must outlive its agents; it exists and is private.

    Raises OSError.
    """
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    if _ensure_in_home(in_home := f"{base}/towline"):
        return in_home
    beside = beside_home()
    if ensure_private(beside) and ensure_private(f"{beside}/state"):
        return f"{beside}/state"
    raise OSError("neither ~/.local/state nor the temporary directory can be used")


def _ensure_in_home(directory: str) -> bool:
    """Make it private if it is ours: others of our programs may have made it."""
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        status = os.lstat(directory)
        ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
        if ours and status.st_mode & 0o077:
            os.chmod(directory, 0o700)
    except OSError:
        return False
    return ours and os.access(directory, os.W_OK)


def _keeps_files(job: Job) -> bool:
    """Whether a copy of code is young yet, or holds what exists nowhere else."""
    ended = job.ended
    if ended is None:  # Lost: nobody has looked through the copy.
        return True
    return bool(ended.left) or time.time() < ended.ended + HELD_KEPT_S


def _drop_copy(job: Job) -> None:
    shutil.rmtree(job.file(HELD), ignore_errors=True)
    with suppress(OSError):
        os.unlink(job.file(MANIFEST))


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _is_process(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
