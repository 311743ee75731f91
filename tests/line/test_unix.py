"""A unix socket's connection, given up at the very moment at which something comes."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import anyio
import pytest

from towline.line.unix import UnixStream, connect_unix, listen_unix

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def pair(directory: Path) -> tuple[UnixStream, socket.socket]:
    """Return our end as a stream, and the other as a socket that blocks."""
    path = str(directory / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        return await connect_unix(path), listening.accept()[0]


def note_complaints() -> list[Any]:
    """Return what the loop will complain about."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    return complaints


async def test_what_goes_in_comes_out_to_the_end(short_path: Path) -> None:
    stream, other = await pair(short_path)
    async with stream:
        much = b"x" * (1 << 20)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.send, much)
            got = bytearray()
            while len(got) < len(much):
                got += await anyio.to_thread.run_sync(other.recv, 1 << 16)
        assert got == much
        await stream.send_eof()
        assert await anyio.to_thread.run_sync(other.recv, 1) == b""
        other.sendall(b"answer")
        other.close()
        assert await stream.receive() == b"answer"
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        with pytest.raises(anyio.BrokenResourceError):
            await stream.send(b"late")
    with pytest.raises(anyio.ClosedResourceError):
        await stream.receive()


async def test_to_be_given_up_as_something_comes_leaves_no_trace(short_path: Path) -> None:
    complaints = note_complaints()
    stream, other = await pair(short_path)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stream.receive)
        await anyio.wait_all_tasks_blocked()
        other.sendall(b"x")  # The loop finds it readable in the turn in which it is cancelled.
        asyncio.get_running_loop().call_soon(tasks.cancel_scope.cancel)
    await anyio.lowlevel.checkpoint()
    await stream.aclose()
    other.close()
    assert complaints == []


async def test_who_waits_hears_that_it_is_closed(short_path: Path) -> None:
    stream, other = await pair(short_path)
    heard: list[BaseException] = []

    async def wait() -> None:
        try:
            await stream.receive()
        except anyio.ClosedResourceError as error:
            heard.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await stream.aclose()
    other.close()
    assert len(heard) == 1


async def test_a_listener_serves_who_comes_and_may_be_given_up_as_one_does(
    short_path: Path,
) -> None:
    complaints, served = note_complaints(), list[bytes]()
    path = str(short_path / "s")

    async def serve(stream: UnixStream) -> None:
        async with stream:
            served.append(await stream.receive())

    async with await listen_unix(path) as listener, anyio.create_task_group() as tasks:
        assert os.stat(path).st_mode & 0o777 == 0o600
        tasks.start_soon(listener.serve, serve)
        async with await connect_unix(path) as stream:
            await stream.send(b"hello")
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
        assert served == [b"hello"]
        await anyio.wait_all_tasks_blocked()
        with socket.socket(socket.AF_UNIX) as coming:
            coming.connect(path)
            asyncio.get_running_loop().call_soon(tasks.cancel_scope.cancel)
    await anyio.lowlevel.checkpoint()
    assert complaints == []


async def test_a_listener_that_is_closed_says_so(short_path: Path) -> None:
    listener = await listen_unix(str(short_path / "s"))
    await listener.aclose()
    with pytest.raises(anyio.ClosedResourceError):
        await listener.accept()
