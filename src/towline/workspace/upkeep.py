"""What an engine does when there is time: the past is written down, free memory given back.

Neither is waited for by anybody, and a disk that cannot take the past ends nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import anyio

from towline.engine import memory
from towline.engine.bell import Bell
from towline.engine.history import CONTENT_MAX, History
from towline.engine.live import Live

HISTORY_INTERVAL_S = 0.5  # What is written less often costs less, and a save must not feel it.
LARGE_BATCHES = 4  # Some thousand files at once: no work of a person at one file.
MEMORY_INTERVAL_S = 20.0  # Between two times of giving free memory back, while there is work.


def open_history(file: Path, sources: Sequence[Path], stack: ExitStack) -> History | None:
    """Return what keeps the past of these folders, to be closed by `stack`; None if none can."""

    def read(mirror: int, path: str) -> bytes | None:
        try:
            with open(sources[mirror] / path, "rb") as content:
                return content.read(CONTENT_MAX + 1)
        except OSError:
            return None

    try:
        history = History(file, read)
    except sqlite3.Error:
        return None
    stack.callback(history.close)
    return history


class Upkeep:
    """`touched` rings when there may be something to do; `is_live`: no first sync is on."""

    def __init__(
        self,
        lives: Sequence[Live],
        history: History | None,
        *,
        is_live: Callable[[], bool],
        touched: Bell,
    ) -> None:
        self._lives = lives
        self._is_live = is_live
        self._history = history
        self._touched = touched

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._give_memory_back)
            if self._history is not None:
                tasks.start_soon(self._write_history, self._history)

    async def _write_history(self, history: History) -> None:
        """Write down what was agreed on, a little at a time, and not while a first sync is on.

        Nor while many saves are on their way, if they are there soon: both need a processor.
        """
        while True:
            with anyio.move_on_after(HISTORY_INTERVAL_S):
                while any(live.behind[0] for live in self._lives):
                    await self._touched.wait()
            written = 0
            while self._is_live() and (news := history.take()) is not None:
                await anyio.to_thread.run_sync(history.write, news)
                await anyio.sleep(HISTORY_INTERVAL_S)
                written += 1
            if written >= LARGE_BATCHES:  # A first sync is over, with all that it needed.
                await self._give_back()
            await self._touched.wait()

    async def _give_memory_back(self) -> None:
        """Give back what the work of a while has left. An idle engine is not woken for it.

        What a first sync has left, all that the scan kept to be sent, is given back at its end.
        """
        while True:
            await self._touched.wait()
            with anyio.move_on_after(MEMORY_INTERVAL_S):
                if self._is_live():
                    await anyio.sleep(MEMORY_INTERVAL_S)
                while not self._is_live():
                    await self._touched.wait()
            await self._give_back()

    async def _give_back(self) -> None:
        memory.free_cycles()  # In the loop's thread: what is freed there may belong to the loop.
        await anyio.to_thread.run_sync(memory.give_back)
