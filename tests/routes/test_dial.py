"""TLS is checked, and a laptop's proxy is gone through where there is one."""

from __future__ import annotations

import base64
import datetime
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.buffered import BufferedByteStream
from anyio.streams.tls import TLSListener
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from towline.core.address import WebSocket
from towline.routes.base import background
from towline.routes.bridge import open_bridge
from towline.routes.dial import dial, proxy_for
from towline.routes.errors import RouteError
from towline.routes.relay import connect_loopback, port_of, relay
from towline.routes.websocket import open_websocket

pytestmark = pytest.mark.anyio

AUTHORIZED = base64.b64encode(b"ana:s3 cret").decode()


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's, which trusts the server's certificate for localhost only."""
    return make_contexts(tmp_path / "pem")


def make_contexts(file: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make both, with a certificate in a file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(pem))
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=file)


async def echo(stream: ByteStream) -> None:
    async with stream:
        async for part in stream:
            await stream.send(part)


async def until_it_ends(source: ByteStream, sink: ByteStream, both: anyio.CancelScope) -> None:
    """As `relay`, for TLS, where no direction can end alone."""
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async for part in source:
            await sink.send(part)
    both.cancel()


class Proxy:
    """A stand-in for a company's proxy: CONNECT, with a password if it has one."""

    password = ""
    asked: tuple[str, ...] = ()
    leads_to = 0

    async def serve(self, stream: ByteStream) -> None:
        buffered = BufferedByteStream(stream)
        head = (await buffered.receive_until(b"\r\n\r\n", 4096)).decode()
        self.asked += (head.splitlines()[0],)
        if self.password and f"Basic {self.password}" not in head:
            async with stream:
                await stream.send(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        await stream.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await relay(buffered, await connect_loopback(self.leads_to))


@pytest.fixture
async def proxy() -> AsyncIterator[tuple[Proxy, int]]:
    made = Proxy()
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, made.serve)
        yield made, port_of(listener)
        tasks.cancel_scope.cancel()


@pytest.fixture
async def secure_echo(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext],
) -> AsyncIterator[int]:
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tls = TLSListener(listener, contexts[0], standard_compatible=False)
        tasks.start_soon(tls.serve, echo)
        yield port_of(listener)
        tasks.cancel_scope.cancel()


async def test_a_certificate_for_another_name_is_refused(
    secure_echo: int, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async with await dial("localhost", secure_echo, {}, secure=True, context=contexts[1]) as stream:
        await stream.send(b"hello")
        assert await stream.receive() == b"hello"
    with pytest.raises(ssl.SSLCertVerificationError):
        await dial("127.0.0.1", secure_echo, {}, secure=True, context=contexts[1])
    with pytest.raises(RouteError, match="no certificate that is valid"):
        async with open_websocket(WebSocket("localhost", secure_echo), environment={}):
            pass


async def test_a_websocket_passes_the_proxy_and_its_password(
    proxy: tuple[Proxy, int], contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    company, port = proxy
    company.password = AUTHORIZED
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as inside,
        await anyio.create_tcp_listener(local_host="127.0.0.1") as outside,
        open_bridge(port_of(inside)) as bridge,
        anyio.create_task_group() as tasks,
    ):

        async def edge(visitor: ByteStream) -> None:
            inner = await connect_loopback(bridge.port)
            async with visitor, inner, anyio.create_task_group() as both:
                both.start_soon(until_it_ends, visitor, inner, both.cancel_scope)
                both.start_soon(until_it_ends, inner, visitor, both.cancel_scope)

        tasks.start_soon(inside.serve, echo)
        tls = TLSListener(outside, contexts[0], standard_compatible=False)
        tasks.start_soon(tls.serve, edge)
        company.leads_to = port_of(outside)
        environment = {"HTTPS_PROXY": f"http://ana:s3%20cret@127.0.0.1:{port}"}
        address = WebSocket("localhost", 443, token=bridge.token)
        async with open_websocket(address, context=contexts[1], environment=environment) as stream:
            await stream.send(b"x" * 100_000)
            await stream.send_eof()
            assert sum([len(part) async for part in stream]) == 100_000
        assert company.asked == ("CONNECT localhost:443 HTTP/1.1",)
        wrong = {"HTTPS_PROXY": f"http://127.0.0.1:{port}"}
        with pytest.raises(RouteError, match="407"):
            await dial("localhost", 443, wrong, secure=True, context=contexts[1])
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("environment", "leads_through"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p:3128"}, "p"),
        ({"https_proxy": "p:3128"}, "p"),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "x, .example"}, None),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "gpu.example"}, None),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "other.example,pu.example"}, "p"),
    ],
)
def test_which_proxy_leads_to_a_host(
    environment: dict[str, str], leads_through: str | None
) -> None:
    found = proxy_for("gpu.example", environment)
    assert (found.hostname if found else None) == leads_through


@pytest.mark.parametrize(
    "named",
    ["socks5://p:1080", "https://p", "http://", "http://p:nan", "http://me:secret@[::1:8080"],
)
def test_a_proxy_that_cannot_be_used_is_said_without_its_password(named: str) -> None:
    with pytest.raises(RouteError, match="HTTPS_PROXY") as refused:
        proxy_for("gpu.example", {"HTTPS_PROXY": named})
    assert "secret" not in refused.value.message


async def refused_by(handle: Callable[[ByteStream], Awaitable[None]], **more: Any) -> RouteError:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, background() as tasks:
        tasks.start_soon(listener.serve, handle)
        address = WebSocket("localhost", port_of(listener), secure="context" in more)
        with pytest.raises(RouteError) as caught:
            async with open_websocket(address, environment={}, **more):
                pass
    return caught.value


@pytest.mark.parametrize("resets", [False, True])
async def test_who_hangs_up_in_the_handshake_of_tls(
    contexts: tuple[ssl.SSLContext, ssl.SSLContext], resets: bool
) -> None:
    async def hang_up(stream: ByteStream) -> None:
        if resets:
            raw = stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - not Django's.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            await stream.receive()
        await stream.aclose()

    error = await refused_by(hang_up, context=contexts[1])
    assert error.message == "localhost hung up"
    assert error.passing


@pytest.mark.parametrize("page", [b"", b"no tunnel here"])
async def test_an_answer_that_ends_with_its_connection(page: bytes) -> None:
    async def answer(stream: ByteStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n" + page)

    error = await refused_by(answer)
    assert error.message == "localhost: there is no tunnel at that address any more (HTTP 404)"
