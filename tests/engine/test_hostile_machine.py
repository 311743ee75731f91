"""What a machine tells is believed only where the laptop syncs, and only within bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from pathlib import Path

import anyio
import pytest

from tests.engine.one_sided import BEGUN, RULES, live_over, run_until_quiet
from towline.core.change import Change, Outcome
from towline.core.entry import DIRECTORY, File, digest_of
from towline.core.problem import Problem, ProblemKind
from towline.core.wire import messages
from towline.core.wire.frames import ProtocolError
from towline.core.wire.messages import Message, encode
from towline.disk.folder import Folder
from towline.disk.replica import Replica
from towline.engine import trees
from towline.engine.live import Live
from towline.engine.remote import Lanes

EVIL = b"#!/bin/sh\necho evil\n"
HOOK = File(digest_of(EVIL), True, len(EVIL))


class Silent:
    """A channel of a machine that says what it is told to say, and nothing more."""

    def __init__(self, said: list[Message]) -> None:
        self._said = [encode(message) for message in said]
        self._spoken_to = anyio.Event()

    async def send(self, message: bytes) -> None:
        self._spoken_to.set()

    async def receive(self) -> bytes:
        await self._spoken_to.wait()
        if not self._said:
            await anyio.sleep_forever()
        return self._said.pop(0)


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    (tmp_path / "root").mkdir()
    return Replica(Folder(tmp_path / "root"), RULES, host="laptop")


def sizes_of(keeper: object) -> dict[str, int]:
    """Return how much stands in each of its collections."""
    return {name: len(held) for name, held in vars(keeper).items() if isinstance(held, Sized)}


async def hear(laptop: Live, said: list[Message]) -> None:
    """Run a life in which the machine says just this; end it when all is quiet."""
    await run_until_quiet(laptop, Silent(said), Silent([]))


def test_what_the_laptop_does_not_sync_is_not_taken_from_the_machine(replica: Replica) -> None:
    machine = live_over(replica)
    rows = ((".git", DIRECTORY), (".git/hooks", DIRECTORY), (".git/hooks/evil", HOOK))
    tree = messages.TreePart((*rows, ("x.log", HOOK), ("kept.py", HOOK)))
    anyio.run(hear, machine, [BEGUN, tree, messages.TreeEnd()])
    assert sorted(path for path, _ in machine.trees.remote.walk()) == ["kept.py"]


def test_an_observation_of_what_is_not_synced_is_dropped_too(replica: Replica) -> None:
    machine = live_over(replica)
    observed = messages.Observed((".git", "x.log"), ((".git", DIRECTORY), ("x.log", HOOK)))
    anyio.run(hear, machine, [BEGUN, messages.TreeEnd(), observed])
    assert list(machine.trees.remote.walk()) == []


def test_a_change_to_an_ignored_path_is_refused_where_it_would_be_made(replica: Replica) -> None:
    replica.scan()
    changes = [
        Change(".git", None, DIRECTORY),
        Change("x.log", None, HOOK),
        Change("kept.py", None, HOOK),
    ]
    results = replica.apply(changes, {HOOK.digest: EVIL})
    assert [result.outcome for result in results] == [
        Outcome.REFUSED,
        Outcome.REFUSED,
        Outcome.DONE,
    ]
    assert sorted(path.name for path in replica.folder.root.iterdir()) == [".towline", "kept.py"]


def test_a_tree_without_end_is_a_protocol_error(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "ENTRIES_MAX", 10)
    tree = messages.TreePart(tuple((f"f{number}", HOOK) for number in range(11)))
    with pytest.raises(BaseExceptionGroup) as caught:
        anyio.run(hear, live_over(replica), [BEGUN, tree, messages.TreeEnd()])
    assert caught.group_contains(ProtocolError, match="more than 10 entries")


def test_observations_without_end_are_a_protocol_error(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "ENTRIES_MAX", 10)
    part = messages.Observed((), (("f", HOOK),), more=True)
    with pytest.raises(BaseExceptionGroup) as caught:
        anyio.run(hear, live_over(replica), [BEGUN, messages.TreeEnd(), *[part] * 6])
    assert caught.group_contains(ProtocolError, match="more than 10 entries")


def test_problems_without_end_are_a_protocol_error(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "ENTRIES_MAX", 10)
    problem = Problem("f", ProblemKind.UNREADABLE)
    part = messages.Observed((), (), (problem,) * 4, more=True)
    with pytest.raises(BaseExceptionGroup) as caught:
        anyio.run(hear, live_over(replica), [BEGUN, messages.TreeEnd(), *[part] * 3])
    assert caught.group_contains(ProtocolError, match="more than 10 entries")


def test_of_contents_that_nobody_asked_for_and_are_gone_nothing_is_kept(replica: Replica) -> None:
    laptop = live_over(replica)
    gone = [messages.Gone("f", digest_of(bytes([number]))) for number in range(100)]
    before = sizes_of(laptop.puller)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            lanes = Lanes(Silent([BEGUN, messages.TreeEnd(), *gone]), Silent([]))
            tasks.start_soon(laptop.follow_folder)
            tasks.start_soon(laptop.run_life, lanes)
            await anyio.wait_all_tasks_blocked()
            assert sizes_of(laptop.puller) == before
            tasks.cancel_scope.cancel()

    anyio.run(main)


def test_a_tree_by_a_name_that_was_not_given_is_a_protocol_error(replica: Replica) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        anyio.run(hear, live_over(replica), [BEGUN, messages.TreeEnd(as_agreed=True)])
    assert caught.group_contains(ProtocolError, match="not named")


def test_a_sentence_from_the_machine_holds_nothing_a_terminal_would_obey() -> None:
    begun = messages.decode(encode(messages.Begun("/srv/\x1b[31mx\n", "gpu", "ab", new=False)))
    assert isinstance(begun, messages.Begun)
    assert begun.root == "/srv/\ufffd[31mx\ufffd"


class Refusing:
    """A guard that does not let a path through."""

    def concerns(self, path: str) -> bool:
        return path != "a.py"

    def refusals(
        self, changes: Sequence[Change], contents: Mapping[bytes, bytes]
    ) -> dict[str, str]:
        return {change.path: "ours" for change in changes if change.path == "own.toml"}


def test_what_the_guard_refuses_is_a_problem_and_the_rest_is_taken(replica: Replica) -> None:
    laptop = live_over(replica, guard=Refusing())
    empty = File(digest_of(b""), False, 0)
    tree = messages.TreePart(tuple((name, empty) for name in ("a.py", "other.toml", "own.toml")))
    anyio.run(hear, laptop, [BEGUN, tree, messages.TreeEnd()])
    assert sorted(path.name for path in replica.folder.root.glob("[!.]*")) == ["a.py", "other.toml"]
    assert laptop.problems["laptop", "own.toml"].kind is ProblemKind.UNASKED
