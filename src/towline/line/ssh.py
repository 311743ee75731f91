"""OpenSSH as the way to a machine: its arguments, and what its failures mean.

The person's own configuration, keys, jump hosts and shared connections are left as they are; we
add only what keeps a byte stream clean and its end certain.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream

from towline.line.bootstrap import Bootstrap, first_line
from towline.line.errors import ConnectError, ConnectKind
from towline.line.options import SshOptions
from towline.line.process import ProcessStream, open_process_stream

CONNECT_TIMEOUT_S = 15  # Per address: a machine behind a tunnel may take some seconds.
ALIVE_INTERVAL_S = 5  # With the count a backstop; the Line itself notices silence before.
ALIVE_COUNT = 6

_SSH_FAILED = 255


def command_line(options: SshOptions, host: str, command: str, *, attended: bool) -> list[str]:
    """Return the command line that runs `command` on `host`.

    Unattended, ssh never asks for anything.
    """
    settings = [
        *(() if attended else ("BatchMode=yes",)),
        f"ConnectTimeout={CONNECT_TIMEOUT_S}",
        f"ServerAliveInterval={ALIVE_INTERVAL_S}",
        f"ServerAliveCountMax={ALIVE_COUNT}",
        "ClearAllForwardings=yes",
        "ForwardAgent=no",
        "ForwardX11=no",
        "RequestTTY=no",
        "PermitLocalCommand=no",
    ]
    return options.running(host, command, flags=("-T", "-e", "none"), settings=settings)


@asynccontextmanager
async def open_ssh(
    host: str, options: SshOptions, bootstrap: Bootstrap, *, attended: bool
) -> AsyncGenerator[ByteStream]:
    """Connect to the agent on `host` for as long as the context lasts. Raises `ConnectError`.

    Reading from the stream raises it too, once the connection has failed.
    """
    arguments = command_line(options, host, bootstrap.command(), attended=attended)
    async with open_agent(arguments, bootstrap, attended=attended) as stream:
        yield stream


@asynccontextmanager
async def open_agent(
    arguments: list[str], bootstrap: Bootstrap, *, attended: bool
) -> AsyncGenerator[ByteStream]:
    """Connect to the agent through any program that runs `bootstrap.command()` somewhere."""
    async with open_process_stream(arguments, attended=attended) as process:
        yield await begin_agent(process, bootstrap)


async def begin_agent(process: ProcessStream, bootstrap: Bootstrap) -> ByteStream:
    """Return the stream to the agent, by a process that runs the command at the other end.

    Raises `ConnectError`.
    """
    try:
        begun = await bootstrap.begin(process)
    except anyio.EndOfStream as end:
        raise await _why_ended(process, said=end.args[0] if end.args else b"") from None
    except anyio.BrokenResourceError:
        raise await _why_ended(process) from None
    return explained(begun, process, bootstrap)


def explained(stream: ByteStream, process: ProcessStream, bootstrap: Bootstrap) -> ByteStream:
    """Let whoever reads the agent's stream know why it has ended, as far as ssh says it."""
    return _ExplainedStream(stream, process, bootstrap)


class _ExplainedStream(ByteStream):
    def __init__(self, stream: ByteStream, process: ProcessStream, bootstrap: Bootstrap) -> None:
        self._stream = stream
        self._process = process
        self._bootstrap = bootstrap

    async def receive(self, max_bytes: int = 65536) -> bytes:
        try:
            return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            error = await _why_ended(self._process)
            error.retryable = error.retryable or self._bootstrap.is_doubtful
            raise error from None

    async def send(self, item: bytes) -> None:
        await self._stream.send(item)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _why_ended(process: ProcessStream, said: bytes = b"") -> ConnectError:
    status, stderr = await process.wait_ended()
    return explain(status, stderr, said.decode("utf-8", "replace"))


# What OpenSSH says, from the most telling to the least. Jump hosts report through the same words.
_SAYINGS: tuple[tuple[ConnectKind, str, str], ...] = (
    (
        ConnectKind.HOST_KEY,
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|POSSIBLE DNS SPOOFING",
        "if it is a new machine at the old address, remove the old key: ssh-keygen -R HOST",
    ),
    (
        ConnectKind.HOST_KEY,
        r"Host key verification failed|No \S+ host key is known",
        "connect to it once with ssh itself, and accept its key there",
    ),
    (
        ConnectKind.AUTH,
        r"Permission denied \(|Too many authentication failures|No supported authentication methods"
        r"|Load key .*: (?:invalid format|bad permissions)|account is (?:currently )?not available",
        "does `ssh` to the same destination let you in?",
    ),
    (ConnectKind.REFUSED, r"Connection refused|Connection rejected", "is the machine still up?"),
    (
        ConnectKind.UNREACHABLE,
        r"Could not resolve|Name or service not known|timed out|Timeout, server|No route to host"
        r"|Network is unreachable|Connection (?:closed|reset)|kex_exchange_identification"
        r"|banner exchange|closed by remote host|Broken pipe|Operation timed out|mux_client",
        "",
    ),
    (ConnectKind.OTHER, r"Bad configuration option|unknown option|illegal option|usage: ssh", ""),
)


def explain(status: int | None, stderr: str, said: str = "") -> ConnectError:
    """Say why ssh ended, from its exit status, its stderr and what the machine printed."""
    for kind, pattern, hint in _SAYINGS:
        if match := re.search(f"^.*(?:{pattern}).*$", stderr, re.MULTILINE):
            return ConnectError(kind, match[0].strip("@ \t\r")[:300], hint)  # @: of its frames.
    if status is not None and status < 0:
        return ConnectError(ConnectKind.UNREACHABLE, f"ssh was ended by signal {-status}")
    if words := (stderr.strip() or said.strip()):
        return ConnectError(ConnectKind.OTHER, _reason_in(words)[:300])
    if status == _SSH_FAILED:
        return ConnectError(ConnectKind.UNREACHABLE, "ssh failed without a word")
    return ConnectError(ConnectKind.UNREACHABLE, "the connection was cut")


def _reason_in(words: str) -> str:
    """Return the line that says why: of a traceback it is the last one."""
    if words.startswith("Traceback "):
        return words.splitlines()[-1]
    return first_line(words.encode())
