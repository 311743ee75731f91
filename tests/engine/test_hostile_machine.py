"""What a machine tells is believed only where the laptop syncs, and only within bounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from towline.core.change import Change, Outcome
from towline.core.direction import Direction
from towline.core.entry import DIRECTORY, File, digest_of
from towline.core.gather import Gather
from towline.core.ignore import DEFAULT_SOURCE, Rules, Source, SourceKind
from towline.core.wire import messages
from towline.core.wire.frames import ProtocolError
from towline.core.wire.messages import Message, encode
from towline.disk.folder import Folder as DiskFolder
from towline.disk.follow import Follower, News
from towline.disk.replica import Replica
from towline.disk.watch import open_watch
from towline.engine import events, trees
from towline.engine.ancestor import Store
from towline.engine.folder import Folder
from towline.engine.live import Live
from towline.engine.local import Local
from towline.engine.remote import Lanes

EVIL = b"#!/bin/sh\necho evil\n"
HOOK = File(digest_of(EVIL), True, len(EVIL))
RULES = Rules([DEFAULT_SOURCE, Source(SourceKind.GIT_IGNORE, "", ".gitignore", ("*.log",))])


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
    return Replica(DiskFolder(tmp_path / "root"), RULES, host="laptop")


def live_over(replica: Replica, reported: list[events.Event]) -> Live:
    watch = open_watch(replica.folder.root, lambda path: RULES.ignores(path, True))
    watch.start()

    def make_local(absorb: Callable[[News], None]) -> Local:
        return Local(Follower(replica, watch, Gather()), absorb)

    async def read_rules() -> Rules:
        return RULES

    return Live(
        Folder(0, "~/x", "laptop", "life", lambda _: Direction.BOTH, lambda: False),
        make_local,
        Store(":memory:"),
        read_rules=read_rules,
        is_rule_file=lambda _: False,
        report=reported.append,
    )


async def hear(machine: Live, said: list[Message]) -> None:
    """Run a life in which the machine says just this; end it when all is quiet."""
    with anyio.move_on_after(1.0):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(machine.follow_folder)
            tasks.start_soon(machine.run_life, Lanes(Silent(said), Silent([])))


BEGUN = messages.Begun("/srv/x", "gpu", "ab" * 16, new=True)


def test_what_the_laptop_does_not_sync_is_not_taken_from_the_machine(replica: Replica) -> None:
    machine = live_over(replica, [])
    rows = ((".git", DIRECTORY), (".git/hooks", DIRECTORY), (".git/hooks/evil", HOOK))
    tree = messages.TreePart((*rows, ("x.log", HOOK), ("kept.py", HOOK)))
    anyio.run(hear, machine, [BEGUN, tree, messages.TreeEnd()])
    assert sorted(path for path, _ in machine.trees.remote.walk()) == ["kept.py"]


def test_an_observation_of_what_is_not_synced_is_dropped_too(replica: Replica) -> None:
    machine = live_over(replica, [])
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
        anyio.run(hear, live_over(replica, []), [BEGUN, tree, messages.TreeEnd()])
    assert caught.group_contains(ProtocolError, match="more than 10 entries")


def test_a_sentence_from_the_machine_holds_nothing_a_terminal_would_obey() -> None:
    begun = messages.decode(encode(messages.Begun("/srv/\x1b[31mx\n", "gpu", "ab", new=False)))
    assert isinstance(begun, messages.Begun)
    assert begun.root == "/srv/\ufffd[31mx\ufffd"
