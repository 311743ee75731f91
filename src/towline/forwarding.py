"""`forward`, as the engine answers it: a connection from a command to a port of the machine.

Each is a channel of the Line of its own, at the priority of what a person waits for. It lives
through cuts as the Line does, and ends with the Line.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
from anyio.abc import ByteStream

from towline.control_listener import GONE
from towline.core.wire.channels import TooManyChannelsError
from towline.core.wire.frames import Priority
from towline.errors import ExitCode, UserError
from towline.line.channel import Channel
from towline.line.errors import ChannelClosedError, LineLostError
from towline.line.live import LiveLine, Phase

PART = 64 << 10  # Bytes in one message: what others send comes between.
CLOSED = (ChannelClosedError, LineLostError)


class Forwarding:
    """Called with a request, and with what takes over the connection it came by."""

    def __init__(self, line: Callable[[], LiveLine | None]) -> None:
        self._line = line

    async def __call__(
        self, request: dict[str, object], take: Callable[[], Awaitable[ByteStream]]
    ) -> None:
        port = request.get("port")
        if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 1 << 16:
            raise UserError("forward needs a port", exit_code=ExitCode.USAGE)
        channel = self._open(port)
        try:
            await _carry(await take(), channel)
        finally:
            with anyio.CancelScope(shield=True):
                await channel.aclose()

    def _open(self, port: int) -> Channel:
        line = self._line()
        if line is None or line.state.phase is not Phase.CONNECTED:
            raise UserError("the machine is not connected", exit_code=ExitCode.UNAVAILABLE)
        try:
            return line.open_channel(json.dumps({"forward": port}).encode(), Priority.INTERACTIVE)
        except (TooManyChannelsError, *CLOSED) as error:
            raise UserError(str(error), exit_code=ExitCode.UNAVAILABLE) from None


async def _carry(stream: ByteStream, channel: Channel) -> None:
    """Carry both ways until the machine has sent everything, or either end is gone."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_send, stream, channel, tasks.cancel_scope)
        tasks.start_soon(_receive, stream, channel, tasks.cancel_scope)


async def _send(stream: ByteStream, channel: Channel, both: anyio.CancelScope) -> None:
    try:
        with suppress(anyio.EndOfStream):
            while True:
                await channel.send(await stream.receive(PART))
        await channel.send(b"")  # No more from here; what the machine has to say may go on.
    except (*GONE, *CLOSED):
        both.cancel()


async def _receive(stream: ByteStream, channel: Channel, both: anyio.CancelScope) -> None:
    with suppress(*GONE, *CLOSED):
        while data := await channel.receive():
            await stream.send(data)
        await stream.send_eof()
        return
    both.cancel()
