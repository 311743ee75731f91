"""The laptop: the real engine and the real Line, joined as `workspace` joins them."""

from __future__ import annotations

import json
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, NoReturn, TypeVar

import anyio
import trio

from tests.simulation.folder import SimulatedFolder
from tests.simulation.machine import Machine
from tests.simulation.side import Side
from tests.simulation.weather import Crash, Weather
from tests.simulation.wire import LaptopEnd, Wire
from towline.core.checkpoint import Checkpoints
from towline.core.direction import Direction
from towline.core.gather import Gather
from towline.core.ignore import NO_CHECKPOINTS, Rules
from towline.core.wire.frames import Priority, ProtocolError
from towline.core.wire.limits import Limits
from towline.disk.follow import Follower, News
from towline.disk.incarnation import read_or_create
from towline.disk.own import ensure_own_directory
from towline.disk.replica import Replica
from towline.disk.sources import is_rule_file, read_sources
from towline.engine import events
from towline.engine.ancestor import Store
from towline.engine.folder import Folder
from towline.engine.live import FolderRefusedError, Live
from towline.engine.local import Local
from towline.engine.remote import Lanes
from towline.line.errors import ChannelClosedError, ConnectError, ConnectKind, LineLostError
from towline.line.live import LineState, LiveLine, open_line

T = TypeVar("T")

_NEW_LIFE = (LineLostError, ChannelClosedError)
_FAILURES = (ConnectError, FolderRefusedError, ProtocolError)


