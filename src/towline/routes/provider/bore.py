"""`bore`: a public TCP port at bore.pub or at a server of one's own, spoken in pure Python.

One control connection asks for the port and is told of each caller by an id; a second connection
with that id becomes the caller's. Messages are JSON, each ended by a zero byte.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import anyio
from anyio.abc import ByteStream
from anyio.streams.buffered import BufferedByteStream

from towline.core.address import BadAddressError, Tcp, split_place
from towline.routes.base import (
    About,
    Route,
    Setting,
    Surroundings,
    Tunnel,
    background,
    enter_same_port,
    opening,
)
from towline.routes.errors import RouteError, Saying, explain, quoted
from towline.routes.relay import GONE, connect_loopback, relay

CONTROL_PORT = 7835
MESSAGE_MAX = 256  # Bytes, as the protocol has it.
SILENCE_MAX_S = 10.0  # The server sends a heartbeat each half second.
ANSWER_S = 10.0  # For the server to answer, and for us to take up a caller.
CALLERS_MAX = 64  # At a time. Anybody may knock at a public port.

SERVER = Setting("bore.server", "TOWLINE_BORE_SERVER", "its server", default="bore.pub")
SECRET = Setting("bore.secret", "BORE_SECRET", "the secret of a server of your own", secret=True)
PORT = Setting("bore.port", "TOWLINE_BORE_PORT", "the port to ask for; 0: any", default="0")

SAYINGS = (
    Saying(
        "port already in use",
        "the port is taken at the server",
        "ask for another one, or for none; it may be free again in a minute",
        passing=True,
        is_taken=True,
    ),
    Saying(
        "client port number not in allowed range",
        "the server does not give that port",
        "ask for another one (TOWLINE_BORE_PORT), or for none",
        is_taken=True,
    ),
    Saying(
        "failed to find an available port",
        "the server has no free port",
        "try later or another route",
        passing=True,
    ),
    Saying(
        "server requires secret|invalid secret|authentication",
        "the server wants another secret",
        "set BORE_SECRET to the one it was started with",
    ),
)


class Bore(Route):
    about = About(
        name="bore",
        needs="nothing",
        limits="bore.pub restarts now and then; some networks block it",
        cost="free, without an account; or a server of yours",
        settings=(SERVER, SECRET, PORT),
        rank=30,
    )

    def why_not(self, around: Surroundings) -> str:
        port = around.value(PORT)
        if not (port.isdecimal() and int(port) < 1 << 16):
            return f"{PORT.variable}: not a port: {port!r}"
        try:
            split_place(around.value(SERVER), CONTROL_PORT)
        except BadAddressError as error:
            return f"{SERVER.variable}: {error}"
        return ""

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        return _open(port, around)


@dataclass(frozen=True, slots=True)
class _Server:
    host: str
    port: int
    secret: str


class _Wire:
    """Messages on one connection; what follows the last one is the stream."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = BufferedByteStream(stream)

    async def send(self, message: object) -> None:
        await self.stream.send(json.dumps(message).encode() + b"\0")

    async def receive(self) -> Any:
        """Raises `RouteError` where what comes is no message."""
        try:
            return json.loads(await self.stream.receive_until(b"\0", MESSAGE_MAX))
        except (ValueError, anyio.DelimiterNotFound) as error:
            raise RouteError("bore: that is no bore server", f"check {SERVER.variable}") from error

    async def prove(self, secret: str) -> None:
        """Answer the challenge that a server with a secret begins with."""
        challenge = _field(await self.receive(), "Challenge")
        key = hashlib.sha256(secret.encode()).digest()
        try:
            asked = uuid.UUID(str(challenge)).bytes
        except ValueError:
            raise RouteError(
                "bore: the server asks for no secret", f"unset {SECRET.variable}"
            ) from None
        await self.send({"Authenticate": hmac.new(key, asked, hashlib.sha256).hexdigest()})


