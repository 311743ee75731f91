"""A SOCKS 5 server here whose connections go out from the machine: `towline forward --socks`.

Each client says for itself where to, and the machine looks names up. What cannot be reached is told
to the client in its own protocol; it is no event of the link.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
from anyio.abc import ByteStream

from towline.channels import CLOSED, carry
from towline.engine.events import ForwardFailed
from towline.forwards.forward import NoChannelError, OpenLine
from towline.forwards.local import Local
from towline.forwards.place import Place
from towline.forwards.socks5 import GRANTED, UNREACHABLE, SocksError, read_request, reply

USUAL_PORT = 1080
REQUEST_S = 10.0  # For a client to say what it wants: they are programs, and here.
CONNECT_S = 60.0  # A client that gave up does not tell; most have by then.


class Socks(Local):
    direction = "socks"

    def __init__(self, line: OpenLine, tell: Callable[[ForwardFailed], None]) -> None:
        super().__init__(Place(USUAL_PORT), line, tell)  # Where it listens if nothing is said.

    @property
    def leads_to(self) -> str:
        return "whatever the machine reaches (SOCKS 5)"

    @property
    def names(self) -> tuple[str, ...]:
        return ("socks", self.address, self.listen.text)

    async def _carry(self, stream: ByteStream) -> str:
        try:
            with anyio.fail_after(REQUEST_S):
                target = await read_request(stream)
        except SocksError as error:
            await stream.send(error.last_word)
            return str(error)
        except (TimeoutError, anyio.EndOfStream):
            return "a client did not say what it wants"
        # The machine's own loopback needs no looking up, and is what most ask for.
        is_itself = target.host.lower() == "localhost"
        return await self._connect(stream, Place(target.port) if is_itself else target)

    async def _connect(self, stream: ByteStream, target: Place) -> str:
        try:
            async with self._channel({"connect": target.as_json()}) as channel:
                with anyio.fail_after(CONNECT_S):
                    await channel.receive()
                await stream.send(reply(GRANTED))
                return await carry(stream, channel)
        except (NoChannelError, TimeoutError, *CLOSED) as error:
            await stream.send(reply(UNREACHABLE))
            return str(error) or f"{target.text} does not answer"

    def _note(self, reason: str) -> None:
        self._told = reason

    def _hint(self, port: int) -> str:
        return "`towline forward --socks 0` takes any free port"