class Engine:
    """One process on the laptop."""

    def __init__(
        self,
        side: Side,
        machine: Machine,
        random: Random,
        weather: Weather,
        state: Path,
        *,
        direction_of: Callable[[str], Direction],
        limits: Limits,
        size_max: int | None,
        violated: Callable[[str], None],
        bandwidth: int | None = None,
        checkpoints: Checkpoints = NO_CHECKPOINTS,
    ) -> None:
        self.side = side
        self.live: Live | None = None
        self.line: LiveLine | None = None
        self.replica: Replica | None = None
        self.is_dead = False
        self.refusal = ""
        self._machine = machine
        self._random = random
        self._weather = weather
        self._state = state
        self._direction_of = direction_of
        self._limits = limits
        self._size_max = size_max
        self._violated = violated
        self._bandwidth = bandwidth
        self._checkpoints = checkpoints
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        """Run until killed, or until it gives up."""
        store: Store | None = None
        with self._scope:
            try:
                store = Store(self._state, lambda: self.side.clock.now)
                self.live = self._open(store)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self.live.follow_folder)
                    await self._keep_linked(self.live)
            except* Crash:
                self.side.trace("the engine is killed between two system calls")
            except* OSError as group:
                if self._weather.is_over or not self._may_end_with(group):
                    self._failed(group)
                else:
                    self.side.trace(f"the engine ends: {group.exceptions[0]!r}")
            except* Exception as group:
                self._failed(group)
        if store is not None:
            store.close()
        self._end()

    def kill(self) -> None:
        """Kill -9: nothing is written any more."""
        self.side.kill()
        self._scope.cancel()
        self.is_dead = True

    def stop(self) -> None:
        """End it in good order."""
        if self.replica is not None and not self.is_dead:
            self.replica.tidy()
            self.replica.save_cache()
        if self.live is not None and not self.is_dead:
            self.live.trees.remember_agreed()
        self.kill()

    def _end(self) -> None:
        self.is_dead = True
        self.side.kill()

    def _may_end_with(self, group: BaseExceptionGroup[OSError]) -> bool:
        """Whether it is one of the errors that a project folder as a whole may have."""
        return self.live is None or all(
            error.filename in (str(self.side.root), "") for error in _leaves(group)
        )

    def _failed(self, group: BaseException) -> None:
        while isinstance(group, BaseExceptionGroup):
            group = group.exceptions[0]
        text = "".join(traceback.format_exception(group)[-5:])
        self._violated(f"the engine ends with {group!r}\n{text}")

    # As in `workspace`.

    def _open(self, store: Store) -> Live:
        root = self.side.root
        ensure_own_directory(root)
        disk = SimulatedFolder(root, self.side)
        incarnation = read_or_create(disk)
        replica = self.replica = Replica(
            disk,
            Rules([]),
            host="laptop",
            durable=True,
            now_ns=self.side.now_ns,
            cache_file=self._state.with_suffix(".cache"),
        )
        watch = self.side.open_watch(lambda path: replica.rules.ignores(path, True))
        watch.start()
        gather = Gather()

        async def readable(_watch: Any) -> None:
            await watch.wait_readable()

        def make_local(absorb: Callable[[News], None]) -> Local:
            follower = Follower(replica, watch, gather, ahead_size=0)
            return Local(follower, absorb, run=self._run_blocking, readable=readable, rest=None)

        async def read_rules() -> Rules:
            sources = await self._run_blocking(lambda: read_sources(root, ()))
            return Rules(sources, self._size_max, self._checkpoints)

        return Live(
            Folder(
                mirror=0,
                machine_path=str(self._machine.side.root),
                host="laptop",
                local_life=incarnation.id,
                direction_of=self._direction_of,
                compress=lambda: self._random.random() < 0.5,
                bandwidth=self._bandwidth,
                checkpoints=self._checkpoints,
            ),
            make_local,
            store,
            read_rules=read_rules,
            is_rule_file=is_rule_file,
            report=self._report,
            wall_clock=lambda: self.side.now_ns() / 1e9,
        )

    async def _run_blocking(self, work: Callable[[], T], /) -> T:
        """As in a thread: once begun it is done, whatever becomes of who waits for it."""
        await trio.lowlevel.checkpoint()
        before, after = (self._random.random() * 0.002 for _ in range(2))
        clock = self.side.clock
        clock.current_time()
        await clock.sleep(before, can_be_cancelled=False)
        result = work()
        await clock.sleep(after, can_be_cancelled=False)
        return result

    def _report(self, event: events.Event) -> None:
        self.side.trace(f"engine: {event}")

    async def _keep_linked(self, live: Live) -> None:
        while True:
            try:
                await self._live_once(live)
            except (*_NEW_LIFE, *_FAILURES, BaseExceptionGroup) as error:
                reason = _first(error)
            if isinstance(reason, FolderRefusedError):  # The person tries it again.
                self.side.trace(f"engine: {reason}")
                await anyio.sleep(1)
                continue
            if not isinstance(reason, _NEW_LIFE):
                raise reason
            self.side.trace(f"engine: a new life: {reason}")

    async def _live_once(self, live: Live) -> NoReturn:
        async with open_line(
            self._connect,
            software="engine",
            on_state=self._note_line,
            limits=self._limits,
            wall=lambda: self.side.now_ns() / 1e9,
            randomness=self._random,
        ) as line:
            self.line = line
            await line.wait_begun()
            async with anyio.create_task_group() as tasks:
                lanes = Lanes(
                    sync=line.open_channel(_greeting("sync"), Priority.SYNC),
                    bulk=line.open_channel(_greeting("bulk"), Priority.BULK),
                )
                tasks.start_soon(live.run_life, lanes)
            raise LineLostError("the line was given up")

    @asynccontextmanager
    async def _connect(self, _attended: bool) -> AsyncIterator[LaptopEnd]:
        await anyio.sleep(self._random.random() * 0.5)
        if not self._weather.is_over and self._random.random() < self._weather.connect_failure:
            raise ConnectError(ConnectKind.UNREACHABLE, "nobody answers")
        wire = Wire(self.side.clock, self._random, self._weather, self.side.trace)
        self.wire = wire
        self._machine.connect(wire)
        end = LaptopEnd(wire)
        try:
            yield end
        finally:
            wire.cut()

    def _note_line(self, state: LineState) -> None:
        self.side.trace(f"line: {state.phase.value} {state.error or ''}")


def _greeting(lane: str) -> bytes:
    return json.dumps({"mirror": 0, "lane": lane}).encode()


def _leaves(error: BaseException) -> list[OSError]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in _leaves(part)]
    return [error] if isinstance(error, OSError) else []


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
