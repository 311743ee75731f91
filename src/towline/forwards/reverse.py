"""A forward from the machine to here: what connects to a port or socket there is connected here.

This end opens every channel, a few of which wait for connections there: which target a channel
leads to is known here alone, and the machine can neither name nor change one. After a new life of
the agent the port is asked for again.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
from anyio.abc import ByteStream, TaskGroup

from towline.channels import CLOSED, carry
from towline.control_listener import GONE
from towline.engine.events import ForwardFailed
from towline.errors import ExitCode, UserError
from towline.forwards.forward import Forward, NoChannelError, OpenLine
from towline.forwards.place import Place
from towline.line.channel import Channel
from towline.line.unix import connect_unix

WAITING = 4  # Connections that need no round trip before their bytes come here: a page's burst.
CONNECTIONS_MAX = 256  # At a time, whatever the machine does.
CONNECTED = b"\0"  # What the machine says first when a connection has come.
ASK_S = 15.0  # For the machine to listen, when a person waits for it.
CONNECT_S = 20.0
LEAVE_S = 1.0  # The machine may be away, and a person waits.
RETRY_S = 5.0  # Where the machine would not listen again: no event tells that a port is free.

_numbers = itertools.count(1)


class Reverse(Forward):
    """`listen` is on the machine, `target` on this computer or reached from it."""

    direction = "reverse"

    def __init__(
        self,
        target: Place,
        line: OpenLine,
        tell: Callable[[ForwardFailed], None],
        wait_stirred: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(target, line, tell)
        self._number = next(_numbers)
        self._wait_stirred = wait_stirred  # The Line may be another one then.
        self._room = anyio.Semaphore(CONNECTIONS_MAX)
        self._control: Channel

    async def begin(self, wished: Place | None) -> None:
        assert wished is not None, "a person names the port"
        try:
            with anyio.fail_after(ASK_S):
                await self._ask(wished)
        except (NoChannelError, TimeoutError, *CLOSED) as error:
            reason = str(error) or "the machine does not answer"
            raise UserError(reason, "", ExitCode.TRY_AGAIN) from None

    async def serve(self) -> None:
        try:
            while True:
                await self._serve_life()
                await self._ask_again()
        finally:
            with anyio.move_on_after(LEAVE_S, shield=True):
                await self._leave()

    # -- Listening there ----------------------------------------------------------------------

    async def _ask(self, wished: Place) -> None:
        """Have the machine listen. Raises NoChannelError, and what ended the channel."""
        greeting = {"reverse": self._number, "listen": wished.as_json()}
        self._control = self._open_channel(greeting)
        try:
            answer = await self._control.receive()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._control.aclose()
            raise
        self.listen = wished if wished.path or wished.port else Place(_port_in(answer))

    async def _leave(self) -> None:
        """Have the machine listen no more, and wait until it does not: the Line may end next."""
        try:
            with suppress(*CLOSED):
                await self._control.send(b"")
                while True:
                    await self._control.receive()
        finally:
            with anyio.CancelScope(shield=True):
                await self._control.aclose()

    async def _ask_again(self) -> None:
        """A new life of the agent knows nothing of us."""
        while True:
            try:
                return await self._ask(self.listen)
            except NoChannelError:
                await self._wait_stirred()
            except CLOSED as error:
                self._note(str(error))
                await anyio.sleep(RETRY_S)

    async def _serve_life(self) -> None:
        """Have channels wait, until the machine listens no more."""
        async with anyio.create_task_group() as tasks:
            for _ in range(WAITING):
                tasks.start_soon(self._wait_for_one, tasks)
            with suppress(*CLOSED):
                while True:  # It says nothing more: only its end counts.
                    await self._control.receive()
            tasks.cancel_scope.cancel()

    # -- A connection -------------------------------------------------------------------------

    async def _wait_for_one(self, tasks: TaskGroup) -> None:
        """Wait for a connection there, and lead it here; the next one finds another waiting."""
        async with self._room:
            with suppress(NoChannelError, *CLOSED, *GONE):
                async with self._channel({"reverse": self._number}) as channel:
                    if await channel.receive() == CONNECTED:
                        tasks.start_soon(self._wait_for_one, tasks)
                        await self._lead(channel)

    async def _lead(self, channel: Channel) -> None:
        self.open += 1
        try:
            with anyio.fail_after(CONNECT_S):
                stream = await _connect(self.target)
        except (OSError, TimeoutError):  # The channel is closed, and with it the connection there.
            self._note(f"nothing answers at {self.target.text} here")
        else:
            self._note("")
            async with stream:
                await carry(stream, channel)
        finally:
            self.open -= 1


async def _connect(target: Place) -> ByteStream:
    """A bare port is this computer's loopback, of either family. Raises OSError."""
    if target.path:
        if sys.platform == "win32":
            raise OSError("Windows has no unix sockets")
        return await connect_unix(target.path)
    if target.host:
        return await anyio.connect_tcp(target.host, target.port)
    try:
        return await anyio.connect_tcp("127.0.0.1", target.port)
    except OSError:
        return await anyio.connect_tcp("::1", target.port)


def _port_in(answer: bytes) -> int:
    """Return the port that the machine chose; what makes no sense is none, and only shown."""
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        plain: Any = json.loads(answer)
        port = plain["port"]
        if type(port) is int and 0 < port < 1 << 16:
            return port
    return 0
