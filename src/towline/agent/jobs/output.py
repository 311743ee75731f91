"""A job's log: all that it wrote, in order, and never what fills the disk.

A plain file that only grows, so that a byte has one offset for ever. Where the disk is full the
job waits a while; then it goes on, what cannot be kept is counted, and the log says so where it
is missing.
"""

from __future__ import annotations

import errno
import os

LOG_MAX = 16 << 30  # Bytes. A job that writes more has lost its reader long ago.
FREE_MIN = 64 << 20  # Bytes left to others on the disk; on a small one its SHARE.
SHARE = 20
CHECK_EVERY = 1 << 20  # Bytes written between two looks at the disk.
WAIT_S = 30.0  # How long a job waits for room, before it goes on without its output.

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Output:
    """`put` while `takes`; what cannot be written yet is kept here and tried again by `retry`."""

    def __init__(self, path: str, log_max: int = LOG_MAX, wait_s: float = WAIT_S) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._log_max = log_max
        self._wait_s = wait_s
        self._size = os.fstat(self._file).st_size
        self._unchecked = 0
        self._pending = b""
        self._full_since: float | None = None
        self._gap = 0  # Bytes dropped since the last one that was kept.
        self.dropped = 0
        self.reason = ""

    @property
    def takes(self) -> bool:
        """Whether the job's next output should be read."""
        return not self._pending

    @property
    def why_missing(self) -> str:
        """Why some of what was put is not in the log; empty if all of it is."""
        return self.reason if self.dropped else ""

    def put(self, data: bytes, now: float) -> None:
        self._pending = data
        self.retry(now)

    def retry(self, now: float) -> None:
        """Write what waits, or give it up when the disk was full for long enough."""
        if self._pending and self._gap:
            mark = self._mark()
            if self._append(mark) < len(mark):
                return self._drop()
            self._gap = 0
        self._pending = self._pending[self._append(self._pending) :]
        if not self._pending:
            self._full_since = None
            return None
        if self._full_since is None:
            self._full_since = now
        if now >= self._full_since + self._wait_s or self._size >= self._log_max:
            self._drop()
        return None

    def close(self) -> None:
        """The last words: what waits is tried once more, and a gap is marked."""
        self._pending = self._pending[self._append(self._pending) :]
        self._drop()
        if self._gap:
            self._append(self._mark())
        os.close(self._file)

    def _drop(self) -> None:
        self._gap += len(self._pending)
        self.dropped += len(self._pending)
        self._pending = b""

    def _mark(self) -> bytes:
        return (
            f"\n[towline: {self.reason}; {self._gap} bytes of output are missing here]\n".encode()
        )

    def _append(self, data: bytes) -> int:
        """Return how many bytes went in; where not all did, `reason` says why."""
        if not data or not self._has_room(len(data)):
            return 0
        try:
            written = os.write(self._file, data)
        except OSError as error:
            written, self.reason = 0, _reason(error)
        if written < len(data):
            self.reason = self.reason or "the disk is full"
            self._unchecked = CHECK_EVERY
        self._size += written
        return written

    def _has_room(self, size: int) -> bool:
        if self._size >= self._log_max:
            self.reason = f"the log has reached {self._log_max >> 20} MiB"
            return False
        self._unchecked += size
        if self._unchecked < CHECK_EVERY and self._full_since is None and not self._gap:
            return True
        self._unchecked = 0
        if not has_room(self._file, size):
            self.reason = "the disk is full"
            return False
        return True


def _reason(error: OSError) -> str:
    if error.errno in _FULL:
        return "the disk is full"
    return f"the log cannot be written: {error.strerror}"


def has_room(file: int | str, size: int = 0) -> bool:
    """Whether a disk takes so much, and what comes until the next look, and leaves enough."""
    try:
        disk = os.statvfs(file)
    except OSError:
        return True
    share = disk.f_blocks * disk.f_frsize // SHARE
    free = disk.f_bavail * disk.f_frsize
    return free > min(FREE_MIN, share) + max(size, min(CHECK_EVERY, share))