@asynccontextmanager
async def _open(port: int, around: Surroundings) -> AsyncGenerator[Tunnel]:
    server = _Server(*split_place(around.value(SERVER), CONTROL_PORT), around.value(SECRET))
    place = f"bore-{server.host}-{server.port}"
    async with AsyncExitStack() as stack:
        opener = partial(_open_at, server, port)
        configured = int(around.value(PORT))
        tunnel = await enter_same_port(stack, around, place, configured, opener)
        if isinstance(tunnel.address, Tcp):
            around.remember_port(place, tunnel.address.port)
        yield tunnel


@asynccontextmanager
async def _open_at(server: _Server, port: int, remote: int) -> AsyncGenerator[Tunnel]:
    """Take port `remote` of the server, or any for 0."""
    async with opening("bore", ANSWER_S), _hanging_up():
        wire = await _connect(server)
    async with wire.stream, background() as tasks:
        async with opening("bore", ANSWER_S), _hanging_up():
            address = await _ask(wire, server, remote)
        control = _Control(wire, server, port)
        tasks.start_soon(control.follow)
        yield Tunnel(address, control.wait_ended)


@asynccontextmanager
async def _hanging_up() -> AsyncGenerator[None]:
    try:
        yield
    except (*GONE, anyio.IncompleteRead) as error:
        raise RouteError("bore: the server hung up", "try later", passing=True) from error


async def _connect(server: _Server) -> _Wire:
    try:
        wire = _Wire(await anyio.connect_tcp(server.host, server.port))
    except OSError as error:
        raise RouteError(
            f"bore: {server.host} cannot be reached",
            "check the name, and that this network lets port 7835 out",
            passing=True,
        ) from error
    try:
        if server.secret:
            await wire.prove(server.secret)
    except BaseException:
        await anyio.aclose_forcefully(wire.stream)
        raise
    return wire


async def _ask(wire: _Wire, server: _Server, wanted: int) -> Tcp:
    await wire.send({"Hello": wanted})
    answer = await wire.receive()
    if _field(answer, "Challenge"):
        raise RouteError("bore: the server wants a secret", f"set {SECRET.variable}")
    if said := _field(answer, "Error"):
        raise explain("bore", [quoted(str(said))], SAYINGS)
    try:
        return Tcp(server.host, int(str(_field(answer, "Hello"))))
    except (BadAddressError, TypeError, ValueError):
        raise RouteError("bore: the server gave a port that cannot be") from None


class _Control:
    """The connection on which the server tells of callers."""

    def __init__(self, wire: _Wire, server: _Server, port: int) -> None:
        self._wire = wire
        self._server = server
        self._port = port
        self._callers = 0
        self._why = ""
        self._ended = anyio.Event()

    async def wait_ended(self) -> str:
        await self._ended.wait()
        return self._why

    async def follow(self) -> None:
        """Take up callers until the server is silent or gone."""
        try:
            async with background() as tasks:
                while True:
                    with anyio.fail_after(SILENCE_MAX_S):
                        message = await self._wire.receive()
                    if said := _field(message, "Error"):
                        raise explain("bore", [quoted(str(said))], SAYINGS)
                    caller = _field(message, "Connection")
                    if caller and self._callers < CALLERS_MAX:
                        tasks.start_soon(self._take_up, str(caller))
        except TimeoutError:
            self._why = "bore: the server stopped answering"
        except RouteError as error:
            self._why = error.message
        except (*GONE, anyio.IncompleteRead):
            self._why = "bore: the server closed the connection; it may be restarting"
        self._ended.set()

    async def _take_up(self, caller: str) -> None:
        self._callers += 1
        try:
            with anyio.fail_after(ANSWER_S):
                wire = await _connect(self._server)
            async with wire.stream:
                await wire.send({"Accept": caller})
                await relay(wire.stream, await connect_loopback(self._port))
        except (TimeoutError, RouteError, anyio.IncompleteRead, *GONE):
            pass  # That caller has gone, or finds nobody; the port stays.
        finally:
            self._callers -= 1


def _field(message: object, name: str) -> object:
    return cast("Mapping[str, object]", message).get(name) if isinstance(message, dict) else None


ROUTE = Bore()
