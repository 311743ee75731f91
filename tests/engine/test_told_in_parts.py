"""What the machine tells in several messages counts once all of it is there."""

from __future__ import annotations

from pathlib import Path

import anyio

from tests.engine.one_sided import BEGUN, RULES, Mute, live_over
from towline.core.entry import DIRECTORY, File, digest_of
from towline.core.wire.messages import (
    Applied,
    Apply,
    Message,
    Observed,
    TreeEnd,
    TreePart,
    decode,
    encode,
)
from towline.disk.folder import Folder
from towline.disk.replica import Replica
from towline.engine import events
from towline.engine.remote import Lanes

WAIT_S = 15
CONTENT = b"x\n"
OLD = File(digest_of(CONTENT), False, len(CONTENT))
FIRST = Observed(("d",), (("d", DIRECTORY),), more=True)
LAST = Observed((), (("d/old", OLD),))


class Telling:
    """The sync channel of a machine that answers, and says the rest when it is told to."""

    def __init__(self) -> None:
        tree = TreePart((("d", DIRECTORY), ("d/old", OLD)))
        self._says: list[Message] = [BEGUN, tree, TreeEnd(), FIRST]
        self._more = anyio.Event()

    def say(self, message: Message) -> None:
        self._says.append(message)
        self._more.set()

    async def send(self, message: bytes) -> None:
        told = decode(message)
        if isinstance(told, Apply):
            self.say(Applied(told.group, (), len(told.changes)))
        self._more.set()

    async def receive(self) -> bytes:
        await self._more.wait()
        while not self._says:
            self._more = anyio.Event()
            await self._more.wait()
        return encode(self._says.pop(0))


async def hear(replica: Replica) -> None:
    written, received, machine = anyio.Event(), anyio.Event(), Telling()

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
