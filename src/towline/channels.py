"""`channel`, as the engine answers it: a command's connection becomes a channel of the Line.

What the channel is for stands in its greeting, which is passed on as it is: a port of the machine,
a program there, files to watch. It lives through cuts as the Line does, and ends with the Line.
"""

from __future__ import annotations

import json
import select
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast

import anyio
from anyio.abc import ByteStream, SocketAttribute

from towline.control import Json
from towline.control_listener import GONE
from towline.core.wire.channels import TooManyChannelsError
from towline.core.wire.frames import GREETING_MAX, Priority, ProtocolError
from towline.errors import ExitCode, UserError
from towline.line.channel import Channel
from towline.line.errors import ChannelClosedError, ConnectError, LineLostError
from towline.line.live import LiveLine, Phase

HANG_UP_S = 0.5  # Between two looks at one who has said the last word and may still listen.
PART = 256 << 10  # Bytes in one message: what others send comes between its frames.
CLOSED = (ChannelClosedError, LineLostError, ConnectError, ProtocolError)
"""The channel is, or what ended its Line, which is the engine's affair."""


GREETINGS = frozenset({"forward", "program", "stamps"})
"""What a command may ask the machine for: all else on the Line is the engine's own."""


class Channels:
    """Called with a request, and with what takes over the connection it came by."""

    def __init__(self, line: Callable[[], LiveLine | None]) -> None:
        self._line = line

    async def __call__(
        self, request: dict[str, object], take: Callable[[], Awaitable[ByteStream]]
    ) -> None:
        channel = self._open(*_read(request))
        try:
            await carry(await take(), channel)
        finally:
            with anyio.CancelScope(shield=True):
                await channel.aclose()

    def _open(self, greeting: bytes, priority: Priority) -> Channel:
        line = self._line()
        if line is None or line.state.phase is not Phase.CONNECTED:
            raise UserError("the machine is not connected", exit_code=ExitCode.UNAVAILABLE)
        try:
            return line.open_channel(greeting, priority)
        except (TooManyChannelsError, *CLOSED) as error:
            raise UserError(str(error), exit_code=ExitCode.UNAVAILABLE) from None


def _read(request: dict[str, object]) -> tuple[bytes, Priority]:
    """Return the greeting a request asks for, and the priority. Raises UserError."""
    greeting = request.get("greeting")
    if not isinstance(greeting, dict) or len(GREETINGS & cast("Json", greeting).keys()) != 1:
        kinds = ", ".join(sorted(GREETINGS))
        raise UserError(f"a channel's greeting names one of {kinds}", exit_code=ExitCode.USAGE)
    encoded = json.dumps(greeting).encode()
    if len(encoded) > GREETING_MAX:
        raise UserError("the greeting is too long", exit_code=ExitCode.USAGE)
    return encoded, Priority.BULK if request.get("bulk") is True else Priority.INTERACTIVE


async def carry(stream: ByteStream, channel: Channel) -> str:
    """Carry both ways until the machine has sent everything, or either end is gone.

    Return the machine's reason if it closed the channel before it had sent anything.
    """
    reasons: list[str] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_send, stream, channel, tasks.cancel_scope)
        tasks.start_soon(_receive, stream, channel, tasks.cancel_scope, reasons)
    return "".join(reasons)


async def _send(stream: ByteStream, channel: Channel, both: anyio.CancelScope) -> None:
    try:
        with suppress(anyio.EndOfStream):
            while True:
                await channel.send(await stream.receive(PART))
        await channel.send(b"")  # No more from here; what the machine has to say may go on.
        await _wait_hung_up(stream)
        both.cancel()
    except (*GONE, *CLOSED):
        both.cancel()


async def _wait_hung_up(stream: ByteStream) -> None:
    """Wait until who asked reads no more, either. Its end alone looks like no more to send."""
    descriptor = stream.extra(SocketAttribute.raw_socket).fileno()  # noqa: S610 - not Django's.
    while not _is_hung_up(descriptor):  # noqa: ASYNC110 - no event tells it.
        await anyio.sleep(HANG_UP_S)


if sys.platform == "win32":

    def _is_hung_up(descriptor: int) -> bool:
        return False  # Nothing tells; it is found out with the next byte from the machine.

else:

    def _is_hung_up(descriptor: int) -> bool:
        looking = select.poll()
        looking.register(descriptor, 0)  # POLLHUP is told unasked.
        return bool(looking.poll(0))


async def _receive(
    stream: ByteStream, channel: Channel, both: anyio.CancelScope, reasons: list[str]
) -> None:
    is_fresh = True
    try:
        while data := await channel.receive():
            is_fresh = False
            await stream.send(data)
        await stream.send_eof()
    except CLOSED as error:
        if is_fresh:
            reasons.append(str(error))
        both.cancel()
    except GONE:
        both.cancel()
