"""What a laptop's flush waits for, and what it does not: the real engine over a real folder."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from tests.engine.one_sided import BEGUN, RULES, live_over
from towline.core.checkpoint import Checkpoints
from towline.core.entry import DIRECTORY, Entry, File, Unsynced, digest_of
from towline.core.problem import Problem, ProblemKind
from towline.core.wire.messages import (
    Applied,
    Apply,
    Begin,
    Fetch,
    Message,
    Observed,
    Part,
    TreeEnd,
    TreePart,
    decode,
    encode,
)
from towline.disk.folder import Folder
from towline.disk.replica import Replica
from towline.engine.barrier import FlushError
from towline.engine.bell import Bell
from towline.engine.live import Live
from towline.engine.remote import Lanes

pytestmark = pytest.mark.anyio

WAIT_S = 15
SHORT_S = 0.3  # Of a wait that must not end: much longer than the engine takes for it.
CONTENT = b"2.pt"
MARK = File(digest_of(CONTENT), size=len(CONTENT))
OTHER = File(digest_of(b"another"), size=7)


class Lane:
    """A channel: `hear` takes what the laptop says on it, `say` is what the machine does."""

    def __init__(self, hear: Callable[[Message], None]) -> None:
        self._hear = hear
        self._said: list[bytes] = []
        self._bell = Bell()

    def say(self, *messages: Message) -> None:
        self._said += map(encode, messages)
        self._bell.ring()

    async def send(self, message: bytes) -> None:
        self._hear(decode(message))

    async def receive(self) -> bytes:
        while not self._said:
            await self._bell.wait()
        return self._said.pop(0)


class Machine:
    """Holds this tree, of which it sends MARK and no other, and takes all that it is sent."""

    def __init__(self, tree: dict[str, Entry], *problems: Problem) -> None:
        self.paths: set[str] = set()
        self.was_asked = anyio.Event()
        self.sync, self.bulk = Lane(self._hear), Lane(self._hear)
        self._rows, self._problems = tuple(tree.items()), problems

    def _hear(self, message: Message) -> None:
        match message:
            case Begin():
                self.sync.say(BEGUN, TreePart(self._rows), TreeEnd(problems=self._problems))
            case Apply():
                self.paths |= {change.path for change in message.changes}
                self.sync.say(Applied(message.group, len(message.changes), ()))
            case Fetch():
                self.was_asked.set()
                if MARK in [want.file for want in message.wants]:
                    self.bulk.say(Part(MARK.digest, MARK.size, 0, CONTENT))
            case _:
                raise AssertionError(message)


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@asynccontextmanager
async def linked(project: Path, machine: Machine) -> AsyncGenerator[Live]:
    """A laptop that has asked for the first content of what the machine has."""
    live = live_over(
        Replica(Folder(project), RULES, host="laptop"), checkpoints=Checkpoints(settle_s=0)
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(live.follow_folder)
        tasks.start_soon(live.run_life, Lanes(machine.sync, machine.bulk))
        await machine.was_asked.wait()
        yield live
        tasks.cancel_scope.cancel()


async def test_a_mark_that_waits_for_its_checkpoint_holds_no_flush_up(tmp_path: Path) -> None:
    being_written = Problem("run/2.pt", ProblemKind.UNSETTLED)
    rows = {"run": DIRECTORY, "run/2.pt": Unsynced(ProblemKind.UNSETTLED), "run/latest": MARK}
    machine = Machine(rows, being_written)
    async with linked(tmp_path, machine) as live:
        (tmp_path / "a.py").write_text("saved")
        await live.flush(WAIT_S)
        assert machine.paths == {"a.py"}
        assert live.puller.waiting == ["run/latest"]


async def test_what_still_comes_from_the_machine_holds_no_flush_up(tmp_path: Path) -> None:
    machine = Machine({"large": OTHER})
    async with linked(tmp_path, machine) as live:
        await live.flush(WAIT_S)
        assert live.puller.waiting == ["large"]


async def test_a_save_where_something_comes_from_the_machine_is_waited_for(tmp_path: Path) -> None:
    machine = Machine({"both": OTHER, "other": OTHER})
    async with linked(tmp_path, machine) as live:
        (tmp_path / "both").write_text("saved")
        with pytest.raises(FlushError, match=f"not done within {SHORT_S} s: both$"):
            await live.flush(SHORT_S)


async def test_who_wants_both_in_step_waits_for_what_comes_from_the_machine(tmp_path: Path) -> None:
    async with linked(tmp_path, Machine({"large": OTHER})) as live:
        await live.flush(WAIT_S)
        with pytest.raises(TimeoutError), anyio.fail_after(SHORT_S):
            await live.wait_in_step()


async def test_a_save_where_something_was_being_written_there_is_waited_for(tmp_path: Path) -> None:
    """It could not go when it was planned; it can since the flush has begun to wait."""
    being_written = Unsynced(ProblemKind.UNSETTLED)
    machine = Machine({"both": being_written, "large": OTHER}, Problem("both", being_written.kind))
    async with linked(tmp_path, machine) as live:
        (tmp_path / "both").write_text("saved")
        with pytest.raises(FlushError, match="both: is being written, on the machine"):
            await live.flush(WAIT_S)
        moment = live.flights.moment
        machine.sync.say(Observed(("both",), (("both", OTHER),)))
        while isinstance(live.trees.remote.get("both"), Unsynced):
            await anyio.lowlevel.checkpoint()
        assert not live.flights.is_there(moment)
        await live.flush(WAIT_S)
        assert machine.paths == {"both"}
