"""One simulated world: two sides, their users, what goes wrong, and what must hold.

`simulate(seed)` runs one, under virtual time, and returns what happened. Everything random comes
from the seed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import anyio

from tests.simulation.clock import VirtualClock
from tests.simulation.folder import parents
from tests.simulation.kernel import Kernel
from tests.simulation.laptop import Engine
from tests.simulation.ledger import Ledger
from tests.simulation.machine import OUTBOX_MAX, Agent, Machine
from tests.simulation.power import THERE_S, Past, Power
from tests.simulation.side import Side
from tests.simulation.users import Users
from tests.simulation.weather import Crash, draw_weather
from towline.agent import mirror, roots
from towline.core.change import Outcome
from towline.core.checkpoint import Checkpoints
from towline.core.conflict import is_conflict_copy
from towline.core.direction import Direction, Directions
from towline.core.entry import Directory, Entry, File, Unsynced
from towline.core.ignore import NO_CHECKPOINTS, Rules
from towline.core.path import parent_of
from towline.core.reconcile import reconcile
from towline.core.tree import Tree
from towline.core.wire import messages
from towline.core.wire.limits import DEFAULT_LIMITS, Limits
from towline.disk.apply import IGNORED_IN_THE_WAY
from towline.disk.folder import STAGE, Folder
from towline.disk.follow import UNREAD
from towline.disk.replica import Replica
from towline.engine.barrier import FlushError
from towline.engine.live import Live
from towline.engine.plan import Stuck
from towline.line.live import Phase

POWER_SHARE = 0.2  # Of the worlds: power cuts on the laptop, and, drawn apart, on the machine.
POWER_CHANCES = (0.0002, 0.001)  # At each system call.
QUIET_S = 300.0  # Virtual seconds in which all must have come to rest.
SMALL_LIMITS = Limits(
    payload_max=256,
    replay_max=16 << 10,
    bulk_max=12 << 10,
    window=4 << 10,
    bulk_window=8 << 10,
)


@dataclass
class Report:
    """What became of one world."""

    seed: int
    violations: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    virtual_s: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "\n".join([*self.trace, "", f"seed {self.seed}:", *self.violations])


class CountingMirror(mirror.Mirror):
    """A mirror that lets the world look each time it has counted."""

    def __init__(self, world: World, *rest: Any) -> None:
        super().__init__(*rest)
        self._world = world
        self.applied: set[int] = set()
        self.failed: set[str] = set()  # What could not be done, which the laptop learns too late.

    def _send(self, message: messages.Message) -> None:
        super()._send(message)
        if isinstance(message, messages.Applied):
            for result in message.results:
                is_done = result.outcome is Outcome.DONE
                (self.failed.discard if is_done else self.failed.add)(result.path)

    def _apply(self, root: roots.Root, apply: messages.Apply, now: float) -> None:
        super()._apply(root, apply, now)
        self.applied.add(apply.group)
        self._world.check_whole(self)

    def _rename(self, root: roots.Root, rename: messages.Rename, now: float) -> None:
        super()._rename(root, rename, now)
        self.applied.add(rename.group)


class World:
    def __init__(self, seed: int, place: Path, report: Report) -> None:
        self.random = Random(seed)  # noqa: S311 - Not for secrets.
        self.report = report
        self.clock = VirtualClock()
        self.ledger = Ledger()
        self.weather = draw_weather(self._branch())
        self.laptop = self._side("laptop", place / "laptop")
        self.remote = self._side("machine", place / "machine")
        self.limits = SMALL_LIMITS if self.random.random() < 0.5 else DEFAULT_LIMITS
        self.size_max = self.random.choice([None, 5000, 20_000])
        self.directions = self.random.choice(
            [
                Directions(),
                Directions(),
                Directions(),
                Directions([("src/", Direction.PUSH), ("out/", Direction.PULL)]),
                Directions(default=Direction.PUSH),
                Directions(default=Direction.PULL),
                Directions([("*.py", Direction.PUSH), ("d/e/", Direction.PULL)]),
            ]
        )
        self.checkpoints = self.random.choice(
            [
                NO_CHECKPOINTS,
                Checkpoints(["/big.bin", "out/"], ["b.txt", "1"], 0.5),
                Checkpoints(["*.py", "d/"], ["note.log", "y.log"], 1.5, 20_000),
            ]
        )
        self.length_s = self.random.choice([5.0, 15.0, 40.0])
        eagerness = self.random.choice([0.3, 1.0, 4.0])
        self.users = [
            Users(self.laptop, self._branch(), eagerness),
            Users(self.remote, self._branch(), eagerness * self.random.choice([0.0, 0.3, 1.0])),
        ]
        self.bandwidth = self.random.choice([None, None, 20_000])
        self._state = place / "state.db"
        self._past = Past(place, "state*", lambda: self.clock.now)
        self._add_power(seed)
        self.boots = 0  # Of the machine, but for the first.
        self._add_power_there(seed)
        self.engine: Engine | None = None
        self.machine: Machine | None = None
        self.kernel = Kernel(str(self.remote.root), self.remote.contents)
        self.frozen: dict[str, bytes] | None = None  # What must stay on the laptop while held.
        self._over = False

    def _add_power(self, seed: int) -> None:
        """In some worlds the laptop loses its power. It changes nothing in the others."""
        drawn = Power(seed)
        if drawn.random.random() < POWER_SHARE:
            drawn.chance = drawn.random.choice(POWER_CHANCES)
            self.laptop.power, self.laptop.unwritten.is_watched = drawn, True

    def _add_power_there(self, seed: int) -> None:
        """In some worlds the machine loses its power and keeps its disk."""
        drawn = Power(f"there {seed}")
        if drawn.random.random() < POWER_SHARE:
            drawn.chance = drawn.random.choice(POWER_CHANCES)
            self.remote.power, unwritten = drawn, self.remote.unwritten
            unwritten.is_watched, unwritten.names_s, unwritten.contents_s = True, THERE_S, THERE_S

    def _branch(self) -> Random:
        return Random(self.random.getrandbits(64))  # noqa: S311 - Not for secrets.

    def _side(self, name: str, root: Path) -> Side:
        root.mkdir()
        return Side(
            name,
            root,
            self.clock,
            self._branch(),
            self.weather,
            self.ledger,
            self.trace,
            self.violated,
        )

    # What is told.

    def trace(self, text: str) -> None:
        now = self.clock.now  # Without a look: to tell of something changes nothing.
        self.report.trace.append(f"{now:9.4f}  {text}")
        if not text.startswith(("engine", "line")):
            kind = text.split(": ")[-1].split("'")[0].strip()[:40]
            self.report.counts[kind] = self.report.counts.get(kind, 0) + 1

    def violated(self, text: str) -> None:
        self.trace(f"VIOLATED: {text}")
        self.report.violations.append(text)

    # The run.

    async def run(self) -> None:
        try:
            with anyio.move_on_after(self.length_s + 1000):
                async with anyio.create_task_group() as tasks:
                    await self._live(tasks)
                    tasks.cancel_scope.cancel()
        finally:
            self.report.virtual_s = anyio.current_time()
            for side in (self.laptop, self.remote):
                side.abandon_handles()
                side.kill()
            if self.machine is not None:
                self.machine.kill()

    async def _live(self, tasks: anyio.abc.TaskGroup) -> None:
        self.machine = Machine(self.remote, tasks, self.violated, self._agent_ended)
        for users in self.users:
            for _ in range(self.random.randrange(12)):
                await users.act()
        tasks.start_soon(self._keep_engine, tasks)
        async with anyio.create_task_group() as chaos:
            for users in self.users:
                chaos.start_soon(users.work)
            chaos.start_soon(self._trouble, self._branch())
            chaos.start_soon(self._ask_flush, self._branch())
            chaos.start_soon(self._look_after)
            chaos.start_soon(self._decide, self._branch())
            await self._sleep_until_over()
            chaos.cancel_scope.cancel()
        self.trace("-- everybody rests; nothing goes wrong any more --")
        self.weather.is_over = True
        self.laptop.power.chance = self.remote.power.chance = 0.0
        self.laptop.mend()
        self.remote.mend()
        self.laptop.abandon_handles_softly()
        self.remote.abandon_handles_softly()
        if not self.report.violations:
            await self._come_to_rest()

    async def _sleep_until_over(self) -> None:
        end = anyio.current_time() + self.length_s
        while anyio.current_time() < end and not self.report.violations:  # noqa: ASYNC110
            await anyio.sleep(0.5)

    async def _keep_engine(self, tasks: anyio.abc.TaskGroup) -> None:
        assert self.machine is not None
        while True:
            self.engine = Engine(
                self.laptop,
                self.machine,
                self._branch(),
                self.weather,
                self._state,
                direction_of=self.directions.of,
                limits=self.limits,
                size_max=self.size_max,
                violated=self.violated,
                bandwidth=self.bandwidth,
                checkpoints=self.checkpoints,
            )
            self.trace("the engine starts")
            self._past.begin()
            await self.engine.run()
            self._maybe_lose_power()
            await anyio.sleep(0.2 + self.random.random() * 2)

    def _maybe_lose_power(self) -> None:
        """Whatever the engine ended of may have been a power cut."""
        power = self.laptop.power
        if power.is_out or (power.chance and power.random.random() < 0.5):
            self.trace("laptop: the power is gone")
            self.laptop.lose_power()
            self._past.bring_back(power.random)

    def _agent_ended(self) -> None:
        """Whatever it died of may have been a power cut."""
        power = self.remote.power
        is_out = power.is_out or (power.chance and power.random.random() < 0.5)
        if is_out and self.remote.root.exists():
            self.trace("machine: the power is gone")
            self.boots += 1
            self.remote.lose_power_there(self._kept_by_laptop())

    # Trouble.

    async def _trouble(self, random: Random) -> None:
        troubles: tuple[tuple[Callable[[], None], float], ...] = (
            (self._cut, 6),
            (self._kill_engine, 2),
            (self._stop_engine, 1),
            (self._kill_agent, 2),
            (self._kill_both, 1),
            (self._lose_machine, 1.5),
            (self._empty_machine, 0.5),
            (self._empty_laptop, 0.15),
            (self._jump, 1.5),
            (self._sleep_laptop, 0.5),
        )
        pace = random.choice([0.05, 0.2, 0.5])
        allowed = [t for t in troubles if random.random() < 0.6]
        while allowed:
            await anyio.sleep(random.expovariate(pace))
            random.choices([t for t, _ in allowed], [w for _, w in allowed])[0]()

    def _cut(self) -> None:
        wire = getattr(self.engine, "wire", None)
        if wire is not None:
            self.trace("the transport is cut")
            wire.cut()

    def _kill_engine(self) -> None:
        if self.engine is not None:
            self.trace("the engine is killed")
            self.engine.kill()

    def _stop_engine(self) -> None:
        if self.engine is not None:
            self.trace("the engine is stopped")
            try:
                self.engine.stop()
            except (OSError, Crash):  # It may be killed while it ends, too.
                self.engine.kill()

    def _kill_agent(self) -> None:
        assert self.machine is not None
        self.trace("the agent is killed")
        self.machine.kill()

    def _kill_both(self) -> None:
        self._kill_engine()
        self._kill_agent()

    def _lose_machine(self) -> None:
        if not self.remote.root.exists():
            return
        self.trace("the machine is taken away; an empty one takes its place")
        self.remote.vanish(self._kept_by_laptop())
        assert self.machine is not None
        if self.random.random() < 0.7:
            self.machine.kill()

    def _kept_by_laptop(self) -> set[bytes]:
        """Return the contents that are not lost, whatever happens to those on the machine."""
        here, there = self.laptop.contents(), self.remote.contents()
        # What was moved there is, for the laptop, a deletion that it may carry out yet.
        moved = set(there.values()) - {c for path, c in there.items() if here.get(path) == c}
        return self.laptop.arrived() - moved

    def _empty_machine(self) -> None:
        if self.remote.root.exists():
            self.trace("machine: somebody empties the folder")
            self.remote.empty()

    def _empty_laptop(self) -> None:
        self.trace("laptop: somebody empties the folder")
        self.laptop.empty()

    def _jump(self) -> None:
        side = self.random.choice([self.laptop, self.remote])
        jump_s = self.random.choice([-3600, -2, -0.5, 0.5, 2, 3600, 1e6])
        self.trace(f"{side.name}: the clock jumps by {jump_s} s")
        side.clock_offset_ns += int(jump_s * 1e9)

    def _sleep_laptop(self) -> None:
        self.trace("the laptop sleeps for an hour")
        self.laptop.clock_offset_ns += 3600 * 10**9

    # People.

    async def _decide(self, random: Random) -> None:
        """Accept or refuse what is held, after a while."""
        while True:
            await anyio.sleep(random.uniform(0.5, 5))
            self._decide_now(random)

    def _decide_now(self, random: Random) -> None:
        live = self.engine.live if self.engine is not None and not self.engine.is_dead else None
        if live is None or not live.held:
            return
        if random.random() < 0.5:
            self.trace(f"a person refuses: {live.held}")
            live.refuse()
        else:
            self.trace(f"a person accepts: {live.held}")
            live.accept()

    async def _ask_flush(self, random: Random) -> None:
        while True:
            await anyio.sleep(random.expovariate(0.3))
            engine = self.engine
            if engine is None or engine.live is None or engine.is_dead:
                continue
            if random.random() < 0.5:
                await self._flush(engine)
            else:
                self._flush_from_machine(engine)

    async def _flush(self, engine: Engine) -> None:
        assert engine.live is not None
        before, act = self._saved(engine), self.laptop.acts
        try:
            await engine.live.flush(5.0)
        except FlushError as error:
            self.trace(f"flush: {error}")
            return
        except Crash:
            self.trace("the engine is killed while it flushes")
            engine.kill()
            return
        if engine.is_dead or engine is not self.engine:
            return
        self.trace("flush returns")
        self._check_flushed(before, act, engine)

    def _flush_from_machine(self, engine: Engine) -> None:
        """As a kernel does before a cell."""
        agent = self.machine.agent if self.machine else None
        if agent is None or agent.is_dead:
            return
        before, act = self._saved(engine), self.laptop.acts
        act_there = self.remote.acts

        def reply(answer: dict[str, Any]) -> None:
            said = {key: value for key, value in answer.items() if key != "position"}
            self.trace(f"flush on the machine: {said}")  # A position names a life at random.
            self._check_kernel(answer, agent, act_there)
            alive = engine is self.engine and not engine.is_dead and not agent.is_dead
            if alive and "error" not in answer:
                failed = agent.mirror.failed if isinstance(agent.mirror, CountingMirror) else set()
                awaited = {p: c for p, c in before.items() if p not in failed}
                self._check_flushed(awaited, act, engine)

        since = self.kernel.position
        agent.service.request({"verb": "flush", "timeout": 5, "since": since}, reply)

    def _check_kernel(self, answer: dict[str, Any], agent: Agent, act: int) -> None:
        """What the kernel was not told of must be as it was, whether the laptop is there or not."""
        wrong = self.kernel.take(answer)
        root = agent.mirror.root if agent.mirror else None
        if agent.is_dead or root is None:
            return
        for path in wrong:
            rules = root.replica.rules
            excused = (
                self.remote.touched_since(path, act)
                or path in root.replica.problems
                or is_conflict_copy(path)
                or rules.ignores(path, False)
                or any(rules.ignores(parent, True) for parent in parents(path))
            )
            if not excused:
                self.violated(f"the kernel was not told that {path!r} changed")

    def _saved(self, engine: Engine) -> dict[str, bytes]:
        """Return what is on the laptop and to be on the machine, by path."""
        assert engine.live is not None
        rules = engine.live._known.rules
        if rules is None:
            return {}
        return {
            path: content
            for path, content in self.laptop.contents().items()
            if not rules.ignores(path, False)
            and self.directions.of(path) is not Direction.PULL
            and self._is_small_enough(path, len(content))
            and not self._may_fail_again(path, engine)
        }

    def _may_fail_again(self, path: str, engine: Engine) -> bool:
        """Whether the disk would not let a file be read, as it may not when a flush tries again."""
        problem = engine.replica.problems.get(path) if engine.replica is not None else None
        return self.weather.has_faults and problem is not None and problem.kind in UNREAD

    def _is_small_enough(self, path: str, size: int) -> bool:
        limits = [
            self.size_max,
            *([self.checkpoints.size_max] if self.checkpoints.covers(path) else []),
        ]
        return any(limit is None or size <= limit for limit in limits)

    def _check_flushed(self, before: dict[str, bytes], act: int, engine: Engine) -> None:
        live = engine.live
        assert live is not None
        there = self.remote.contents()
        if live.machine is None or live.machine.incarnation != _incarnation_in(self.remote.root):
            return  # The machine is gone, and nobody can know it yet.
        for path, content in before.items():
            excused = (
                there.get(path) == content
                or self.laptop.touched_since(path, act)
                or self.remote.touched_since(path, 0)
                or path in live.planner.stuck
                or live._known.rules is None
                or live._known._are_rules_stale
                or live._known.rules.ignores(path, False)
                or isinstance(live.trees.local.get(path), Unsynced | None)
                or any(
                    isinstance(live.trees.remote.get(at), Unsynced) for at in (path, *parents(path))
                )
            )
            if not excused:
                self.violated(
                    f"flush returned, but {path!r} on the machine holds "
                    f"{there.get(path, b'nothing')[:7]!r} and not {content[:7]!r}"
                )

    # What must hold all the time.

    async def _look_after(self) -> None:
        while True:
            await anyio.sleep(2.0)
            if self.laptop.power.chance:
                self._past.note()
            self.check_owed()
            self.check_bounds()

    def check_owed(self) -> None:
        present = self.laptop.everything() | self.remote.everything()
        for handle in (*self.laptop.handles, *self.remote.handles):
            present.add(self.laptop._content_of(handle))
        for missing in self.ledger.missing(present):
            self.violated(f"lost: {missing}")

    def check_bounds(self) -> None:
        agent = self.machine.agent if self.machine else None
        if agent is None or agent.is_dead or agent.mirror is None:
            return
        if len(agent.mirror._outbox) > OUTBOX_MAX:
            self.violated(f"the mirror holds back {len(agent.mirror._outbox)} messages")

    def check_whole(self, counted: CountingMirror) -> None:
        """The machine counts no revision of which the laptop still holds a part back."""
        engine = self.engine
        agent = self.machine.agent if self.machine else None
        if engine is None or engine.live is None or engine.line is None or agent is None:
            return
        if agent.service._line.line_id != engine.line._line.line_id or engine.is_dead:
            return
        pusher = engine.live.pusher
        for number, revision in pusher._revisions.items():
            if number <= counted.revision and revision.queued:
                self.violated(f"the machine counts revision {number}; {revision.queued} wait here")
        for number, group in pusher._groups.items():
            is_late = group.changes and number not in counted.applied
            if is_late and group.revision <= counted.revision:
                self.violated(f"the machine counts revision {group.revision} before it is whole")

    # The end.

    async def _come_to_rest(self) -> None:
        quiet = 0
        random = self._branch()
        deadline = anyio.current_time() + QUIET_S
        while quiet < 4:
            if self.report.violations:
                return
            if anyio.current_time() > deadline:
                self.violated(f"no rest after {QUIET_S:g} s: {self._why_restless()}")
                return
            self._decide_now(random)
            await anyio.sleep(1.0)
            quiet = quiet + 1 if not self._why_restless() else 0
        self.trace("-- at rest --")
        engine = self.engine
        assert engine is not None
        assert engine.live is not None
        before, act = self._saved(engine), self.laptop.acts
        try:
            await engine.live.flush(10.0)
        except FlushError as error:
            blocked = engine.live._why_not_there()
            if not blocked and not any(map(_may_stay, engine.live.planner.stuck.values())):
                self.violated(f"the last flush fails: {error}")
                return
        self._check_flushed(before, act, engine)
        self._check_end(engine)

    def _why_restless(self) -> str:
        engine = self.engine
        if engine is None or engine.is_dead or engine.live is None or engine.replica is None:
            return "no engine"
        live = engine.live
        agent = self.machine.agent if self.machine else None
        if agent is None or agent.is_dead:
            return "no agent"
        if live.held:
            return f"held: {live.held}"
        if not live._told:
            return f"the machine's tree is not told ({live.state})"
        if engine.line is None or engine.line.state.phase is not Phase.CONNECTED:
            return "what the machine has to tell waits for a connection"
        if unsettled := live._notices.unsettled:
            return f"being written: {list(unsettled)}"
        if live.behind[0] and not _is_only_tried_again(live):
            return f"under way: {sorted(live.flights.waiting())[:5]} {live.pusher.waiting}"
        if stuck := {path: s for path, s in live.planner.stuck.items() if not _may_stay(s)}:
            return f"stuck: {stuck}"
        if engine.replica.has_retired:
            return "the laptop still reviews"
        if any(len(watch) for watch in self.laptop.watches):
            return "the laptop has events"
        if not agent.is_idle:
            return "the agent is not idle"
        unheard = agent.service._line.statistics().unacknowledged
        if unheard and not live.behind[0]:  # The wire may have stalled for good.
            return "the agent does not know whether it was heard"
        return ""

    def _check_end(self, engine: Engine) -> None:
        live = engine.live
        assert live is not None
        present = {*self.laptop.contents().values(), *self.remote.contents().values()}
        for missing in self.ledger.missing(present):
            self.violated(f"lost at the end: {missing}")
        rules = live._known.rules
        assert rules is not None
        local, remote = self._scanned(self.laptop, rules), self._scanned(self.remote, rules)
        hidden = _hidden(self.laptop, local) | _hidden(self.remote, remote)
        self._compare("the engine's local tree", live.trees.local, local, hidden)
        self._compare("the engine's remote tree", live.trees.remote, remote, hidden)
        left = live.planner.stuck.keys() | _waiting_marks(live)
        missing_here = _missing_here(live)
        for step in reconcile(
            live.trees.ancestor.root, local.root, remote.root, self.directions.of
        ):
            is_hidden = any(at in hidden for at in (step.path, *parents(step.path)))
            # The root itself is never agreed on.
            if step.path and not is_hidden and step.path not in left:
                if step.entry is None and not missing_here.isdisjoint(
                    _digests_at(local, step.path)
                ):
                    continue  # It may be the last there is of what is to get another name.
                self.violated(f"at rest, but there is still to do: {step}")
        stored = live._store.open_ancestor(0, live._store.fact("life 0"))
        self._compare("the stored ancestor", stored, live.trees.ancestor, set())
        for side in (self.laptop, self.remote):
            if not side.files.is_true():
                self.violated(f"{side.name}: the simulation itself missed a change")
            for name in _names_in(side.root / STAGE):
                # What could not be cleared away is tried again with the next scan, when it comes.
                if name.startswith(("new-", "out-")) and not self.weather.has_faults:
                    self.violated(f"{side.name}: {name} is left in the stage")
        agent = self.machine.agent if self.machine else None
        if agent is None or agent.mirror is None:
            return
        is_tried_again = bool(live.flights.waiting())
        if agent.mirror.revision != live._store.revision and not is_tried_again:
            self.violated(
                f"the agent counts {agent.mirror.revision} revisions of {live._store.revision}"
            )

    def _scanned(self, side: Side, rules: Rules) -> Tree:
        folder = Folder(side.root)
        try:
            replica = Replica(folder, rules, host="nobody")
            replica._recover = lambda names: None  # type: ignore[method-assign]
            replica.scan()
            return replica.tree
        finally:
            folder.close()

    def _compare(self, what: str, believed: Tree, true: Tree, hidden: set[str]) -> None:
        if believed.root == true.root:
            return
        for path in sorted({p for p, _ in believed.walk()} | {p for p, _ in true.walk()}):
            here, there = believed.get(path), true.get(path)
            if path in hidden:
                continue
            if here != there and not (isinstance(here, Directory) and isinstance(there, Directory)):
                self.violated(f"{what} has {_brief(here)} at {path!r}, truly {_brief(there)}")


def _brief(entry: Entry | None) -> str:
    return "nothing" if entry is None else str(entry)[:80]


def _is_only_tried_again(live: Live) -> bool:
    """Whether nothing is under way, or waits to be sent, but what may stay stuck.

    It is tried every few seconds, which may be as long as it takes to be sent.
    """
    stays = _staying(live) | _waiting_marks(live)
    return stays.issuperset(live.flights.waiting()) and stays.issuperset(live.pusher._queue)


def _staying(live: Live) -> set[str]:
    return {path for path, stuck in live.planner.stuck.items() if _may_stay(stuck)}


def _waiting_marks(live: Live) -> set[str]:
    """Return the marks that wait for nothing but checkpoints that may stay stuck."""
    turns, stays = live.puller._turns, _staying(live)
    coming = ((path, set(turns._coming(parent_of(path)))) for path in turns._marks)
    return {path for path, awaited in coming if awaited and awaited <= stays}


def _missing_here(live: Live) -> set[bytes]:
    """Return the digests of what the laptop cannot get before a person has helped."""
    stuck = [one.change for one in live.planner.stuck.values() if one.side == "laptop"]
    marks = _waiting_marks(live)
    waiting = [change for change in live.puller._turns if change.path in marks]
    return {change.new.digest for change in stuck + waiting if isinstance(change.new, File)}


def _digests_at(tree: Tree, path: str) -> set[bytes]:
    entries = [tree.get(path), *(entry for _, entry in tree.walk(path))]
    return {entry.digest for entry in entries if isinstance(entry, File)}


def _may_stay(stuck: Stuck) -> bool:
    """Whether nothing but a person can help: it is told, and tried again now and then."""
    return stuck.problem.detail == IGNORED_IN_THE_WAY


def _incarnation_in(root: Path) -> str:
    file = root / ".towline" / "incarnation"
    return file.read_text().split()[0] if file.exists() else ""


def _hidden(side: Side, tree: Tree) -> set[str]:
    """Return the directories that are there but hold only what is ignored: no part of a tree."""
    found = side.files.found()
    return {path for path in found if tree.get(path) is None and _is_directory(found[path])}


def _is_directory(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode)


def _names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()] if directory.is_dir() else []
