"""While an engine runs, the machine is kept sending to the person's own server (`keep.mirror`).

By the command that a person would give, as a process of its own: what becomes of it stops nothing
else. One that goes on by itself on the machine is looked after now and then.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable

import anyio

from towline.engine import events
from towline.line.errors import ConnectError
from towline.line.process import ProcessStream, open_process_stream

DONE = 0
LOOK_AGAIN_S = 300.0  # Whether what goes on by itself still does: a new machine has none.
RETRY_S, RETRY_MAX_S = 5.0, 300.0


class Sending:
    """`wait_live` returns while the machine can be reached. `by_itself`: what is started there goes
    on without us; else one that runs already is an earlier engine's, which is about to end."""

    def __init__(
        self,
        workspace: str,
        *,
        by_itself: bool,
        wait_live: Callable[[], Awaitable[None]],
        report: Callable[[events.Event], None],
    ) -> None:
        self._argv = [
            sys.executable,
            "-P",
            "-m",
            "towline",
            "mirror",
            "--json",
            "--name",
            workspace,
        ]
        self._wait_live = wait_live
        self._by_itself = by_itself
        self._report = report
        self._told = ""  # The last failure that was told.

    async def run(self) -> None:
        retry_s = RETRY_S
        while True:
            await self._wait_live()
            went_well = await self._run_once()
            retry_s = RETRY_S if went_well else min(retry_s * 2, RETRY_MAX_S)
            await anyio.sleep(LOOK_AGAIN_S if went_well else retry_s)

    async def _run_once(self) -> bool:
        try:
            async with open_process_stream(self._argv, attended=False) as process:
                await self._listen(process)
                code, words = await process.wait_ended()
        except ConnectError as error:
            code, words = None, error.message
        if code != DONE:
            self._failed(words.strip().partition("\n")[0].removeprefix("error: "))
        return code == DONE and self._by_itself

    async def _listen(self, process: ProcessStream) -> None:
        rest = b""
        while True:
            try:
                part = await process.receive()
            except anyio.EndOfStream:
                return
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                self._take(line)

    def _take(self, line: bytes) -> None:
        told = json.loads(line)
        if "sent" in told:
            self._told = ""
        elif told.get("error") and told.get("event") != "error":
            self._failed(str(told["error"]))

    def _failed(self, reason: str) -> None:
        if reason != self._told:
            self._told = reason
            self._report(events.Note(f"not sent to your server, and tried again: {reason}"))
