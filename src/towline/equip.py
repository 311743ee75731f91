"""The engine's task beside sync: give a machine what it lacks, then note what is installed there.

The steps are `next_machine`'s; they block, and run in a thread that asks the engine as any command
does. Here is only when they run, and what is told of it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import anyio
import anyio.from_thread
import anyio.to_thread

from towline.engine import events
from towline.environment.file import LockFile
from towline.environment.keep import keep
from towline.environment.machine import Asked
from towline.errors import ExitCode, UserError
from towline.next_machine import STEPS, Done, carry_out
from towline.served import keep_settings

AGAIN_S = 20.0  # A Python that is not there yet, a lock file in the middle of a merge, a full disk.
SETTINGS_EVERY_S = 120.0  # One short program there, and only if a service was started.


class Equipment:
    """What a machine has beside the files, life by life."""

    def __init__(
        self,
        asked: Asked,
        *,
        wait_life: Callable[[int], Awaitable[int]],
        wait_live: Callable[[], Awaitable[None]],
        report: Callable[[events.Event], None],
    ) -> None:
        self._asked = asked
        self._wait_life = wait_life  # Until a life of the line has a larger number; return it.
        self._wait_live = wait_live  # Until the project's files are there.
        self._report = report

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_settings)
            await self._equip()

    async def _keep_settings(self) -> None:
        """Keep what a person changes in services there, now and then: a machine may end unasked."""
        while True:
            await anyio.sleep(SETTINGS_EVERY_S)
            with suppress(UserError):  # The machine is away: next time.
                binding = self._asked.binding
                await anyio.to_thread.run_sync(keep_settings, binding, abandon_on_cancel=True)

    async def _equip(self) -> None:
        life = 0
        options = self._asked.options.environment
        while True:
            life = await self._wait_life(life)
            if options.restore:
                await self._put_back()
            if options.capture:
                await self._keep(life)

    async def _put_back(self) -> None:
        began, done = time.monotonic(), list[Done]()
        for step in STEPS:
            if step.needs_files:
                await self._wait_live()
            tell = partial(self._tell, step.name)
            one = await anyio.to_thread.run_sync(
                carry_out, step, self._asked, tell, abandon_on_cancel=True
            )
            if one is not None:
                done.append(one)
                self._report(
                    events.Restored(one.step, one.outcome.restored, one.seconds, one.outcome.left)
                )
        if done:
            left = tuple(line for one in done for line in one.outcome.left)
            steps = tuple(one.step for one in done if one.outcome.restored)
            seconds = round(time.monotonic() - began, 3)
            self._report(events.Equipped(steps, seconds, left))

    async def _keep(self, life: int) -> None:
        """Note what is installed, until the machine is gone or another one is there.

        What is in the way is told once, and passes.
        """
        told = ""
        while (said := await self._keep_once()) is not None:
            if said != told:
                told = said
                self._report(events.Note(said))
            with anyio.move_on_after(AGAIN_S):
                await self._wait_life(life)
                return

    async def _keep_once(self) -> str | None:
        """Return what was in the way; None if the machine is gone."""
        try:
            file = LockFile(self._asked.binding.project)
            # The thread ends when the engine's control socket does.
            await anyio.to_thread.run_sync(
                keep, self._asked, file, self._note, abandon_on_cancel=True
            )
        except UserError as error:
            return None if error.exit_code is ExitCode.UNAVAILABLE else error.message
        return None

    def _tell(self, step: str, text: str) -> None:
        anyio.from_thread.run_sync(self._report, events.Restoring(step, text))

    def _note(self, text: str) -> None:
        anyio.from_thread.run_sync(self._report, events.Note(text))
