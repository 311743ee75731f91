"""What a plan does about a change that failed before and waits to be tried again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import anyio
import pytest
import trio
from trio.testing import MockClock

from towline.core.change import Change
from towline.core.direction import Direction
from towline.core.entry import DIRECTORY, Directory, Entry, File, Unsynced, digest_of
from towline.core.ignore import NO_CHECKPOINTS
from towline.core.problem import Problem, ProblemKind
from towline.core.tree import Tree
from towline.core.wire.messages import Apply, Message, Part
from towline.engine.ancestor import Store
from towline.engine.coming import Coming
from towline.engine.draft import Drafts
from towline.engine.flights import Flights, Way
from towline.engine.notices import Notices
from towline.engine.pen import QUIET_S
from towline.engine.plan import RETRY_MAX_S, RETRY_RATE, RETRY_S, RETRY_SIZE, Planner
from towline.engine.pull import Puller
from towline.engine.push import Pusher
from towline.engine.trees import Trees

pytestmark = pytest.mark.anyio

CONTENT = b"text"
FILE = File(digest_of(CONTENT), size=len(CONTENT))


class Disk:
    awaits_more = False

    async def read(self, wanted: Sequence[tuple[str, File]]) -> list[bytes | None]:
        return [CONTENT for _ in wanted]

    async def read_part(self, path: str, file: File, offset: int, size: int) -> bytes:
        return bytes(size)


class Machine:
    def __init__(self) -> None:
        self.sent: list[Message] = []

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def send_bulk(self, message: Message, *, more: bool = False) -> None:
        self.sent.append(message)

    def paths(self) -> list[str]:
        applies = [message for message in self.sent if isinstance(message, Apply)]
        return [change.path for apply in applies for change in apply.changes]


async def never_read(path: str, offset: int, size: int) -> bytes:
    raise AssertionError(path)


def planner_over(
    local: Mapping[str, Entry],
    remote: Mapping[str, Entry],
    ancestor: Mapping[str, Entry] | None = None,
    direction_of: Callable[[str], Direction] = lambda _: Direction.BOTH,
) -> Planner:
    """Return a planner to which all of `local` is news."""
    disk, store, flights = cast(Any, Disk()), Store(":memory:"), Flights()
    trees = Trees(store, 0, direction_of)
    trees.local, trees.remote = Tree(Directory(local)), Tree(Directory(remote))
    trees.ancestor = Tree(Directory(ancestor or {}))
    notices = Notices(store, lambda _: None)
    coming = Coming(NO_CHECKPOINTS, trees, flights, notices, lambda: ())
    flights.note(local)
    return Planner(
        trees,
        flights,
        Pusher(disk, trees, flights, Drafts(lambda *_: False, never_read)),
        Puller(disk, flights, lambda _: None, coming, lambda _: False),
        store,
        direction_of=direction_of,
        hosts=lambda: ("laptop", "machine"),
        wall_clock=lambda: 0.0,
    )


@pytest.mark.parametrize(
    ("beside", "sent"),
    [
        ({}, []),
        ({"new": DIRECTORY}, ["d", "d/stuck", "new"]),
        ({"new": Directory({"below": DIRECTORY})}, ["d", "d/stuck", "new", "new/below"]),
        ({"file": FILE}, ["d", "d/stuck", "file"]),
    ],
    ids=["nothing", "a directory", "a directory in a directory", "a file"],
)
async def test_only_what_a_failed_change_needs_waits_with_it(
    beside: dict[str, Entry], sent: list[str]
) -> None:
    planner = planner_over({"d": Directory({"stuck": FILE}), **beside}, {})
    problem = Problem("d/stuck", ProblemKind.UNWRITABLE)
    planner.failed(Change("d/stuck", None, FILE), problem, "machine", 0)
    machine = Machine()
    await planner.plan(cast(Any, machine))
    assert machine.paths() == sent


async def test_a_pull_that_failed_waits_with_the_directory_it_needs() -> None:
    """Where the laptop has in it only what is ignored, the directory is gone again at once."""
    planner = planner_over({}, {"d": Directory({"stuck": FILE})}, {"d": DIRECTORY})
    planner.failed(
        Change("d/stuck", None, FILE), Problem("d/stuck", ProblemKind.UNWRITABLE), "laptop", 0
    )
    planner._flights.note(["d"])
    await planner.plan(cast(Any, Machine()))
    assert planner._puller.waiting == []
    planner._flights.note(["d"])
    planner.accept()  # A person's decision is not put off.
    await planner.plan(cast(Any, Machine()))
    assert planner._puller.waiting != []


async def test_what_failed_on_the_machine_is_nothing_that_comes_from_it() -> None:
    planner = planner_over({}, {})
    for side in ("laptop", "machine"):
        problem = Problem(side, ProblemKind.UNWRITABLE)
        planner.failed(Change(side, None, FILE), problem, side, 0)
    assert planner.stuck_on("laptop") == ["laptop"]


async def test_a_directory_is_looked_at_again_once_less_is_agreed_on_in_it() -> None:
    """It holds what cannot be synced alone, so what the machine has deleted is made anew."""
    local = {"d": Directory({"big": Unsynced(ProblemKind.TOO_LARGE)})}
    ancestor = {"d": Directory({"big": FILE, "gone": FILE})}

    def direction_of(path: str) -> Direction:
        return Direction.BOTH if path == "d/gone" else Direction.PUSH

    planner = planner_over(local, {}, ancestor, direction_of)
    machine = Machine()
    await planner.plan(cast(Any, machine))
    assert machine.paths() == []
    await planner.plan(cast(Any, machine))
    assert machine.paths() == ["d"]


async def test_what_failed_before_is_tried_once_a_person_accepts_a_held_plan() -> None:
    planner = planner_over({"stuck": FILE}, {})
    planner.failed(
        Change("stuck", None, FILE), Problem("stuck", ProblemKind.DISK_FULL), "machine", 0
    )
    machine = Machine()
    planner.held = "the folder on the machine is empty"
    planner.accept()
    await planner.plan(cast(Any, machine))
    assert machine.paths() == ["stuck"]


def test_a_deletion_waits_for_the_stuck_file_that_has_its_content_and_not_for_the_clock() -> None:
    """The machine has renamed a file, and the laptop's disk does not take the new one."""
    planner = planner_over({"old": FILE}, {"new": FILE}, {"old": FILE})
    machine = cast(Any, Machine())

    async def scenario() -> None:
        problem = Problem("new", ProblemKind.DISK_FULL)
        planner.failed(Change("new", None, FILE), problem, "laptop", 0)
        await planner.plan(machine)
        assert planner.deadline() == anyio.current_time() + RETRY_S
        planner.succeeded("new")
        await planner.plan(machine)
        assert planner.deadline() == anyio.current_time() + QUIET_S
        await anyio.sleep(QUIET_S)
        await planner.plan(machine)

    trio.run(scenario, clock=MockClock(autojump_threshold=0))
    assert planner._puller.waiting == ["old"]


