"""A unix socket's connection, given up at the very moment at which something comes."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import anyio
import pytest

from towline.line.unix import UnixStream, steady

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def pair(directory: Path) -> tuple[Any, socket.socket]:
    """Return our end as a stream, and the other as a socket that blocks."""
    path = str(directory / "s")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        ours = await anyio.connect_unix(path)
        return ours, listening.accept()[0]


async def test_what_goes_in_comes_out_to_the_end(short_path: Path) -> None:
    inner, other = await pair(short_path)
    async with steady(inner) as stream:
        assert isinstance(stream, UnixStream)
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
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    inner, other = await pair(short_path)
    stream = steady(inner)
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
    inner, other = await pair(short_path)
    stream, heard = steady(inner), list[BaseException]()

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
