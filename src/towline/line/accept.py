"""Take connections until cancelled, also while this process may open no more files.

One that cannot be taken waits in the system's backlog. What is said over it is not known here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

import anyio
from anyio.abc import ByteStream, Listener

AGAIN_S = 0.2  # No event tells that a file is free again.

Stream = TypeVar("Stream", bound=ByteStream)


async def accept_all(
    listener: Listener[Stream], handle: Callable[[Stream], Awaitable[None]]
) -> NoReturn:
    async with anyio.create_task_group() as tasks:
        while True:
            try:
                await listener.serve(handle, tasks)
            except* OSError:  # Of accepting: what `handle` raises is raised by the group.
                await anyio.sleep(AGAIN_S)
    raise AssertionError("unreachable: it serves for ever")
