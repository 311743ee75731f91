"""A byte stream in WebSocket messages, for tunnels that let only HTTP through: both ends of it.

Binary messages of 16 KiB at most, whole, uncompressed: what is longer or in pieces is lost on the
way through cloudflared. An empty message says that its sender has sent everything; only our own
bridge knows that, so towards a provider's an end is an end of both directions. No pings of ours:
whoever is slow would seem dead, and ssh has its own.
"""

from __future__ import annotations

import hmac
import os
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import ByteStream
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from towline.core.address import WebSocket
from towline.routes.dial import dial
from towline.routes.errors import RouteError, quoted

MESSAGE_MAX = 16 << 10  # Bytes. cloudflared loses what a message holds beyond it.
RECEIVED_MAX = 1 << 20  # Bytes of a message that a peer may send.
READ_MAX = 128 << 10  # Bytes taken from the network at a time; twice that was slower.
PONGS_MAX = 64  # Answers owed while a send is stuck. Who asks more and reads nothing is cut off.
CONNECT_S = 20.0
CLOSE_S = 2.0  # For the last message to leave.
AGENT = "towline"  # Not a browser's: some providers show browsers a page of their own first.

Meaning = tuple[str, str]  # What it means, and what to do.

STATUSES: dict[int, Meaning] = {
    301: ("the provider sends visitors elsewhere", "open the URL in a browser to see where to"),
    302: ("the provider asks visitors to log in", "the tunnel is behind an access policy"),
    400: ("the other side did not understand the request", "is it towline's bridge there?"),
    401: ("the other side wants another token", "the ticket is old: take a new one"),
    403: ("the provider refuses this visitor", "check its access policy and the token"),
    404: ("there is no tunnel at that address any more", "run `towline up` there again"),
    429: ("the provider has too many requests or visitors now", "try again in a minute"),
    502: ("the tunnel stands, but nothing answers behind it", "is `towline up` running there?"),
    503: ("the tunnel is not ready", "try again in a moment"),
    504: ("the machine behind the tunnel does not answer", "it may be asleep or gone"),
    530: (
        "the tunnel has no machine behind it",
        "the machine is gone: run `towline up` on another",
    ),
}
"""What an HTTP status in place of a WebSocket means, and what to do."""

PASSING = {429, 502, 503, 504}


class WebSocketStream(ByteStream):
    """The stream, once both have shaken hands."""

    def __init__(
        self, stream: ByteStream, protocol: ClientProtocol | ServerProtocol, *, half_close: bool
    ) -> None:
        self._stream = stream
        self._protocol = protocol
        self._half_close = half_close
        self._received: list[bytes] = []
        self._peer_ended = False
        self._pongs_owed = 0
        self._pen = anyio.Lock(fast_acquire=True)  # What is sent under it is a checkpoint anyway.
        self._take_what_came()  # The first message may have come along with the handshake.

    async def receive(self, max_bytes: int = 65536) -> bytes:
        while not self._received:
            if self._peer_ended:
                raise anyio.EndOfStream
            await self._read()
        received = b"".join(self._received)
        self._received = [received[max_bytes:]] if len(received) > max_bytes else []
        return received[:max_bytes]

    async def send(self, item: bytes) -> None:
        async with self._pen:
            self._check_open()
            view = memoryview(item)
            for start in range(0, len(view), MESSAGE_MAX):
                self._protocol.send_binary(view[start : start + MESSAGE_MAX])
            await self._flush()

    async def send_eof(self) -> None:
        async with self._pen:
            if self._protocol.state is State.OPEN:
                if self._half_close:
                    self._protocol.send_binary(b"")
                else:
                    self._protocol.send_close(1000)
                await self._flush()

    async def aclose(self) -> None:
        with (
            anyio.move_on_after(CLOSE_S, shield=True),
            suppress(anyio.BrokenResourceError, anyio.ClosedResourceError),
        ):
            if self._protocol.state is State.OPEN and not self._pen.locked():
                self._protocol.send_close(1000)
                await self._flush()
        await self._stream.aclose()

    async def _read(self) -> None:
        """Take what the network has: data, the end, or a question that is to be answered."""
        try:
            self._protocol.receive_data(await self._stream.receive(READ_MAX))
        except anyio.EndOfStream:
            raise anyio.BrokenResourceError from None  # Cut: an end would have been said.
        self._take_what_came()
        if self._protocol.parser_exc is not None:
            raise anyio.BrokenResourceError from self._protocol.parser_exc
        await self._answer()

    def _take_what_came(self) -> None:
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._take(event)

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self._peer_ended = True
        elif frame.opcode is Opcode.PING:
            self._pongs_owed += 1
        elif frame.opcode in (Opcode.BINARY, Opcode.CONT):
            if frame.data:
                self._received.append(bytes(frame.data))
            elif self._half_close:
                self._peer_ended = True

    async def _answer(self) -> None:
        """Send what the protocol owes. Whoever is sending now takes it along."""
        if self._pongs_owed > PONGS_MAX:
            raise anyio.BrokenResourceError
        if (self._pongs_owed or self._peer_ended) and not self._pen.locked():
            async with self._pen:
                await self._flush()

    async def _flush(self) -> None:
        self._pongs_owed = 0
        if parts := self._protocol.data_to_send():
            await self._stream.send(b"".join(parts))

    def _check_open(self) -> None:
        if self._protocol.state is not State.OPEN:
            raise anyio.BrokenResourceError


