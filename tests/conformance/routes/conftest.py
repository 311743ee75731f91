"""What a route leads to in these tests: an echo that greets as an sshd does, on loopback."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream

from tests.conformance.routes.carry import GREETING
from towline.routes.base import Surroundings
from towline.routes.relay import port_of


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def private() -> Iterator[Path]:
    """A private directory whose name is short."""
    directory = Path(tempfile.mkdtemp(prefix="tow-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def around(private: Path) -> Surroundings:
    return Surroundings(private, {"PATH": os.environ["PATH"], "HOME": str(private)})


async def _echo(greeting: bytes, stream: ByteStream) -> None:
    try:
        async with stream:
            await stream.send(greeting)
            async for part in stream:
                await stream.send(part)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """The port of an echo that greets first and ends when its peer has ended."""
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, partial(_echo, GREETING))
        yield port_of(listener)
        tasks.cancel_scope.cancel()
