"""Programs that run on this machine for the laptop, each as long as its channel: bytes in and out.

The laptop sends one line of JSON, `{"argv": […], "cwd": …, "env": {…}, "agent": …}`, then what the
program is to read; an empty message ends that. It is sent a sequence of records: one byte of kind
(`o` standard output, `e` standard error, `x` exit), four of length, the content. The content of the
one `x`, which comes last, is JSON: `{"code": N}`, or `{"error": …}` if nothing could be started.

A program whose laptop closes the channel or is gone for good is hung up on, as by a terminal. What
is to outlive the laptop is a job, and started by such a program.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, cast

from towline.agent.offer import own_bundle
from towline.agent.streams import PART
from towline.core.wire.line import Line

PROGRAMS_MAX = 64  # At a time: each is a process and four descriptors.
CALL_MAX = 256 << 10  # Bytes of the line that says what to run: as much as some systems take.
EXIT_S = 0.02  # From a program's last output to its exit, as a rule.
RECORD = struct.Struct(">cI")  # Kind, length of the content.


class HungUp:
    """Programs that were hung up on and are not over yet. No Line's: theirs may be gone."""

    def __init__(self) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []

    def add(self, process: subprocess.Popen[bytes]) -> None:
        self._processes.append(process)

    def reap(self) -> int:
        """Let go of those that are over, which the system keeps until somebody asks.

        Return how many are not.
        """
        self._processes = [process for process in self._processes if process.poll() is None]
        return len(self._processes)


class Programs:
    """All programs of one Line. `hung_up` outlives it."""

    def __init__(self, line: Line, hung_up: HungUp) -> None:
        self._line = line
        self._hung_up = hung_up
        self._calls: dict[int, bytearray] = {}  # Channels whose first line is not whole yet.
        self._running: dict[int, _Program] = {}

    def wants(self, greeting: Mapping[str, Any]) -> bool:
        return "program" in greeting

    def open(self, channel: int, greeting: Mapping[str, Any]) -> None:
        if len(self._calls) + len(self._running) >= PROGRAMS_MAX:
            return self._line.close_channel(channel, f"{PROGRAMS_MAX} programs run already")
        self._calls[channel] = bytearray()
        return None

    def __contains__(self, channel: int) -> bool:
        return channel in self._calls or channel in self._running

    def put(self, channel: int, data: bytes) -> None:
        if channel in self._calls:
            self._take_call(channel, data)
        elif data:
            self._running[channel].incoming += data
            self._move(channel)
        else:
            self._line.consumed(channel, 0)
            self._running[channel].ends = True
            self._move(channel)

    def stir(self, channel: int) -> None:
        if channel in self._running:
            self._move(channel)

    def closed(self, channel: int) -> None:
        self._calls.pop(channel, None)
        if program := self._running.pop(channel, None):
            self._hang_up(program)

    def close(self) -> None:
        for program in self._running.values():
            self._hang_up(program)
        self._running.clear()
        self._calls.clear()

    def step(self) -> None:
        self._hung_up.reap()
        for channel in list(self._running):
            self._move(channel)

    def readable(self) -> Collection[int]:
        return {
            descriptor
            for channel, program in self._running.items()
            if self._line.sendable(channel) > 0
            for descriptor in program.speaking()
        }

    def writable(self) -> Collection[int]:
        return {program.stdin for program in self._running.values() if program.has_to_write}

    def _hang_up(self, program: _Program) -> None:
        program.hang_up()
        self._hung_up.add(program.process)

    # -- The call -----------------------------------------------------------------------------

    def _take_call(self, channel: int, data: bytes) -> None:
        call = self._calls[channel]
        call += data
        end = call.find(b"\n")
        if end < 0 and data and len(call) <= CALL_MAX:
            return self._line.consumed(channel, len(data))
        del self._calls[channel]
        try:
            program = _start(bytes(call[: max(end, 0)]))
        except (OSError, ValueError, RecursionError) as error:
            self._line.consumed(channel, len(data))
            return self._end(channel, {"error": str(error) or "it cannot be started"})
        program.incoming += call[end + 1 :]
        program.ends = not data
        self._running[channel] = program
        self._line.consumed(channel, len(data) - len(program.incoming))
        self._move(channel)
        return None

    def _end(self, channel: int, last: Mapping[str, Any]) -> None:
        content = json.dumps(last).encode()
        self._line.send(channel, RECORD.pack(b"x", len(content)) + content)
        self._line.close_channel(channel, "")

    # -- Moving bytes -------------------------------------------------------------------------

    def _move(self, channel: int) -> None:
        program = self._running[channel]
        if written := program.write():
            self._line.consumed(channel, written)
        for kind, descriptor in program.outputs():
            if self._line.sendable(channel) <= 0:
                return
            if data := program.read(kind, descriptor):
                self._line.send(channel, RECORD.pack(kind, len(data)) + data)
        if self._line.sendable(channel) > 0 and (code := program.exit_code()) is not None:
            del self._running[channel]
            program.let_go()
            self._end(channel, {"code": code})


