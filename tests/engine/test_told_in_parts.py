"""What the machine tells in several messages counts once all of it is there."""

from __future__ import annotations

from pathlib import Path

import anyio

from tests.engine.one_sided import BEGUN, RULES, Mute, Speaking, live_over
from towline.core.entry import DIRECTORY, File, digest_of
from towline.core.wire.messages import Observed, TreeEnd, TreePart
from towline.disk.folder import Folder
from towline.disk.replica import Replica
from towline.engine import events
from towline.engine.remote import Lanes

WAIT_S = 15
CONTENT = b"x\n"
OLD = File(digest_of(CONTENT), False, len(CONTENT))
FIRST = Observed(("d",), (("d", DIRECTORY),), more=True)
LAST = Observed((), (("d/old", OLD),))
TREE = TreePart((("d", DIRECTORY), ("d/old", OLD)))


async def hear(replica: Replica) -> None:
    written, received = anyio.Event(), anyio.Event()
    machine = Speaking(BEGUN, TREE, TreeEnd(), FIRST)

    def report(event: events.Event) -> None:
        if isinstance(event, events.Ready):
            (replica.folder.root / "new").write_bytes(CONTENT)
        if isinstance(event, events.Revision):
            written.set()
        if isinstance(event, events.Received):
            received.set()

    live = live_over(replica, report)
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(live.follow_folder)
            tasks.start_soon(live.run_life, Lanes(machine, Mute()))
            await written.wait()
            assert live.trees.remote.get("d/old") == OLD, "it is not told yet that it is gone"
            assert list(live.trees.steps([""])) == []
            machine.say(LAST)
            machine.say(Observed(("d/old",), ()))
            await received.wait()
            assert not (replica.folder.root / "d/old").exists()
            tasks.cancel_scope.cancel()


def test_a_directory_told_in_part_has_lost_nothing(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/old").write_bytes(CONTENT)
    anyio.run(hear, Replica(Folder(tmp_path), RULES, host="laptop"))
