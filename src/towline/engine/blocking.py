"""Work that blocks, away from the loop: in a worker thread, or as a simulation has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import anyio.to_thread

T = TypeVar("T")


class RunBlocking(Protocol):
    """Runs blocking work so that the loop goes on meanwhile."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]: ...


async def in_thread(work: Callable[[], T], /) -> T:
    return await anyio.to_thread.run_sync(work)
