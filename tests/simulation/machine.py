"""The machine: the real agent service, driven by a small task in place of the agent's loop."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any

import anyio
import trio
from anyio.abc import TaskGroup

from tests.simulation.clock import Bell
from tests.simulation.side import Side
from tests.simulation.weather import Crash
from tests.simulation.wire import Wire
from towline.agent.loop import TransportDeadError
from towline.agent.mirror import Mirror
from towline.agent.roots import Roots
from towline.agent.serve import AgentService
from towline.core.wire.frames import ProtocolError, parse_hello

STEP_S = 0.0001  # What a step of work takes.
TICKS_MAX = 5_000  # In one second: beyond it nobody sleeps any more.
_TRANSPORT_FAULTS = (ProtocolError, TransportDeadError)
OUTBOX_MAX = 200_000  # Messages a mirror may hold back.


class Agent:
    """One process on the machine."""

    def __init__(
        self,
        side: Side,
        tasks: TaskGroup,
        violated: Callable[[str], None],
        number: int,
        ended: Callable[[], None],
    ) -> None:
        self._side = side
        self._violated = violated
        self._ended = ended
        self._roots = Roots(watch_for=self._open_watch)
        self.service = AgentService(self._roots, f"agent {number}", side.clock.current_time())
        self._tasks = tasks
        self._scope = anyio.CancelScope()
        self._wire: Wire | None = None
        self._clock = side.clock
        self._stirred = Bell(side.clock)
        self._second = 0
        self._ticks = 0
        self._is_stirred = True  # Something other than streams has moved since the last tick.
        self._due_at: float | None = None
        self.is_dead = False

    def _open_watch(self, _path: object, skip: Callable[[str], bool]) -> Any:
        watch = self._side.open_watch(skip)
        watch.on_stir = self.stir
        return watch

    @property
    def mirror(self) -> Mirror | None:
        mirrors: dict[int, Mirror] = self.service._mirrors
        return next(iter(mirrors.values()), None)

    @property
    def is_idle(self) -> bool:
        mirror = self.mirror
        if mirror is None or mirror.root is None:
            return False
        replica = mirror.root.replica
        waiting = replica.has_retired or not mirror.takes()
        return not waiting and all(not len(w) for w in self._side.watches if not w.closed)

    def stir(self) -> None:
        self._stirred.ring()

    async def run(self) -> None:
        with self._scope, self._survived():
            while not self.is_dead:
                await self._turn()

    def _survived(self) -> Any:
        return _Survival(self)

    async def _turn(self) -> None:
        now = self._clock.current_time()
        self._count_tick(now)
        busy = False
        try:
            busy = self._let_work(now)
        except _TRANSPORT_FAULTS as error:
            self._transport_failed(self._wire, error)
        self._feed()
        if busy:
            await self._clock.sleep(STEP_S)
            return
        watches = self._watches()
        arrivals = [watch.next_arrival() for watch in watches]
        due = [self._due_at, self.service.writes_at() if self._drains() else None, *arrivals]
        if any(watch.is_readable() for watch in watches):
            await self._clock.sleep(STEP_S)
            return
        at = min((at for at in due if at is not None), default=None)
        if at is None:
            await self._stirred.wait()
        else:
            await self._stirred.wait(max(STEP_S, at - now))

    def _let_work(self, now: float) -> bool:
        """As the agent's loop does: nothing is due while only streams move."""
        is_due = self._due_at is not None and now >= self._due_at
        if not (is_due or self._is_stirred or self._can_look()) and self.service.is_calm:
            self.service.carry()
            return False
        self._is_stirred = False
        busy = self.service.tick(now)
        self._is_stirred |= busy
        self._due_at = self.service.deadline()
        return busy

    def _can_look(self) -> bool:
        return any(watch.is_readable() for watch in self._watches())

    def _watches(self) -> list[Any]:
        watched = self.service.watched()
        return [watch for watch in self._side.watches if watch.fileno() in watched]

    def _count_tick(self, now: float) -> None:
        if int(now) != self._second:
            self._second, self._ticks = int(now), 0
        self._ticks += 1
        if self._ticks == TICKS_MAX:
            self._violated("the agent is busy without end")
            raise RuntimeError("busy without end")

    def _drains(self) -> bool:
        wire = self._wire
        return wire is not None and wire.down.has_room and not wire.is_cut

    def _feed(self) -> None:
        wire = self._wire
        while wire is not None and self._drains():
            data = self.service.bytes_to_send(self._clock.current_time())
            if not data:
                break
            wire.send(wire.down, data)

    # Transports.

    def attach(self, wire: Wire) -> None:
        wire.on_room = self.stir
        self._tasks.start_soon(self._serve, wire)

    async def _serve(self, wire: Wire) -> None:
        incoming: bytes | None = b""  # None once it has said who it is.
        while not self.is_dead:
            data = wire.up.take()
            if data is None:
                await wire.up.wait()
                continue
            if not data:
                break
            with self._survived():
                if wire is self._wire:
                    self._receive(wire, data)
                elif incoming is None:  # Replaced by another one.
                    break
                else:
                    incoming = self._greet(wire, incoming + data)
            self.stir()
            await trio.lowlevel.checkpoint()
        self._drop(wire)

    def _greet(self, wire: Wire, incoming: bytes) -> bytes | None:
        parsed = parse_hello(incoming)
        if parsed is None:
            return incoming
        if self._wire is not None:
            self._drop(self._wire)
        self._wire = wire
        self.service.accept(parsed[0], self._clock.current_time())
        self._receive(wire, incoming)
        return None

    def _receive(self, wire: Wire, data: bytes) -> None:
        try:
            self.service.receive(data, self._clock.current_time())
        except _TRANSPORT_FAULTS as error:
            self._transport_failed(wire, error)

    def _transport_failed(self, wire: Wire | None, error: Exception) -> None:
        """As in the agent's loop."""
        if isinstance(error, ProtocolError):
            self._violated(f"the agent refuses its transport: {error}")
        self._side.trace(f"agent: drops its transport: {error}")
        self._feed()
        if wire is not None:
            self._drop(wire)

    def _drop(self, wire: Wire) -> None:
        wire.close()
        if wire is self._wire:
            self._wire = None
            if not self.is_dead:
                self.service.detached(self._clock.current_time())

    # Ends.

    def kill(self) -> None:
        """Kill -9: nothing is written any more; the kernel closes what was open."""
        if self.is_dead:
            return
        self.is_dead = True
        self._side.kill()
        for lock in self._roots._locks.values():
            os.close(lock)
        if self._wire is not None:
            self._wire.cut()
        self.stir()
        self._scope.cancel()
        self._ended()

    def failed(self, error: BaseException) -> None:
        if isinstance(error, Crash):
            self._side.trace("the agent is killed between two system calls")
        else:
            text = "".join(traceback.format_exception(error)[-4:])
            self._violated(f"the agent ends with {error!r}\n{text}")
        self.kill()


class _Survival:
    """Everything that an agent's process may die of."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, (Crash, Exception)):
            self._agent.failed(error)
            return True
        return False


class Machine:
    """What is at the other end: an agent, started when somebody connects.

    `ended` is called whenever one has died.
    """

    def __init__(
        self,
        side: Side,
        tasks: TaskGroup,
        violated: Callable[[str], None],
        ended: Callable[[], None],
    ) -> None:
        self.side = side
        self.agent: Agent | None = None
        self._tasks = tasks
        self._violated = violated
        self._ended = ended
        self._count = 0

    def connect(self, wire: Wire) -> None:
        if self.agent is None or self.agent.is_dead:
            self._count += 1
            self.agent = Agent(self.side, self._tasks, self._violated, self._count, self._ended)
            self._tasks.start_soon(self.agent.run)
        self.agent.attach(wire)

    def kill(self) -> None:
        if self.agent is not None:
            self.agent.kill()
