"""What cannot be synced: it holds no less than before, and trouble ends with what it is in."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.engine.one_sided import BEGUN, RULES, Mute, Speaking, live_over
from towline.core.entry import DIRECTORY, Directory, File, Unsynced, digest_of
from towline.core.problem import ProblemKind
from towline.core.wire.messages import Apply, Observed, TreeEnd, TreePart
from towline.disk.folder import Folder
from towline.disk.follow import News
from towline.disk.observation import Observation
from towline.disk.replica import Replica
from towline.engine import events
from towline.engine.remote import Lanes

WAIT_S = 15
CONTENT = b"x\n"
OLD = File(digest_of(CONTENT), False, len(CONTENT))
UNREADABLE = Unsynced(ProblemKind.UNREADABLE, "Permission denied")


async def save_as_it_closes(replica: Replica) -> None:
    """On the machine `d` becomes unreadable as a file for it arrives."""
    written = anyio.Event()

    def report(event: events.Event) -> None:
        if isinstance(event, events.Ready):
            (replica.folder.root / "d/new").write_bytes(CONTENT)
        if isinstance(event, events.Revision):
            written.set()

    def close(_: Apply) -> None:
        machine.say(Observed(("d",), (("d", UNREADABLE),)))

    tree = TreePart((("d", DIRECTORY), ("d/old", OLD)))
    machine = Speaking(BEGUN, tree, TreeEnd(), asked=close)
    live = live_over(replica, report)
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(live.follow_folder)
            tasks.start_soon(live.run_life, Lanes(machine, Mute()))
            await written.wait()
            assert live.trees.ancestor.get("d/new") == live.trees.local.get("d/new")
            assert live.trees.remote.get("d") == UNREADABLE
            assert list(live.trees.steps([""])) == [], "nothing was deleted there"
            tasks.cancel_scope.cancel()


def test_what_arrived_in_it_does_not_say_that_the_rest_is_gone(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/old").write_bytes(CONTENT)
    anyio.run(save_as_it_closes, Replica(Folder(tmp_path), RULES, host="laptop"))


async def trouble_in(replica: Replica, later: File | None) -> None:
    live = live_over(replica)
    live._absorb(News([Observation("d", Directory({"x": UNREADABLE}))]))
    assert live.problems.keys() == {("laptop", "d/x")}
    live._absorb(News([Observation("d", later)]))
    assert not live.problems


@pytest.mark.parametrize("later", [None, OLD], ids=["nothing", "a file"])
def test_trouble_on_the_laptop_ends_with_the_directory_it_is_in(
    tmp_path: Path, later: File | None
) -> None:
    anyio.run(trouble_in, Replica(Folder(tmp_path), RULES, host="laptop"), later)
