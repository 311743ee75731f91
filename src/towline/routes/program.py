"""A provider's program, running: its words read as they come, without end and without growing.

Both of its outputs are read all the time, so it never waits for us; the last lines are kept, for
the reason when it ends. What the words mean is for others to know.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import anyio
from anyio.abc import ByteReceiveStream, Process, TaskGroup

from towline.core.address import BadAddressError
from towline.routes.base import background
from towline.routes.errors import RouteError, Saying, explain, quoted

LINES_KEPT = 50  # The last ones: where the reason stands.
LINE_MAX = 1024  # Bytes; the rest of a longer line is dropped.
UNREAD_MAX = 4096  # Lines nobody has looked at yet, more than one read holds. Then the oldest go.
LAST_WORDS_S = 1.0  # For the rest of the output after the end: a child may hold it open for ever.
END_S = 3.0  # For a program to end when asked to, before it is killed.

Found = TypeVar("Found")


class Program:
    """Made by `open_program`."""

    def __init__(
        self, name: str, process: Process, sayings: Sequence[Saying], noise: re.Pattern[str] | None
    ) -> None:
        self.name = name
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._process = process
        self._sayings = sayings
        self._noise = noise
        self._unread: deque[str] = deque(maxlen=UNREAD_MAX)
        self._news = anyio.Event()
        self._outputs_open = 2
        self._outputs_ended = anyio.Event()
        self._ended = anyio.Event()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait_for(self, find: Callable[[str], Found | None]) -> Found:
        """Return what `find` makes of the first line it knows. Raises `RouteError` at the end."""
        while True:
            while self._unread:
                if (found := self._try(find, self._unread.popleft())) is not None:
                    return found
            if self._ended.is_set():
                raise self.why_ended()
            self._news = anyio.Event()
            await self._news.wait()

    def _try(self, find: Callable[[str], Found | None], line: str) -> Found | None:
        try:
            return find(line)
        except BadAddressError as error:
            raise RouteError(
                f"{self.name}: the provider gave an address that cannot be: {quoted(str(error))}",
                "do not use it; try another route",
            ) from None

    async def wait_ended(self) -> str:
        """Wait until the program has ended; return why, as far as it said."""
        await self._ended.wait()
        return self.why_ended().message

    async def wait_success(self) -> None:
        """Wait until it has ended well. Raises `RouteError` if it has not."""
        await self._ended.wait()
        if self._process.returncode != 0:
            raise self.why_ended()

    def why_ended(self) -> RouteError:
        return explain(self.name, list(self.lines), self._sayings)

    # -- For `open_program` -------------------------------------------------------------------

    def follow(self, tasks: TaskGroup) -> None:
        for output in (self._process.stdout, self._process.stderr):
            assert output is not None
            tasks.start_soon(self._read, output)
        tasks.start_soon(self._watch)

    async def _read(self, output: ByteReceiveStream) -> None:
        """Take lines until the output ends."""
        rest = b""
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for part in output:
                *whole, rest = (rest + part).replace(b"\r", b"\n").split(b"\n")
                rest = rest[:LINE_MAX]
                self._take(whole)
        self._take([rest])
        self._outputs_open -= 1
        if self._outputs_open == 0:
            self._outputs_ended.set()

    async def _watch(self) -> None:
        """Wait for the end of the program, and for the last of what it says."""
        await self._process.wait()
        with anyio.move_on_after(LAST_WORDS_S):
            await self._outputs_ended.wait()
        self._kill_left_behind()
        self._ended.set()
        self._news.set()

    def _kill_left_behind(self) -> None:
        """What holds its output open after its end: its group lives, and the number is its own."""
        if not self._outputs_ended.is_set():
            self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))

    def _take(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            text = line[:LINE_MAX].decode("utf-8", "replace").strip()
            if text:
                self._unread.append(text)
            if text and not (self._noise and self._noise.match(text)):
                self.lines.append(text)
        self._news.set()

    async def end(self) -> None:
        """End it and what it has started, whatever they are doing."""
        with anyio.CancelScope(shield=True):
            if self._process.returncode is None:
                self._signal(signal.SIGTERM)
                with anyio.move_on_after(END_S):
                    await self._process.wait()
                self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
                await self._process.wait()
            elif not self._ended.is_set():
                self._kill_left_behind()
            await self._process.aclose()

    def _signal(self, number: signal.Signals) -> None:
        """To its whole group, which outlives a leader that was too quick to tell its children."""
        with suppress(ProcessLookupError, PermissionError):
            if os.name == "posix":
                os.killpg(self._process.pid, number)
            elif self._process.returncode is None:
                self._process.send_signal(number)


@asynccontextmanager
async def open_program(
    name: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    sayings: Sequence[Saying] = (),
    noise: re.Pattern[str] | None = None,
) -> AsyncGenerator[Program]:
    """Run a program for as long as the context lasts, without a terminal, with nothing to read.

    `name` is the route's, for messages. Lines that match `noise` can be waited for, but are no
    reason for an end. Raises `RouteError` if it cannot be started.
    """
    program = Program(name, await _start(name, argv, environment), sayings, noise)
    try:
        async with background() as tasks:
            program.follow(tasks)
            yield program
    finally:
        await program.end()


async def _start(name: str, argv: Sequence[str], environment: Mapping[str, str]) -> Process:
    # Its input stays open and empty: some end when it ends.
    try:
        with anyio.CancelScope(shield=True):  # Half started, it would be nobody's to end.
            return await anyio.open_process(
                argv, stdin=subprocess.PIPE, env=dict(environment), start_new_session=True
            )
    except OSError as error:
        raise RouteError(f"{name}: {argv[0]} cannot be started: {error.strerror}") from error
    raise AssertionError("unreachable: nothing cancels this scope")
