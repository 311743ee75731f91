"""One command of one SSH channel: a process group that lives exactly as long as the channel.

On pipes what goes in and out is bytes and nothing is interpreted; on a terminal the kernel does
its part, in its default modes. Who may run a command, and where, is decided elsewhere.
"""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import asyncssh
from anyio.abc import ByteReceiveStream, Process

READ_SIZE = 64 << 10  # Bytes at once: a few packets, so that small answers do not wait.
HANGUP_S = 1.0  # For a command whose channel is gone to tidy up; then it is killed.

NOT_STARTED = 126  # As a shell says "found, but cannot be run".

END_OF_INPUT = b"\x04"  # ^D: all that a terminal knows of the end of a stream.

# A session leader takes the terminal as its own. A server started with `&` ignores SIGINT, and
# what ignores it at its start keeps doing so: ^C would be dead.
_ON_TERMINAL = """\
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""

Channel = asyncssh.SSHServerProcess[bytes]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where commands run: in `home`, through `shell`, with this environment and no other."""

    home: Path
    shell: str
    environment: Mapping[str, str]

    def argv(self, command: str | None) -> list[str]:
        """Return what runs `command`, or a login shell if there is none."""
        return [self.shell, "-l"] if command is None else [self.shell, "-c", command]


async def run_command(channel: Channel, surroundings: Surroundings) -> None:
    """Run what the channel asks for until it ends or the channel is gone."""
    argv = surroundings.argv(channel.command)
    environment = {**surroundings.environment, **_accepted(channel.env)}
    try:
        if channel.term_type is None or not _has_terminals(channel):
            status = await _run_on_pipes(channel, argv, surroundings.home, environment)
        else:
            environment["TERM"] = channel.term_type
            status = await _run_on_terminal(channel, argv, surroundings.home, environment)
    except OSError as error:
        with suppress(OSError):  # Nobody is there any more.
            channel.stderr.write(f"{argv[0]} cannot be started: {error.strerror}\r\n".encode())
        status = NOT_STARTED
    _tell_end(channel, status)


def _has_terminals(channel: Channel) -> bool:
    """Whether this machine gives any; where not, the client goes on without, as with sshd."""
    try:
        for descriptor in pty.openpty():
            os.close(descriptor)
    except OSError as error:
        why = error.strerror or str(error)
        channel.stderr.write(f"this machine gives no terminal: {why}\r\n".encode())
        return False
    return True


def _accepted(asked: Mapping[str, str]) -> dict[str, str]:
    """Of the client's environment only the language is taken, as Debian's sshd does."""
    return {name: value for name, value in asked.items() if name.startswith(("LANG", "LC_"))}


def _tell_end(channel: Channel, status: int | None) -> None:
    with suppress(OSError):  # Nobody is there any more.
        if status is not None and status < 0:
            channel.exit_with_signal(_signal_name(-status))
        elif status is not None:
            channel.exit(status)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:  # Of the real-time ones only the first and the last have names.
        return f"{number}@towline"


async def _start(
    argv: Sequence[str], home: Path, environment: Mapping[str, str], standard: int
) -> Process:
    """Start a group of its own. `standard` is a descriptor for all three streams, or `PIPE`."""
    with anyio.CancelScope(shield=True):  # Half started, it would be nobody's to end.
        return await anyio.open_process(
            argv,
            stdin=standard,
            stdout=standard,
            stderr=standard,
            cwd=home,
            env=environment,
            start_new_session=True,
        )
    raise AssertionError("a shield swallows nothing")


# On pipes


async def _run_on_pipes(
    channel: Channel, argv: Sequence[str], home: Path, environment: Mapping[str, str]
) -> int | None:
    child = await _start(argv, home, environment, subprocess.PIPE)
    assert child.stdout is not None
    assert child.stderr is not None
    outputs = [(child.stdout, channel.stdout), (child.stderr, channel.stderr)]
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_when_closed, channel, tasks.cancel_scope)
            tasks.start_soon(_feed, channel, child)
            async with anyio.create_task_group() as pumps:
                for source, target in outputs:
                    pumps.start_soon(_pump, source, target)
            await child.wait()
            tasks.cancel_scope.cancel()
    finally:
        await _end(child)
    return child.returncode


