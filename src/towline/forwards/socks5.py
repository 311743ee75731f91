"""SOCKS 5 (RFC 1928), the server's words: what a client wants to be connected to.

CONNECT only, to an IPv4 or IPv6 address or a name, and no authentication: who can reach us may use
us. It reads not one byte more than the request, so that what follows is the connection's own.
"""

from __future__ import annotations

import ipaddress

from anyio.abc import ByteReceiveStream, ByteStream

from towline.forwards.place import Place

VERSION = 5
NO_AUTHENTICATION = 0
CONNECT = 1
IPV4, NAME, IPV6 = 1, 3, 4

GRANTED = 0
NOT_ALLOWED = 2
UNREACHABLE = 4
NO_SUCH_COMMAND = 7
NO_SUCH_ADDRESS = 8


class SocksError(Exception):
    """What a client wants cannot be. `last_word` is to be sent to it before it is let go."""

    def __init__(self, words: str, last_word: bytes = b"") -> None:
        super().__init__(words)
        self.last_word = last_word


async def read_request(stream: ByteStream) -> Place:
    """Agree on the method, and return what the client asks for. `reply` must follow.

    Raises SocksError, and EndOfStream if the client leaves before.
    """
    await _agree(stream)
    version, command, _, kind = await _read(stream, 4)
    _check_version(version)
    host = await _read_host(stream, kind)
    port = int.from_bytes(await _read(stream, 2), "big")
    if command != CONNECT:
        raise SocksError("only CONNECT is known", reply(NO_SUCH_COMMAND))
    if not port:
        raise SocksError("not a port: 0", reply(NOT_ALLOWED))
    return Place(port, host)


def reply(code: int) -> bytes:
    """Return the answer to a request. Our own address on the machine's side is not told."""
    return bytes([VERSION, code, 0, IPV4, *bytes(4), *bytes(2)])


async def _agree(stream: ByteStream) -> None:
    version, count = await _read(stream, 2)
    _check_version(version)
    if NO_AUTHENTICATION not in await _read(stream, count):
        raise SocksError("the client insists on a password", bytes([VERSION, 0xFF]))
    await stream.send(bytes([VERSION, NO_AUTHENTICATION]))


def _check_version(version: int) -> None:
    """A browser led here by a page says GET or POST: that gets no answer at all."""
    if version != VERSION:
        raise SocksError("not SOCKS 5")


async def _read_host(stream: ByteReceiveStream, kind: int) -> str:
    if kind in (IPV4, IPV6):
        return str(ipaddress.ip_address(await _read(stream, 4 if kind == IPV4 else 16)))
    if kind != NAME:
        raise SocksError("no such kind of address", reply(NO_SUCH_ADDRESS))
    (size,) = await _read(stream, 1)
    name = (await _read(stream, size)).decode("ascii", "replace")
    if not name or not name.isascii() or not name.isprintable() or " " in name:
        raise SocksError("not the name of a host", reply(NOT_ALLOWED))
    return name


async def _read(stream: ByteReceiveStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.receive(size - len(data))
    return data
