"""Read a job's log from a byte on, and wait for its end.

Bytes of the log go to standard output as they are, so who was cut off asks again from the byte it
has. What else there is to say goes to standard error, a JSON object a line: notes while it lasts,
and last how the job ended.
"""

from __future__ import annotations

import json
import os
import select
import sys
from contextlib import suppress
from typing import Any

from towline.agent.jobs import orders
from towline.agent.jobs.output import has_room
from towline.agent.jobs.record import LOG, ORDERS
from towline.agent.jobs.shelf import Job
from towline.agent.jobs.tell import summary
from towline.disk.watch import inotify

PART = 256 << 10  # Bytes read at a time.
LOOK_S = 1.0  # Between two looks at what tells nothing by itself: a killed supervisor, the disk.
POLL_S = 0.02  # Where the system does not tell of changes.
TAIL_PART = 64 << 10
STDIN, STDOUT = 0, 1


class GoneError(Exception):
    """Nobody reads any more."""


def follow(job: Job, offset: int, *, until_end: bool, typed: bool = False) -> None:
    """Send the log from `offset` on, and with `until_end` what comes until the job is over.

    With `typed`, orders read from standard input are passed on to the supervisor.
    """
    with suppress(GoneError):
        _Following(job, offset, typed).run(until_end)


def wait(job: Job) -> None:
    """Return once the job is over, or nobody waits any more."""
    with suppress(GoneError):
        _Following(job, None, False).run(True)


def tail_offset(path: str, lines: int) -> int:
    """Return where the last `lines` lines of a file begin."""
    with open(path, "rb") as file:
        end = at = file.seek(0, os.SEEK_END)
        if lines == 0:
            return end
        wanted = lines + 1  # The end of the line before them.
        while at > 0:
            start = max(0, at - TAIL_PART)
            file.seek(start)
            part = file.read(at - start)
            if at == end and not part.endswith(b"\n"):
                wanted -= 1
            count = part.count(b"\n")
            if count >= wanted:
                for _ in range(wanted):
                    part = part[: part.rindex(b"\n")]
                return start + len(part) + 1
            wanted -= count
            at = start
    return 0


class _Following:
    def __init__(self, job: Job, offset: int | None, typed: bool) -> None:
        self._job = job
        self._offset = offset
        self._log = -1 if offset is None else os.open(job.file(LOG), os.O_RDONLY | os.O_CLOEXEC)
        self._typed = typed
        self._orders = orders.Orders()
        self._noted = ""
        self._changes = _watch(job.path)

    def run(self, until_end: bool) -> None:
        while True:
            is_over = not until_end or self._job.state()[0] != "running"
            self._send()
            if is_over:  # Looked at before the log was read to its end.
                break
            self._note_full_disk()
            self._wait_change()
        _say({"end": summary(self._job)})

    def _send(self) -> None:
        while self._offset is not None:
            part = os.pread(self._log, PART, self._offset)
            if not part:
                return
            self._offset += len(part)
            try:
                while part:
                    part = part[os.write(STDOUT, part) :]
            except BrokenPipeError:
                raise GoneError from None

    def _wait_change(self) -> None:
        """Wait until the job's directory changes, or it is time for a look."""
        waiting = select.poll()
        waiting.register(STDOUT, 0)  # That nobody reads is told unasked.
        if self._changes:
            waiting.register(self._changes.fileno(), select.POLLIN)
        if self._typed:
            waiting.register(STDIN, select.POLLIN)
        while True:
            ready = dict(waiting.poll((LOOK_S if self._changes else POLL_S) * 1000))
            if STDOUT in ready:
                raise GoneError
            if STDIN in ready:
                self._pass_on()
                if not self._typed:
                    waiting.unregister(STDIN)
            if self._changes and self._changes.fileno() in ready:
                self._changes.read(1 << 20)
                return
            if not ready:
                return

    def _pass_on(self) -> None:
        data = os.read(STDIN, PART)
        if not data:
            self._typed = False
        for kind, content in self._orders.put(data):
            with suppress(orders.NobodyError):
                orders.tell(self._job.file(ORDERS), orders.order(kind, content))

    def _note_full_disk(self) -> None:
        text = "" if has_room(self._job.path) else "the disk of the machine is full: the log waits"
        if text and text != self._noted:
            _say({"note": text})
        self._noted = text


def _watch(directory: str) -> inotify.Inotify | None:
    if sys.platform != "linux":
        return None
    try:
        changes = inotify.Inotify()
        changes.add(directory, inotify.MODIFY | inotify.MOVED_TO | inotify.DELETE)
    except OSError:
        return None
    return changes


def _say(what: dict[str, Any]) -> None:
    try:
        sys.stderr.write(json.dumps(what) + "\n")
        sys.stderr.flush()
    except BrokenPipeError:
        raise GoneError from None