async def _cancel_when_closed(channel: Channel, scope: anyio.CancelScope) -> None:
    await channel.channel.wait_closed()
    scope.cancel()


async def _feed(channel: Channel, child: Process) -> None:
    """Pass on what the client sends, and its end. A command that does not read is left alone."""
    assert child.stdin is not None
    with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        async for data in _received(channel, child):
            await child.stdin.send(data)
        await child.stdin.aclose()


async def _pump(source: ByteReceiveStream, target: asyncssh.SSHWriter[bytes]) -> None:
    """Carry all there is: the last bytes must be under way before the exit status is."""
    with suppress(OSError, asyncssh.Error, anyio.BrokenResourceError):
        async for data in source:
            target.write(data)
            await target.drain()


async def _received(
    channel: Channel, child: Process, terminal: int | None = None
) -> AsyncIterator[bytes]:
    """Yield what the client sends; carry out what it asks for in between."""
    while True:
        try:
            data = await channel.stdin.read(READ_SIZE)
        except asyncssh.TerminalSizeChanged as size:
            if terminal is not None:
                _resize(terminal, size.term_size)
        except asyncssh.SignalReceived as received:
            _signal_group(child, getattr(signal, f"SIG{received.signal}", None))
        except asyncssh.BreakReceived:
            pass
        except (asyncssh.Error, OSError):
            return
        else:
            if not data:
                return
            yield data


# On a terminal


async def _run_on_terminal(
    channel: Channel, argv: Sequence[str], home: Path, environment: Mapping[str, str]
) -> int | None:
    terminal, child = await _start_on_terminal(channel, argv, home, environment)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_when_closed, channel, tasks.cancel_scope)
            tasks.start_soon(_type, channel, child, terminal)
            await _show(terminal, channel.stdout)
            await child.wait()
            tasks.cancel_scope.cancel()
    finally:
        await _end(child)
        os.close(terminal)
    return child.returncode


async def _start_on_terminal(
    channel: Channel, argv: Sequence[str], home: Path, environment: Mapping[str, str]
) -> tuple[int, Process]:
    """Return the terminal's other end and what runs on it. Raises OSError."""
    terminal, inner = pty.openpty()
    try:
        _resize(terminal, channel.term_size)
        os.set_blocking(terminal, False)
        own = [sys.executable, "-I", "-S", "-c", _ON_TERMINAL]
        child = await _start([*own, *argv], home, environment, inner)
    except BaseException:
        os.close(terminal)
        raise
    finally:
        os.close(inner)
    return terminal, child


async def _type(channel: Channel, child: Process, terminal: int) -> None:
    with suppress(OSError):
        async for data in _received(channel, child, terminal):
            await _write(terminal, data)
        await _write(terminal, END_OF_INPUT)


async def _write(terminal: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(terminal, data) :]
        except BlockingIOError:
            await anyio.wait_writable(terminal)


async def _show(terminal: int, screen: asyncssh.SSHWriter[bytes]) -> None:
    """Carry what the terminal shows, until nobody has it open any more."""
    with suppress(OSError, asyncssh.Error):  # Linux tells the end by EIO.
        while True:
            await anyio.wait_readable(terminal)
            try:
                data = os.read(terminal, READ_SIZE)
            except BlockingIOError:
                continue
            if not data:
                return
            screen.write(data)
            await screen.drain()


def _resize(terminal: int, size: tuple[int, int, int, int]) -> None:
    columns, rows, width, height = (min(value, 0xFFFF) for value in size)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, width, height))


# The end


async def _end(child: Process) -> None:
    """End the whole group of a command that still runs, first with a word, then without."""
    with anyio.CancelScope(shield=True):
        if child.returncode is None:
            _signal_group(child, signal.SIGHUP)
            with anyio.move_on_after(HANGUP_S):
                await child.wait()
        if child.returncode is None:
            _signal_group(child, signal.SIGKILL)
            await child.wait()
        await child.aclose()


def _signal_group(child: Process, number: int | None) -> None:
    """Only while its leader is ours: later the number may be somebody else's."""
    if number is not None and child.returncode is None:
        with suppress(ProcessLookupError, subprocess.SubprocessError):
            os.killpg(child.pid, number)
