"""A job's supervisor: a process of its own that runs the command, keeps its log, and tells its end.

It owes nothing to the agent, to ssh or to the laptop: two forks away, in a session of its own. One
thread, one loop. It takes orders by a pipe with a name, and holds a lock for as long as it lives.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import sys
import time
import traceback
from contextlib import suppress
from typing import NoReturn

from towline.agent.jobs import orders
from towline.agent.jobs.family import catches, descendants
from towline.agent.jobs.hold import bring_home
from towline.agent.jobs.output import Output
from towline.agent.jobs.program import PIPE_SIZE, Program, start
from towline.agent.jobs.record import HELD, LOCK, LOG, ORDERS, RUNNING, Ended, Running, write_record
from towline.agent.jobs.shelf import Job, write_end

PART = 1 << 16  # Bytes read at a time: what a pipe holds.
GRACE_S = 10.0  # From the request to end to the order, as `docker stop` has it.
RETRY_S = 0.5  # Between two tries of a full disk.
END_TRIES = 24 * 3600  # Seconds for which the last record is tried, should even its room be gone.
CANNOT_START = 127  # As a shell has it.

FAULT = "fault"  # The file of a traceback, should there ever be one.

_PR_SET_CHILD_SUBREAPER = 36


def supervise(job: Job, report: int) -> NoReturn:
    """Become the supervisor of a job, in a process just forked for it. `report` is closed once
    it runs."""
    code = 1
    try:
        os.setsid()
        if os.fork() == 0:
            _detach(report)
            _hold_lock(job)
            _adopt_orphans()
            Supervisor(job).run(report)
        code = 0
    except Exception:  # There is nobody to see it.
        with suppress(OSError), open(job.file(FAULT), "w", encoding="utf-8") as file:
            traceback.print_exc(file=file)
    finally:
        os._exit(code)


class Supervisor:
    def __init__(self, job: Job) -> None:
        self._job = job
        self._request = job.request
        self._output = Output(job.file(LOG))
        self._orders = orders.Orders()
        # Open for both, so that it never comes to an end.
        self._pipe = os.open(job.file(ORDERS), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._cancelled_at: float | None = None
        self._killed = False
        self._code: int | None = None
        self._left = PIPE_SIZE  # What the command may have written before its end, at most.

    def run(self, report: int) -> None:
        woken = _woken_by_children()
        held = os.path.isdir(self._job.file(HELD))
        cwd = self._job.file(HELD) if held else self._request.cwd
        try:
            program = start(self._request, self._job.workspace, self._job.number, cwd)
        except OSError as error:
            reason = f"{error.filename or self._request.argv[0]}: {error.strerror or error}"
            self._output.put(f"towline: cannot be started: {reason}\n".encode(), time.monotonic())
            self._end(Ended(CANNOT_START, time.time(), reason=reason))
            os.close(report)
            return
        # On a full disk it runs all the same: its lock tells that.
        with suppress(OSError):
            running = Running(os.getpid(), program.pid, time.time(), cwd)
            write_record(self._job.file(RUNNING), running)
        os.close(report)
        self._watch(program, woken)
        left = bring_home(self._job, self._request.cwd) if held else ()
        assert self._code is not None
        cancelled = self._cancelled_at is not None
        self._end(Ended(self._code, time.time(), cancelled, left=left))

    # -- The loop -----------------------------------------------------------------------------

    def _watch(self, program: Program, woken: int) -> None:
        """Follow the program until it is over and all that it wrote is kept."""
        while True:
            ready = self._wait(program, woken)
            if woken in ready:
                _drain(woken)
                self._reap(program)
            if self._pipe in ready:
                self._take_orders(program)
            program.write()
            self._press(program)
            if program.output in ready and not self._read(program):
                program.close_output()
            if not self._output.takes:
                self._output.retry(time.monotonic())
            elif self._code is not None and self._is_drained(program) and not self._is_ending():
                return

    def _wait(self, program: Program, woken: int) -> set[int]:
        waiting = select.poll()
        for descriptor in (woken, self._pipe):
            waiting.register(descriptor, select.POLLIN)
        wanted = select.POLLIN if self._output.takes else 0
        wanted |= select.POLLOUT if program.has_to_write else 0
        if program.output >= 0 and wanted:  # For nothing, it would still tell that it is closed.
            waiting.register(program.output, wanted)
        return {descriptor for descriptor, _ in waiting.poll(self._timeout_ms())}

    def _timeout_ms(self) -> float | None:
        if not self._output.takes:
            return RETRY_S * 1000
        if self._cancelled_at is not None and not self._killed:  # Who ends before wakes us.
            return max(0.0, self._cancelled_at + GRACE_S - time.monotonic()) * 1000
        return None if self._code is None else 0

    def _read(self, program: Program) -> bool:
        """Take what has come; return False at the end of it."""
        if not self._output.takes:
            return True
        try:
            data = os.read(program.output, PART)
        except BlockingIOError:
            return True
        except OSError:  # A terminal that nobody has open any more.
            return False
        if data:
            self._output.put(data, time.monotonic())
        if self._code is not None:
            self._left -= len(data)
        return bool(data)

    def _is_drained(self, program: Program) -> bool:
        """The command has ended: all it wrote is in the pipe, and no more is waited for.

        What it left running may go on; its output has no reader then.
        """
        if program.output < 0 or self._left <= 0:
            return True
        waiting = select.poll()
        waiting.register(program.output, select.POLLIN)
        return not waiting.poll(0)

    def _reap(self, program: Program) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == program.pid:
                    code = os.waitstatus_to_exitcode(status)
                    self._code = code if code >= 0 else 128 - code

    # -- Orders -------------------------------------------------------------------------------

    def _take_orders(self, program: Program) -> None:
        try:
            for kind, content in self._orders.put(os.read(self._pipe, PART)):
                self._carry_out(kind, content, program)
        except BlockingIOError:
            return
        except ValueError:
            self._orders = orders.Orders()  # What follows may make sense again.

    def _carry_out(self, kind: bytes, content: bytes, program: Program) -> None:
        if kind == orders.INPUT:
            program.put(content)
        elif kind == orders.SIZE and len(content) == orders.WINDOW.size:
            program.resize(*orders.WINDOW.unpack(content))
        elif kind == orders.SIGNAL and content:
            _send(content[0], -program.pid)
        elif kind == orders.CANCEL:
            self._cancel(program)
        elif kind == orders.DEADLINE:
            self._warn(program)

    def _cancel(self, program: Program) -> None:
        """Ask to end; who is asked again, ends."""
        if self._cancelled_at is None:
            self._cancelled_at = time.monotonic()
            _send(signal.SIGTERM, -program.pid)
        else:
            self._cancelled_at = time.monotonic() - GRACE_S

    def _press(self, program: Program) -> None:
        if self._cancelled_at is None or self._killed:
            return
        if time.monotonic() >= self._cancelled_at + GRACE_S:
            self._killed = True
            if self._code is None:
                _send(signal.SIGKILL, program.pid)
            _send(signal.SIGKILL, *descendants(os.getpid()))

    def _is_ending(self) -> bool:
        """Whether a cancelled job has processes left that were given time to end."""
        if self._cancelled_at is None or self._killed:
            return False
        return bool(descendants(os.getpid()))

    def _warn(self, program: Program) -> None:
        """The machine ends soon. Unasked, only who catches the signal gets it."""
        wanted = self._request.on_deadline
        if not wanted:
            family = descendants(os.getpid())
            _send(signal.SIGUSR1, *(pid for pid in family if catches(pid, signal.SIGUSR1)))
        elif wanted != "none":
            _send(signal.Signals[wanted], -program.pid)

    # -- The end ------------------------------------------------------------------------------

    def _end(self, ended: Ended) -> None:
        self._output.close()
        told = Ended(
            ended.code,
            ended.ended,
            ended.cancelled,
            self._output.dropped,
            ended.reason or self._output.why_missing,
            ended.left,
        )
        for _ in range(END_TRIES):
            if _is_written(self._job, told):
                return
            time.sleep(1)


def _is_written(job: Job, ended: Ended) -> bool:
    try:
        write_end(job, ended)
    except OSError:
        return not os.path.isdir(job.path)  # Cleared away by somebody.
    return True


def _detach(report: int) -> None:
    os.chdir("/")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)
    limit = max(map(int, os.listdir("/proc/self/fd"))) if os.path.isdir("/proc/self/fd") else 1024
    for descriptor in range(3, limit + 1):
        if descriptor != report:
            with suppress(OSError):
                os.close(descriptor)


def _hold_lock(job: Job) -> None:
    """Hold the job's lock to the end of the process: nobody closes it."""
    lock = os.open(job.file(LOCK), os.O_RDWR | os.O_CLOEXEC)
    with suppress(OSError):
        fcntl.flock(lock, fcntl.LOCK_EX)


def _adopt_orphans() -> None:
    """What the command's processes leave behind descends from us then, not from init."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _woken_by_children() -> int:
    """Return a descriptor that becomes readable when a child has ended."""
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _nothing)  # Without a function of its own, nothing would wake.
    return woken


def _nothing(number: int, frame: object) -> None:
    pass


def _drain(descriptor: int) -> None:
    with suppress(BlockingIOError):
        while os.read(descriptor, PART):
            pass


def _send(number: int, *pids: int) -> None:
    # A negative number means the group that this process leads.
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, number)
