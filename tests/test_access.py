"""A service token gets to the hosts it was named for, over TLS, and nowhere else."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteReceiveStream
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from tests.routes.test_dial import make_contexts
from towline.access import Token, file_of, statuses_with, token_for
from towline.core.address import WebSocket
from towline.errors import UserError
from towline.routes.errors import RouteError
from towline.routes.websocket import open_websocket

GIVEN = {
    "TOWLINE_ACCESS_HOST": "gpu.example",
    "TOWLINE_ACCESS_ID": "4a1b.access",
    "TOWLINE_ACCESS_SECRET": "s3cret",
}
TOKEN = Token("4a1b.access", "s3cret")


@pytest.fixture
def configured(tmp_path: Path) -> Mapping[str, str]:
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    file = file_of(environment)
    file.parent.mkdir()
    file.write_text('["GPU.example"]\nid = "4a1b.access"\nsecret = "s3cret"\n')
    file.chmod(0o600)
    return environment


def test_it_is_for_the_host_that_was_named() -> None:
    assert token_for(WebSocket("GPU.example"), GIVEN) == TOKEN
    assert "s3cret" not in repr(TOKEN)


@pytest.mark.parametrize(
    "address",
    [
        WebSocket("gpu.example.evil.example"),
        WebSocket("evil.example"),
        WebSocket("gpu.example", 80, secure=False),
    ],
    ids=str,
)
def test_nobody_else_is_shown_it(address: WebSocket, tmp_path: Path) -> None:
    assert token_for(address, {**GIVEN, "XDG_CONFIG_HOME": str(tmp_path)}) is None


def test_it_may_stand_in_a_private_file(configured: Mapping[str, str]) -> None:
    assert token_for(WebSocket("gpu.example"), configured) == TOKEN
    assert token_for(WebSocket("other.example"), configured) is None


def test_a_file_that_others_can_read_is_refused(configured: Mapping[str, str]) -> None:
    os.chmod(file_of(configured), 0o640)
    with pytest.raises(UserError, match="not yours alone"):
        token_for(WebSocket("gpu.example"), configured)


def test_its_secret_may_be_in_the_keyring(
    configured: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "keyring.py").write_text(
        "def get_password(service, user): return {('cf', 'towline'): 's3cret'}.get((service, user))"
    )
    monkeypatch.syspath_prepend(tmp_path)
    file_of(configured).write_text('["gpu.example"]\nid = "4a1b.access"\nsecret = "keyring:cf"\n')
    assert token_for(WebSocket("gpu.example"), configured) == TOKEN


@pytest.mark.parametrize("secret", ["", "two words", "a\r\nHost: b", "é"])
def test_what_can_be_no_header_is_refused(secret: str) -> None:
    with pytest.raises(UserError, match="an id and a secret"):
        token_for(WebSocket("gpu.example"), {**GIVEN, "TOWLINE_ACCESS_SECRET": secret})


# At the edge


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # The edge is made of websockets' own server.


class Edge:
    """As recorded: no token, a redirection to a login page; another one, or no policy: 403."""

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        given = {name: request.headers.get(name) for name in TOKEN.headers()}
        if not any(given.values()):
            answer = connection.respond(HTTPStatus.FOUND, "")
            answer.headers["Location"] = "https://team.cloudflareaccess.com/cdn-cgi/access/login"
            return answer
        if given != TOKEN.headers():
            return connection.respond(HTTPStatus.FORBIDDEN, "")
        return None

    async def echo(self, visitor: ServerConnection) -> None:
        async for message in visitor:
            await visitor.send(message)


@pytest.fixture
async def edge() -> AsyncIterator[WebSocket]:
    made = Edge()
    async with serve(made.echo, "127.0.0.1", 0, process_request=made.check) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield WebSocket("127.0.0.1", port, secure=False)


@pytest.mark.anyio
async def test_who_shows_it_is_let_through(edge: WebSocket) -> None:
    async with open_websocket(edge, TOKEN.headers(), statuses=statuses_with(TOKEN)) as stream:
        await stream.send(b"SSH-2.0-x\r\n")
        assert await stream.receive() == b"SSH-2.0-x\r\n"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("token", "means"),
    [
        (None, r"asks visitors to log in \(HTTP 302\)"),
        (Token("4a1b.access", "another"), r"does not accept the service token \(HTTP 403\)"),
    ],
    ids=["none", "another"],
)
async def test_who_is_refused_is_told_what_to_do(
    edge: WebSocket, token: Token | None, means: str
) -> None:
    headers = token.headers() if token else None
    with pytest.raises(RouteError, match=means) as refused:
        async with open_websocket(edge, headers, statuses=statuses_with(token)):
            raise AssertionError("it was let through")
    assert refused.value.hint
    assert "another" not in f"{refused.value.message}{refused.value.hint}"


@pytest.mark.anyio
async def test_ssh_s_proxy_command_shows_it_over_tls(tmp_path: Path) -> None:
    made, (context, _) = Edge(), make_contexts(tmp_path / "pem")
    async with serve(made.echo, "localhost", 0, process_request=made.check, ssl=context) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        said = await _through_proxy(tmp_path, port, {**GIVEN, "TOWLINE_ACCESS_HOST": "localhost"})
        assert said == (b"SSH-2.0-x\r\n", b"")
        out, err = await _through_proxy(tmp_path, port, GIVEN)
        assert out == b""
        assert b"asks visitors to log in" in err
        assert b"s3cret" not in err


async def _through_proxy(
    tmp_path: Path, port: int, given: Mapping[str, str]
) -> tuple[bytes, bytes]:
    """Return what `towline.proxy` says to a banner; the address is in a file, as in the lab."""
    addresses = tmp_path / "addresses"
    addresses.write_text(str(WebSocket("localhost", port)))
    environment = {
        **os.environ, **given,
        "SSL_CERT_FILE": str(tmp_path / "pem"), "XDG_CONFIG_HOME": str(tmp_path),
    }  # fmt: skip
    argv = [sys.executable, "-P", "-m", "towline.proxy", "--from", str(addresses), "box"]
    async with await anyio.open_process(argv, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        await process.stdin.send(b"SSH-2.0-x\r\n")  # It is not ended before it has come back.
        out = b"".join([part async for part in _until_line(process.stdout)])
        await process.stdin.aclose()
        err = b"".join([part async for part in process.stderr])
    return out, err


async def _until_line(stream: ByteReceiveStream) -> AsyncIterator[bytes]:
    async for part in stream:
        yield part
        if part.endswith(b"\n"):
            return