class _Program:
    """A process in a group of its own, with pipes that never block."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self.incoming = bytearray()  # For the program to read; bounded by the channel's credit.
        self.ends = False  # The laptop sends no more; nor do we, after `incoming`.
        self.stdin = process.stdin.fileno()
        self.process = process
        self._outputs = {b"o": process.stdout, b"e": process.stderr}
        self._exit = _exit_descriptor(process.pid)
        for pipe in (process.stdin, *self._outputs.values()):
            os.set_blocking(pipe.fileno(), False)

    @property
    def has_to_write(self) -> bool:
        return bool(self.incoming) and not self._is_deaf()

    def write(self) -> int:
        """Pass on what the program takes; return how much is done with, taken or not."""
        before = len(self.incoming)
        try:
            while self.incoming and not self._is_deaf():
                del self.incoming[: os.write(self.stdin, self.incoming)]
        except BlockingIOError:
            return before - len(self.incoming)
        except OSError:  # It reads no more: what is sent to it still is drops.
            self._close_input()
        if self._is_deaf():
            self.incoming.clear()
        elif self.ends and not self.incoming:
            self._close_input()
        return before - len(self.incoming)

    def outputs(self) -> list[tuple[bytes, int]]:
        return [(kind, pipe.fileno()) for kind, pipe in self._outputs.items()]

    def read(self, kind: bytes, descriptor: int) -> bytes:
        """Return what has come, if anything has; at its end the pipe is closed."""
        try:
            data = os.read(descriptor, PART)
        except BlockingIOError:
            return b""
        if not data:
            self._outputs.pop(kind).close()
        return data

    def speaking(self) -> list[int]:
        """The descriptors that become readable when there is something to tell."""
        open_pipes = [pipe.fileno() for pipe in self._outputs.values()]
        return open_pipes or ([self._exit] if self._exit is not None else [])

    def exit_code(self) -> int | None:
        """Return how the program ended, a signal as a negative number; None while it runs.

        It is over when all its output is told. A process of its own that it left behind with its
        output open is waited for, as a shell's pipe would.
        """
        if self._outputs:
            return None
        if self._exit is None:  # Nothing would tell us, and it ends as its output does.
            with suppress(subprocess.TimeoutExpired):
                return self.process.wait(EXIT_S)
        return self.process.poll()

    def hang_up(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGHUP)
        self.let_go()

    def let_go(self) -> None:
        self._close_input()
        for pipe in self._outputs.values():
            pipe.close()
        self._outputs.clear()
        if self._exit is not None:
            os.close(self._exit)
            self._exit = None

    def _is_deaf(self) -> bool:
        return self.process.stdin is None or self.process.stdin.closed

    def _close_input(self) -> None:
        if self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()


def _start(call: bytes) -> _Program:
    """Start what a call names. Raises OSError, and ValueError for a call that makes no sense."""
    argv, directory, environment = _read_call(call)
    process = subprocess.Popen(
        argv,
        cwd=os.path.expanduser(directory),
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
        preexec_fn=_hear_hang_up,  # The agent has one thread: nothing can be held at the fork.
    )
    return _Program(process)


def _hear_hang_up() -> None:
    """The agent is deaf to it, which a program would inherit."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _read_call(call: bytes) -> tuple[list[str], str, dict[str, str]]:
    plain: object = json.loads(call)
    if type(plain) is not dict:
        raise ValueError("the call is not an object")
    known = cast("dict[str, Any]", plain)
    argv = _texts(known.get("argv"))
    directory, environment = known.get("cwd", "~"), known.get("env", {})
    if not argv or type(directory) is not str or type(environment) is not dict:
        raise ValueError("a call is {argv, cwd, env}")
    variables = cast("dict[str, object]", environment)
    values = dict(zip(variables, _texts(list(variables.values())), strict=True))
    if known.get("agent") is True:
        argv = [sys.executable, "-I", "-S", own_bundle(), *argv]
    return argv, directory or "~", values


def _texts(value: object) -> list[str]:
    """Return a list of texts, the empty one for what is no list. Raises ValueError."""
    items = cast("list[object]", value) if type(value) is list else []
    texts = [item for item in items if type(item) is str]
    if len(texts) < len(items):
        raise ValueError("argv and env hold texts")
    return texts


def _exit_descriptor(pid: int) -> int | None:
    """Return what becomes readable when the process ends, where the system has it (Linux 5.3)."""
    if sys.platform == "linux":
        with suppress(OSError):
            return os.pidfd_open(pid)
    return None
