"""Connections that come while this process may open no more files."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream, Listener, SocketAttribute

from tests.line.files import no_file_free
from towline.line.accept import accept_all
from towline.line.unix import listen_unix

pytestmark = pytest.mark.anyio


async def listen(kind: str, directory: Path) -> Listener[ByteStream]:
    if kind == "unix":
        return await listen_unix(str(directory / "s"))
    return await anyio.create_tcp_listener(local_host="127.0.0.1")


def address_of(kind: str, directory: Path, listener: Listener[ByteStream]) -> str | tuple[str, int]:
    if kind == "unix":
        return str(directory / "s")
    return "127.0.0.1", listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django's.


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_who_comes_while_no_file_is_free_waits(
    kind: str, short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed, taken, sleep = anyio.Event(), anyio.Event(), anyio.sleep

    async def note(seconds: float) -> None:
        failed.set()
        await sleep(seconds)

    async def handle(stream: ByteStream) -> None:
        async with stream:
            taken.set()

    monkeypatch.setattr(anyio, "sleep", note)
    listener = await listen(kind, short_path)
    with socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET) as client:
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(accept_all, listener, handle)
            with no_file_free():
                client.connect(address_of(kind, short_path, listener))
                with anyio.fail_after(10):
                    await failed.wait()
            with anyio.fail_after(10):
                await taken.wait()
            tasks.cancel_scope.cancel()
