"""What changes in folders of this machine goes on to a server of the person's own, at once.

A process of its own, so that no sync waits for it. It watches as the agent does, waits for a short
quiet, and has rsync carry what changed. What it could not carry it tries again; a folder that goes
is watched again when it comes back. Nothing is ever deleted on the server: an emptied machine
empties nothing.
"""

from __future__ import annotations

import select
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from towline.agent.courier import Call, Courier, CourierError, open_courier, read_call
from towline.agent.detached import alone, end, tell
from towline.core.ignore import DEFAULT_SOURCE, Rules
from towline.core.path import join
from towline.disk.watch import Watch, open_watch

NAME = "outward"
QUIET_S = 0.5  # After the last change: most programs write a file in several steps.
WAIT_MAX_S = 5.0  # But what changes all the time is sent all the same.
RETRY_S, RETRY_MAX_S = 2.0, 60.0
LOOK_S = 1.0  # For a folder that is not there: a script that begins anew makes it again.
SENT_MAX = 100_000  # Paths remembered as sent in this life; beyond that all are kept again.


def main(workspace: str) -> int:
    """Do what the line on standard input asks; tell of it, a line of JSON each time."""
    try:
        call = read_call(sys.stdin.buffer.readline())
        if call.inward:
            return _inward(call, workspace)
        return _outward(call, workspace)
    except CourierError as error:
        tell(error=str(error))
        return 1


def _inward(call: Call, workspace: str) -> int:
    with open_courier(call, workspace) as courier:
        for words in courier.fetch():
            tell(says=words.strip())
    tell(done=True)
    return 0


def _outward(call: Call, workspace: str) -> int:
    with alone(workspace, NAME) as life, ExitStack() as stack:
        if life is None:
            return 0
        if call.detach:
            life.detach()
        courier = stack.enter_context(open_courier(call, workspace))
        life.settle()
        Outward(courier, call.paths).run(stack)
    return 0


def stop(workspace: str) -> int:
    """End the one that goes on by itself, if one does."""
    return end(workspace, NAME)


class Outward:
    """Watches and sends, until it is ended. `folders` none: the whole root."""

    def __init__(self, courier: Courier, folders: tuple[str, ...]) -> None:
        self._courier = courier
        self._folders = [folder.strip("/") for folder in folders] or [""]
        self._rules = Rules([DEFAULT_SOURCE])
        self._watches: dict[str, Watch] = {}  # By folder; one that is not there has none.
        self._told = ""  # Why one cannot be watched.
        self._pending: set[str] = set()
        self._since = 0.0  # Of the first change that is pending.
        self._last = 0.0
        self._sent: set[str] = set()
        self._all = True  # To be looked at: at the start, and where a watch lost count.
        self._retry_s = 0.0
        self._retry_at = 0.0

    def run(self, stack: ExitStack) -> None:
        stack.callback(self._close)
        for folder in self._folders:
            self._root_of(folder).mkdir(parents=True, exist_ok=True)
        while True:
            self._open()
            self._wait()
            for folder, watch in list(self._watches.items()):
                self._take(folder, watch)
            if self._is_due(time.monotonic()):
                self._send()

    def _root_of(self, folder: str) -> Path:
        return Path(self._courier.root, folder)

    def _open(self) -> None:
        """Watch each folder that is there and not watched. What happened in it nobody saw."""
        for folder in self._folders:
            if folder in self._watches or not self._root_of(folder).is_dir():
                continue
            try:
                self._watches[folder] = self._opened(folder)
                self._all = True
            except OSError as error:  # A full disk, or it has just gone: both pass.
                self._tell_once(f"{self._root_of(folder)} cannot be watched: {error.strerror}")

    def _opened(self, folder: str) -> Watch:
        watch = open_watch(self._root_of(folder), partial(self._is_left_out, folder))
        try:
            watch.start()
        except OSError:
            watch.close()
            raise
        return watch

    def _is_left_out(self, folder: str, path: str) -> bool:
        return self._rules.ignores(join(folder, path), True)

    def _tell_once(self, error: str) -> None:
        if error != self._told:
            self._told = error
            tell(error=error)

    def _close(self) -> None:
        for watch in self._watches.values():
            watch.close()

    def _wait(self) -> None:
        now = time.monotonic()
        watches = list(self._watches.values())
        deadlines = [at for watch in watches if (at := watch.deadline()) is not None]
        if len(watches) < len(self._folders):
            deadlines.append(now + LOOK_S)
        if self._pending or self._all:
            deadlines.append(self._due_at())
        wait_s = max(0.0, min(deadlines) - now) if deadlines else None
        select.select([watch.fileno() for watch in watches], [], [], wait_s)

    def _take(self, folder: str, watch: Watch) -> None:
        seen = watch.read()
        if seen.root_gone:
            self._watches.pop(folder).close()
            return
        if seen.rescan:
            watch.rewatch()
            self._all = True
        changed = {join(folder, path) for path in seen.paths | seen.writing if path}
        if changed:
            self._last = time.monotonic()
            self._since = self._since or self._last
            self._pending |= changed

    def _due_at(self) -> float:
        if self._all or not self._pending:
            return self._retry_at
        return max(self._retry_at, min(self._last + QUIET_S, self._since + WAIT_MAX_S))

    def _is_due(self, now: float) -> bool:
        return (self._all or bool(self._pending)) and now >= self._due_at()

    def _send(self) -> None:
        """Carry what is pending. Until it has arrived, it stays so."""
        carried, everything = set(self._pending), self._all
        try:
            if everything:
                self._courier.send_all()
            for keeping in (True, False):
                if paths := {path for path in carried if (path not in self._sent) is keeping}:
                    self._courier.send(paths, keeping=keeping)
        except CourierError as error:
            self._retry_s = min(max(RETRY_S, self._retry_s * 2), RETRY_MAX_S)
            self._retry_at = time.monotonic() + self._retry_s
            tell(error=str(error), behind=len(carried))
            return
        self._retry_s = self._retry_at = 0.0
        self._all = False
        self._pending -= carried
        self._since = 0.0
        self._sent = (self._sent | carried) if len(self._sent) < SENT_MAX else carried
        tell(sent=len(carried), all=everything, at=time.time())
