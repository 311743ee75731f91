"""A program of this computer as a byte stream: its stdin and stdout, and the end of its stderr.

What the program is, and what its words mean, is for others to know.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream, Process

from towline.line.errors import ConnectError, ConnectKind

STDERR_MAX = 16 << 10  # Bytes kept, the last ones: where the reason stands.
EXIT_S = 2.0  # For a program whose stdout has ended, or that was asked to end, to do so.

# The person's Ctrl-C is for towline, which ends the program itself and in order. A program that
# starts with SIGINT ignored leaves it so; its own terminal must stay, for it may ask a password.
_WITHOUT_INTERRUPT = ("/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh")


class ProcessStream(ByteStream):
    """The stdin and stdout of a running program."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._stderr = bytearray()
        self._stderr_ended = anyio.Event()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._stdout.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        try:
            await self._stdin.send(item)
        except OSError as error:
            raise anyio.BrokenResourceError from error

    async def send_eof(self) -> None:
        await self._stdin.aclose()

    async def wait_ended(self) -> tuple[int | None, str]:
        """Return the exit status and the end of stderr; None if it does not end by itself."""
        with anyio.move_on_after(EXIT_S):
            await self._process.wait()
            await self._stderr_ended.wait()
        return self._process.returncode, self._stderr.decode("utf-8", "replace")

    async def aclose(self) -> None:
        """End the program, whatever it is doing."""
        if self._process.returncode is None:
            self._process.terminate()
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(EXIT_S):
                await self._process.wait()
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
            await self._process.aclose()

    async def collect_stderr(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        try:
            async for part in stderr:
                self._stderr += part
                del self._stderr[:-STDERR_MAX]
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        finally:
            self._stderr_ended.set()


@asynccontextmanager
async def open_process_stream(
    arguments: Sequence[str], *, attended: bool
) -> AsyncGenerator[ProcessStream]:
    """Run a program for as long as the context lasts.

    `attended`: it may ask the person at the terminal; else it has no terminal. Raises
    `ConnectError` if it cannot be started.
    """
    stream = ProcessStream(await _start(arguments, attended=attended))
    failure: BaseException | None = None
    try:
        # The body's exception is carried around the task group, which would wrap it.
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.collect_stderr)
            try:
                yield stream
            except Exception as error:
                failure = error
            await stream.aclose()
            tasks.cancel_scope.cancel()
    finally:
        await stream.aclose()
    if failure is not None:
        raise failure


async def _start(arguments: Sequence[str], *, attended: bool) -> Process:
    if shutil.which(arguments[0]) is None:
        raise ConnectError(
            ConnectKind.NO_SSH, f"there is no program {arguments[0]}", "install OpenSSH's client"
        )
    process: Process | None = None
    shielded = attended and os.name == "posix"
    try:
        with anyio.CancelScope(shield=True):  # Half started, it would be nobody's to end.
            process = await anyio.open_process(
                [*(_WITHOUT_INTERRUPT if shielded else ()), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=not attended,
            )
    except OSError as error:
        raise ConnectError(
            ConnectKind.NO_SSH, f"{arguments[0]} cannot be started: {error.strerror}"
        ) from None
    assert process is not None
    return process
