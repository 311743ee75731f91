"""The engine as a person runs it: `towline link --json` in a process of its own, and what it tells.

Other commands find it through its control socket, each in a process of its own as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

Json = dict[str, Any]

# -P: a project's own json.py must not be what towline imports.
TOWLINE = (sys.executable, "-P", "-m", "towline")
WAIT_S = 15.0  # For what takes milliseconds, also on a computer that has much else to do.
END_S = 5.0  # For an engine asked to end to do so; then it is killed.
LINE_MAX = 1 << 20  # Bytes in one event.
STDERR_MAX = 4 << 10  # Bytes kept, the last ones: where the reason stands.
SHOWN = 3  # Events told when another was expected: the last ones.


class UnexpectedError(Exception):
    """The demo expected something and saw something else."""

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}; seen: {seen}")


class Engine:
    """Made by `open_engine`."""

    def __init__(self, process: Process, environment: Mapping[str, str], project: Path) -> None:
        self.events: list[Json] = []
        self.ended = False
        self._process = process
        self._environment = environment
        self._project = project
        self._stderr = b""
        self._told = anyio.Event()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait_event(
        self, name: str, since: int = 0, where: Callable[[Json], bool] = lambda _: True
    ) -> Json:
        """Return the first such event among those from the `since`th on. Raises if none comes."""
        with anyio.move_on_after(WAIT_S):
            while True:
                told = self._told
                for event in self.events[since:]:
                    if event["event"] == name and where(event):
                        return event
                if self.ended:
                    break
                await told.wait()
        raise UnexpectedError(f"the event {name!r}", self.last_words())

    async def wait_exit(self) -> int:
        with anyio.move_on_after(WAIT_S):
            return await self._process.wait()
        raise UnexpectedError("the engine to end", self.last_words())

    async def command(self, *words: str) -> Json:
        """Run `towline WORDS --json` in the project; return its last object."""
        done = await anyio.run_process(
            [*TOWLINE, *words, "--json"],
            stdin=subprocess.DEVNULL,
            check=False,
            cwd=self._project,
            env=self._environment,
        )
        if done.returncode:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise UnexpectedError(f"`towline {words[0]}` to do it", said)
        lines = done.stdout.splitlines()
        return json.loads(lines[-1]) if lines else {}

    def last_words(self) -> str:
        said = [json.dumps(event) for event in self.events[-SHOWN:]]
        return " | ".join([*said, self._stderr.decode(errors="replace").strip()]) or "nothing"

    # -- Reading along ------------------------------------------------------------------------

    async def read_events(self) -> None:
        assert self._process.stdout is not None
        stream = BufferedByteReceiveStream(self._process.stdout)
        try:
            while True:
                self.events.append(json.loads(await stream.receive_until(b"\n", LINE_MAX)))
                self._ring()
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.ClosedResourceError):
            self.ended = True
            self._ring()

    def _ring(self) -> None:
        self._told.set()
        self._told = anyio.Event()

    async def read_stderr(self) -> None:
        assert self._process.stderr is not None
        async for part in self._process.stderr:
            self._stderr = (self._stderr + part)[-STDERR_MAX:]


@asynccontextmanager
async def open_engine(
    arguments: Sequence[str], environment: Mapping[str, str], project: Path
) -> AsyncGenerator[Engine]:
    """Run `towline link --json ARGUMENTS` in `project`; it has ended when the context does."""
    process = await anyio.open_process(
        [*TOWLINE, "link", "--json", *arguments],
        stdin=subprocess.DEVNULL,
        cwd=project,
        env=environment,
        start_new_session=True,  # The person's Ctrl-C is for the demo, which ends it in order.
    )
    engine = Engine(process, environment, project)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(engine.read_events)
            tasks.start_soon(engine.read_stderr)
            yield engine
            tasks.cancel_scope.cancel()
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
            with anyio.move_on_after(END_S):
                await process.wait()
        if process.returncode is None:
            process.kill()
        await process.aclose()
