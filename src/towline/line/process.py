"""A program of this computer as a byte stream: its stdin and stdout, and the end of its stderr.

What the program is, and what its words mean, is for others to know.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager

import anyio
import anyio.lowlevel
from anyio.abc import ByteStream, Process

from towline.line.errors import ConnectError, ConnectKind

STDERR_MAX = 16 << 10  # Bytes kept, the last ones: where the reason stands.
BUFFER = 256 << 10  # Bytes on their way to the other end: fewer turns of both for the same bytes.
FOR_NOW = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})
EXIT_S = 2.0  # For a program whose stdout has ended, or that was asked to end, to do so.

# The person's Ctrl-C is for towline, which ends the program itself and in order. A program that
# starts with SIGINT ignored leaves it so; its own terminal must stay, for it may ask a password.
_WITHOUT_INTERRUPT = ("/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh")


class PipeReader:
    """Our end of a pipe, read without blocking the loop.

    What lies in the pipe is taken in one piece; asyncio's own reader takes a turn of the loop and
    three copies for each 64 KiB.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor: int | None = descriptor
        self._has_waited = False

    async def receive(self, max_bytes: int) -> bytes:
        """Return what has come. Raises anyio's resource errors; `EndOfStream` at the end."""
        # Who waited for the last bytes has let others have their turn.
        if self._has_waited:
            await anyio.lowlevel.checkpoint_if_cancelled()
        else:
            await anyio.lowlevel.checkpoint()
        self._has_waited = False
        while True:
            if self._descriptor is None:
                raise anyio.ClosedResourceError
            try:
                data = os.read(self._descriptor, max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self._descriptor)
                self._has_waited = True
                continue
            except OSError as error:
                raise anyio.BrokenResourceError from error
            if not data:
                raise anyio.EndOfStream
            return data

    async def aclose(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            anyio.notify_closing(descriptor)
            os.close(descriptor)


class PipeWriter:
    """Our end of a pipe, written to without blocking the loop.

    A write that is cancelled while the reader goes away leaves nothing behind, where asyncio's own
    writer leaves an exception that nobody fetches.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor: int | None = descriptor

    async def send(self, item: bytes) -> None:
        """Write all of it. Raises `OSError` and anyio's resource errors."""
        rest = memoryview(item)
        has_waited = False
        while rest:
            if self._descriptor is None:
                raise anyio.ClosedResourceError
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._descriptor)
                has_waited = True
        if not has_waited:
            await anyio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            anyio.notify_closing(descriptor)
            os.close(descriptor)


class ProcessStream(ByteStream):
    """The stdin and stdout of a running program."""

    def __init__(
        self, process: Process, stdin: PipeWriter | None, stdout: PipeReader | None
    ) -> None:
        self._process = process
        self._stdin = stdin or process.stdin
        self._stdout = stdout or process.stdout
        self._stderr = bytearray()
        self._stderr_ended = anyio.Event()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if self._stdout is None:
            raise anyio.ClosedResourceError
        return await self._stdout.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        if self._stdin is None:
            raise anyio.ClosedResourceError
        try:
            await self._stdin.send(item)
        except OSError as error:
            raise anyio.BrokenResourceError from error

    async def send_eof(self) -> None:
        if self._stdin is not None:
            await self._stdin.aclose()

    async def wait_ended(self) -> tuple[int | None, str]:
        """Return the exit status and the end of stderr; None if it does not end by itself."""
        with anyio.move_on_after(EXIT_S):
            await self._process.wait()
            await self._stderr_ended.wait()
        return self._process.returncode, self._stderr.decode("utf-8", "replace")

    async def aclose(self) -> None:
        """End the program, whatever it is doing."""
        if self._process.returncode is None and not _has_exited(self._process.pid):
            self._process.terminate()
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(EXIT_S):
                await self._process.wait()
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
            await self.send_eof()
            if self._stdout is not None:
                await self._stdout.aclose()
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
    stream = await _start(arguments, attended=attended)
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


async def _start(arguments: Sequence[str], *, attended: bool) -> ProcessStream:
    if shutil.which(arguments[0]) is None:
        raise ConnectError(
            ConnectKind.NO_SSH, f"there is no program {arguments[0]}", "install OpenSSH's client"
        )
    shielded = attended and os.name == "posix"
    command = [*(_WITHOUT_INTERRUPT if shielded else ()), *arguments]
    with _pipes() as (ends, writer, reader):
        stream: ProcessStream | None = None
        try:
            with anyio.CancelScope(shield=True):  # Half started, it would be nobody's to end.
                process = await anyio.open_process(
                    command,
                    stdin=ends[0],
                    stdout=ends[1],
                    stderr=subprocess.PIPE,
                    start_new_session=not attended,
                )
                stream = ProcessStream(process, writer, reader)
        except OSError as error:
            if writer is not None and reader is not None:
                await writer.aclose()
                await reader.aclose()
            raise _not_started(arguments[0], error) from None
        assert stream is not None
        return stream


@contextmanager
def _pipes() -> Generator[tuple[tuple[int, int], PipeWriter | None, PipeReader | None]]:
    """Yield what a program reads from and writes to, and our ends; Windows has its own way."""
    if os.name != "posix":
        yield (subprocess.PIPE, subprocess.PIPE), None, None
        return
    try:
        (its_input, ours_out), (ours_in, its_output) = _two_pipes()
    except OSError as error:
        raise _not_started("a program", error) from None
    try:
        yield (its_input, its_output), PipeWriter(ours_out), PipeReader(ours_in)
    finally:
        os.close(its_input)
        os.close(its_output)


def _not_started(name: str, error: OSError) -> ConnectError:
    kind = ConnectKind.UNREACHABLE if error.errno in FOR_NOW else ConnectKind.NO_SSH
    return ConnectError(kind, f"{name} cannot be started: {error.strerror}")


def _two_pipes() -> tuple[tuple[int, int], tuple[int, int]]:
    """Return one for each direction. Raises OSError, and leaves none open then."""
    first = _pipe()
    try:
        return first, _pipe()
    except OSError:
        for descriptor in first:
            os.close(descriptor)
        raise


def _pipe() -> tuple[int, int]:
    """Return where to read and where to write: a pair of sockets, of which one way is used.

    A pipe takes more as soon as one page is free, and wakes the writer for it; a socket when three
    quarters of it are.
    """
    reads, writes = socket.socketpair()
    writes.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    return reads.detach(), writes.detach()


def _has_exited(pid: int) -> bool:
    """Whether a child has ended, though its status may be unread.

    A signal sent to one that has would read it, and asyncio, which then looks in vain, says so on
    stderr.
    """
    if not hasattr(os, "waitid"):
        return False
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
