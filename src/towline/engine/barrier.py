"""The barrier: wait until everything saved before now is on the machine, or say why it is not.

It rests on three things: the watch's cookie, which proves that all earlier saves were seen; the
moments that flights carry; and the order of the sync lane. It sends and plans nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup

from towline.core.wire.frames import ProtocolError
from towline.core.wire.messages import Flush, Flushed
from towline.engine.bell import Bell
from towline.engine.flights import Flights
from towline.engine.local import Local
from towline.engine.plan import Planner
from towline.engine.push import Pusher
from towline.engine.remote import Remote

PATHS_SHOWN = 3
QUESTIONS_MAX = 1024  # Flushes the machine waits for at once: each is a task here.


class FlushError(Exception):
    """Not everything saved before is on the machine. The text says why."""


class Barrier:
    """`landed` rings whenever something is no longer on its way.

    `why_not` says what stands on the machine in the way of a change, if anything does.
    `is_known` says whether both trees are known, with nothing that has to be looked at as a whole;
    `is_connected` whether there is a machine to wait for.
    """

    def __init__(
        self,
        local: Local,
        flights: Flights,
        pusher: Pusher,
        planner: Planner,
        landed: Bell,
        *,
        is_known: Callable[[], bool],
        is_connected: Callable[[], bool],
        why_not: Callable[[], str],
    ) -> None:
        self._local = local
        self._flights = flights
        self._pusher = pusher
        self._planner = planner
        self._landed = landed
        self._is_known = is_known
        self._is_connected = is_connected
        self._why_not = why_not

    async def flush(self, timeout_s: float, *, until_sent: bool = False) -> None:
        """Return once the machine holds all that was saved before this call.

        What comes from the machine is waited for only where it is in the way of a save. With
        `until_sent`, return once all of it has been sent in such an order that whoever hears of
        this on the sync lane holds it. Raises `FlushError` if neither is had in `timeout_s`
        seconds.
        """
        try:
            with anyio.fail_after(timeout_s):
                await self._local.settle(timeout_s)
                if await self._local.look_at_unread():
                    await self._local.settle(timeout_s)
                moment = self._flights.moment
                is_met = self._is_sent if until_sent else self._is_there
                await self._wait(is_met, moment)
        except TimeoutError:
            raise FlushError(self._why_behind(timeout_s)) from None
        except OSError as error:
            raise FlushError(f"the project folder cannot be watched: {error.strerror}") from None

    async def wait_in_step(self) -> None:
        """Return once all that is dirty or on its way now has arrived."""
        moment = self._flights.moment
        while self._local.reading or not self._is_done(moment):
            await self._landed.wait()

    async def _wait(self, is_met: Callable[[int], bool], moment: int) -> None:
        while True:
            self._check(moment)
            if is_met(moment):
                if reason := self._why_not():
                    raise FlushError(reason)
                return
            await self._landed.wait()

    def _is_done(self, moment: int) -> bool:
        return self._flights.is_done(moment) and self._none_waits(moment)

    def _is_there(self, moment: int) -> bool:
        return self._flights.is_there(moment) and self._none_waits(moment)

    def _is_sent(self, moment: int) -> bool:
        """Whether all noted up to `moment` is on the machine, or on its way there in order."""
        return self._flights.is_sent(moment) and self._none_waits(moment)

    def _none_waits(self, moment: int) -> bool:
        """Whether nothing noted up to `moment` has yet to be seen, planned or sent."""
        waits_not = self._planner.is_done(moment) and self._pusher.is_done(moment)
        return self._is_known() and waits_not

    def _check(self, moment: int) -> None:
        """Raise where waiting cannot help."""
        if self._planner.held:
            raise FlushError(f"held: {self._planner.held}")
        for path, stuck in self._planner.stuck.items():
            if stuck.moment <= moment and stuck.side == "machine":
                raise FlushError(f"{path}: {stuck.problem.kind.value} on the machine")

    def _why_behind(self, timeout_s: float) -> str:
        if not self._is_connected():
            return "the machine is not connected"
        paths = sorted({*self._flights.not_there(), *self._local.reading})[:PATHS_SHOWN]
        return f"not done within {timeout_s:g} s: {', '.join(paths) or 'the first sync'}"


class Questions:
    """Flushes that the machine asks for. `revision_sent`: up to which all is on its way there."""

    def __init__(self, barrier: Barrier, revision_sent: Callable[[], int]) -> None:
        self._barrier = barrier
        self._revision_sent = revision_sent
        self._count = 0  # Not answered yet.

    def take(self, flush: Flush, remote: Remote, tasks: TaskGroup) -> None:
        """Answer in a task of `tasks`. Raises `ProtocolError` if there are too many."""
        self._count += 1
        if self._count > QUESTIONS_MAX:
            raise ProtocolError(f"more than {QUESTIONS_MAX} flushes asked for at once")
        tasks.start_soon(self._answer, flush, remote)

    async def _answer(self, flush: Flush, remote: Remote) -> None:
        """Send everything saved so far, then answer: the order of the lane does the rest."""
        reason = ""
        try:
            await self._barrier.flush(flush.timeout_s, until_sent=True)
        except FlushError as error:
            reason = str(error)
        finally:
            self._count -= 1
        await remote.send(Flushed(flush.token, self._revision_sent(), reason))