def test_a_deletion_waits_for_what_has_its_content_and_is_held_up() -> None:
    """The machine has renamed a file; what the laptop sent for the new name is on its way still."""
    planner = planner_over({"old": FILE}, {"new": FILE}, {"old": FILE})
    machine = cast(Any, Machine())
    planner._flights.note(["new"])
    planner._flights.start("new", Way.BULK, None, 0)

    async def scenario() -> None:
        for _ in range(3):
            await planner.plan(machine)
            await anyio.sleep(QUIET_S)
        assert planner._puller.waiting == []
        planner._flights.land("new")
        for _ in range(3):
            await planner.plan(machine)
            await anyio.sleep(QUIET_S)
        assert planner._puller.waiting == ["new"]

    trio.run(scenario, clock=MockClock(autojump_threshold=0))


def test_a_deletion_waits_for_what_has_its_content_and_is_kept_beside_another() -> None:
    """The machine has renamed a file; the laptop has one of the new name."""
    mine = File(digest_of(b"mine"), size=4)
    planner = planner_over({"old": FILE, "new": mine}, {"new": FILE}, {"old": FILE})
    machine = Machine()

    async def scenario() -> None:
        for _ in range(3):
            await planner.plan(cast(Any, machine))
            await anyio.sleep(QUIET_S)
        assert machine.paths() == ["new"]
        assert planner._puller.waiting == []
        planner._pusher.answered(1)
        for _ in range(2):
            await planner.plan(cast(Any, machine))
            await anyio.sleep(QUIET_S)
        await planner.plan(cast(Any, machine))
        assert planner._puller.waiting == ["old"]  # Nothing was told of the copy.

    trio.run(scenario, clock=MockClock(autojump_threshold=0))


async def test_an_answer_to_a_plan_that_went_behind_a_save_counts_for_no_later_one() -> None:
    saved = File(digest_of(b"saved"), size=5)
    planner = planner_over({"a": saved, "b": FILE}, {}, {"a": FILE, "b": FILE})
    planner._flights.clean("b")
    machine = cast(Any, Machine())
    await planner.plan(machine)
    assert planner.held
    planner._flights.start("a", Way.HOT, FILE, 0)  # An earlier save, not answered yet.
    planner.accept()
    await planner.plan(machine)
    assert (planner.held, machine.paths()) == ("", ["a"])
    planner._flights.note(["b"])  # Which would be deleted on the laptop.
    await planner.plan(machine)
    assert planner.held
    assert planner._puller.waiting == []


def machine_fails(planner: Planner, path: str, kind: ProblemKind = ProblemKind.UNWRITABLE) -> None:
    """The machine answers that it could not make this file."""
    planner._flights.land(path)
    file = planner._trees.local.get(path)
    planner.failed(Change(path, None, file), Problem(path, kind), "machine", 0)


