"""The ways in to this machine, each kept open: one that ends is opened again.

Several may be open at once; where one is lost, the others go on and tell of the new one. What
opens a way, and which other takes the place of one that cannot be had, is for who opens it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NoReturn, Protocol

import anyio

from towline.core.address import Address
from towline.errors import UserError

BACKOFF_S = (1.0, 5.0, 15.0, 60.0)  # Before a way in that ended is opened again; then the last.
STEADY_S = 30.0  # What was open for so long is opened again without delay.

Tell = Callable[[str], None]


class Way(Protocol):
    """A way in that is open."""

    @property
    def route(self) -> str: ...

    @property
    def address(self) -> Address: ...

    async def wait_ended(self) -> str: ...


OpenWay = Callable[[str, int, str, Tell], AbstractAsyncContextManager[Way]]
"""Open a route, to a port of the loopback where a server with this host key listens."""


class Ways:
    """`changed` is called when all have been tried once, and at every change from then on."""

    def __init__(
        self, wanted: Sequence[str], open_way: OpenWay, changed: Callable[[], None], tell: Tell
    ) -> None:
        self.reason = ""  # Why the last one that ended did.
        self._wanted = wanted
        self._open_way = open_way
        self._changed = changed
        self._tell = tell
        self._open: dict[int, Way] = {}
        self._untried = set(range(len(wanted)))
        self._failures: list[UserError] = []

    @property
    def open(self) -> list[Way]:
        """Those that are open, in the order in which they were asked for."""
        return [way for _, way in sorted(self._open.items())]

    async def keep_open(self, port: int, host_key: str) -> NoReturn:
        """Keep all of them open. Raises `UserError` if at first none can be opened."""
        async with anyio.create_task_group() as tasks:
            for number in range(len(self._wanted)):
                tasks.start_soon(self._keep_one, number, port, host_key)
        raise AssertionError("unreachable: each is kept open for ever")

    async def _keep_one(self, number: int, port: int, host_key: str) -> NoReturn:
        attempt = 0
        while True:
            began = anyio.current_time()
            try:
                async with self._open_way(self._wanted[number], port, host_key, self._tell) as way:
                    self._open[number] = way
                    self._tried(number)
                    self.reason = await way.wait_ended()
                    self._tell(f"the way in by {way.route} has ended: {self.reason}")
            except UserError as error:
                self._failed(number, error)
            except OSError as error:  # Such as a full disk, on which somebody may make room.
                why = f"{self._wanted[number]} cannot be opened: {error.strerror or error}"
                self._failed(number, UserError(why))
                self._tell(why)
            if self._open.pop(number, None) or number in self._untried:
                self._tried(number)
            if anyio.current_time() - began > STEADY_S:
                attempt = 0
            await anyio.sleep(BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)])
            attempt += 1

    def _failed(self, number: int, error: UserError) -> None:
        self.reason = error.message
        if number in self._untried:
            self._failures.append(error)

    def _tried(self, number: int) -> None:
        """What is not open at the first time must not be waited for by what is."""
        at_first = bool(self._untried)
        self._untried.discard(number)
        if self._untried:
            return
        if at_first and not self._open:
            raise self._failures[0]
        self._changed()