# The laptop's end


@asynccontextmanager
async def open_websocket(
    address: WebSocket,
    headers: Mapping[str, str] | None = None,
    *,
    context: ssl.SSLContext | None = None,
    statuses: Mapping[int, Meaning] = STATUSES,
    environment: Mapping[str, str] | None = None,
) -> AsyncGenerator[WebSocketStream]:
    """Reach through a tunnel, for as long as the context lasts.

    `headers` are for the provider (an access policy), `context` says which certificates are
    believed, `environment` (by default this process's) names the laptop's proxy, if any. Raises
    `RouteError`, with what the provider's answer means by the table `statuses`.
    """
    given = dict(headers or {})
    if address.token:
        given["Authorization"] = f"Bearer {address.token}"
    stream = await _connect(address, context, os.environ if environment is None else environment)
    try:
        protocol = await _shake_hands(stream, address, given, statuses)
        yield WebSocketStream(stream, protocol, half_close=bool(address.token))
    finally:
        with anyio.CancelScope(shield=True):
            await stream.aclose()


async def _connect(
    address: WebSocket, context: ssl.SSLContext | None, environment: Mapping[str, str]
) -> ByteStream:
    try:
        with anyio.fail_after(CONNECT_S):
            return await dial(
                address.host, address.port, environment, secure=address.secure, context=context
            )
    except ssl.SSLError as error:
        raise RouteError(
            f"{address.host} has no certificate that is valid here: {error.reason}",
            "is something between you and it, such as a hotel's login page?",
        ) from error
    except (anyio.EndOfStream, anyio.BrokenResourceError):  # In the middle of TLS's handshake.
        raise RouteError(f"{address.host} hung up", passing=True) from None
    except (OSError, TimeoutError) as error:
        raise RouteError(
            f"{address.host} cannot be reached: {error or 'no answer'}",
            "a new name may take half a minute to be known; is there internet at all?",
            passing=True,
        ) from error


async def _shake_hands(
    stream: ByteStream,
    address: WebSocket,
    headers: Mapping[str, str],
    statuses: Mapping[int, Meaning],
) -> ClientProtocol:
    protocol = ClientProtocol(parse_uri(address.url), max_size=RECEIVED_MAX)
    request = protocol.connect()
    request.headers["User-Agent"] = AGENT
    for name, value in headers.items():
        request.headers[name] = value
    protocol.send_request(request)
    try:
        with anyio.fail_after(CONNECT_S):
            await stream.send(b"".join(protocol.data_to_send()))
            response = await _response(stream, protocol)
    except TimeoutError:
        raise RouteError(f"{address.host} does not answer", passing=True) from None
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        raise RouteError(f"{address.host} hung up", passing=True) from None
    if protocol.handshake_exc is not None:
        raise _refusal(address, response, protocol.handshake_exc, statuses)
    return protocol


async def _response(stream: ByteStream, protocol: ClientProtocol) -> Response | None:
    """Read until the answer is there; what follows it stays in the protocol."""
    while True:
        try:
            protocol.receive_data(await stream.receive())
        except anyio.EndOfStream:  # With it ends the page of an answer that names no length.
            protocol.receive_eof()
            if not isinstance(protocol.handshake_exc, InvalidStatus):
                raise
        if protocol.handshake_exc is not None:
            return getattr(protocol.handshake_exc, "response", None)
        if protocol.state is State.OPEN:
            return None


def _refusal(
    address: WebSocket,
    response: Response | None,
    error: Exception,
    statuses: Mapping[int, Meaning],
) -> RouteError:
    if response is None or not isinstance(error, InvalidStatus):
        return RouteError(f"{address.host} speaks no WebSocket: {quoted(str(error))}")
    status = response.status_code
    means, to_do = statuses.get(status, ("the provider refuses", "try again, or another route"))
    return RouteError(f"{address.host}: {means} (HTTP {status})", to_do, passing=status in PASSING)


# The machine's end


async def accept_websocket(stream: ByteStream, token: str) -> WebSocketStream | None:
    """Shake hands with a visitor who knows the token; anybody else gets 401 and None."""
    protocol = ServerProtocol(max_size=RECEIVED_MAX)
    request = await _request(stream, protocol)
    if request is None:
        return None
    known = _knows(request, token)
    response = protocol.accept(request) if known else protocol.reject(401, "")
    protocol.send_response(response)
    await stream.send(b"".join(protocol.data_to_send()))
    if protocol.state is not State.OPEN:
        return None
    return WebSocketStream(stream, protocol, half_close=True)


async def _request(stream: ByteStream, protocol: ServerProtocol) -> Request | None:
    """Read a request; None if it is none. What follows it stays in the protocol."""
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError, InvalidHandshake):
        while protocol.handshake_exc is None:
            protocol.receive_data(await stream.receive())
            for event in protocol.events_received():
                if isinstance(event, Request):
                    return event
    return None


def _knows(request: Request, token: str) -> bool:
    given = request.headers.get_all("Authorization")
    wanted = f"Bearer {token}".encode()  # Older websockets decode what is not ASCII to surrogates.
    return len(given) == 1 and hmac.compare_digest(given[0].encode("utf-8", "replace"), wanted)