async def planner_after_failing(machine: Machine, *paths: str, size: int = RETRY_SIZE) -> Planner:
    """Return a planner to which the machine has said that it could make none of these files."""
    planner = planner_over({path: File(digest_of(path.encode()), size=size) for path in paths}, {})
    for path in paths:
        machine_fails(planner, path)
    await planner.plan(cast(Any, machine))
    assert machine.paths() == []
    return planner


def test_of_what_failed_only_so_much_is_tried_again_at_a_time_and_each_in_its_turn() -> None:
    machine = Machine()

    async def scenario() -> None:
        planner = await planner_after_failing(machine, *"abc", size=RETRY_SIZE // 2 - 1000)
        for tried in (["a", "b"], ["a", "c"], ["b", "c"]):
            await anyio.sleep(RETRY_S)
            machine.sent.clear()
            await planner.plan(cast(Any, machine))
            assert machine.paths() == tried
            for path in tried:
                machine_fails(planner, path)

    trio.run(scenario, clock=MockClock(autojump_threshold=0))


def test_one_that_is_held_up_has_had_its_turn() -> None:
    machine = Machine()

    async def scenario() -> None:
        planner = await planner_after_failing(machine, *"ab")
        planner._flights.start("a", Way.PULL, FILE, 0)
        for tried in ([], ["b"]):
            await anyio.sleep(RETRY_S)
            await planner.plan(cast(Any, machine))
            assert machine.paths() == tried

    trio.run(scenario, clock=MockClock(autojump_threshold=0))


def test_once_one_goes_through_the_others_are_tried_at_once() -> None:
    machine = Machine()

    async def scenario() -> None:
        planner = await planner_after_failing(machine, *"ab")
        await anyio.sleep(RETRY_S)
        await planner.plan(cast(Any, machine))
        assert machine.paths() == ["a"]
        planner._flights.land("a")
        planner.succeeded("a")
        deadline = planner.deadline()
        assert deadline is not None
        assert deadline <= anyio.current_time()
        await planner.plan(cast(Any, machine))
        assert machine.paths() == ["a", "b"]

    trio.run(scenario, clock=MockClock(autojump_threshold=0))


LARGE = File(digest_of(bytes(3 << 20)), size=3 << 20)


async def send_all(planner: Planner, machine: Machine) -> list[Message]:
    """Plan, send what is queued, and return all that was sent."""
    machine.sent.clear()
    await planner.plan(cast(Any, machine))
    while planner._pusher.waiting[0]:
        await planner._pusher._send_batch(cast(Any, machine))
    return machine.sent


def size_of_parts(sent: Sequence[Message]) -> int:
    return sum(len(part.data) for part in sent if isinstance(part, Part))


def test_a_large_content_is_sent_again_only_if_the_machine_lacks_it() -> None:
    """What failed was most likely its place: a directory of somebody else's."""
    planner, machine = planner_over({"large": LARGE}, {}), Machine()

    async def scenario() -> None:
        sent = await send_all(planner, machine)
        assert size_of_parts(sent) == LARGE.size
        for _ in range(2):
            machine_fails(planner, "large")
            await send_all(planner, machine)
            await anyio.sleep(RETRY_S)
            part, apply = await send_all(planner, machine)
            assert part == Part(LARGE.digest, LARGE.size, 0, b"")
            assert isinstance(apply, Apply)
        planner._flights.land("large")
        planner.refused("large", "machine", 0)  # It lacks it.
        await send_all(planner, machine)
        await anyio.sleep(RETRY_S)
        sent = await send_all(planner, machine)
        assert size_of_parts(sent) == LARGE.size

    trio.run(scenario, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize(
    ("size", "after_s"),
    [(3 << 20, RETRY_S), (RETRY_RATE * 20, 20.0), (1 << 40, RETRY_MAX_S)],
    ids=["some", "much", "very much"],
)
def test_what_a_full_disk_did_not_take_is_sent_whole_and_the_less_often_the_larger_it_is(
    size: int, after_s: float
) -> None:
    large = File(LARGE.digest, size=size)
    planner, machine = planner_over({"large": large}, {}), cast(Any, Machine())

    async def scenario() -> None:
        machine_fails(planner, "large", ProblemKind.DISK_FULL)
        await planner.plan(machine)
        assert planner._pusher.waiting[1] == 0
        await anyio.sleep(RETRY_S)
        await planner.plan(machine)
        assert planner._pusher.waiting[1] == size
        assert planner.deadline() == pytest.approx(anyio.current_time() + after_s, abs=0.01)

    trio.run(scenario, clock=MockClock(autojump_threshold=0))


async def test_what_a_full_disk_did_not_take_is_not_left_there() -> None:
    planner, machine = planner_over({"large": LARGE}, {}), Machine()
    machine_fails(planner, "large", ProblemKind.DISK_FULL)
    planner.accept()
    sent = await send_all(planner, machine)
    assert size_of_parts(sent) == LARGE.size
