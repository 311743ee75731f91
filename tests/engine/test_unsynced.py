"""A directory of the machine that cannot be read any more holds no less than before."""

from __future__ import annotations

from pathlib import Path

import anyio

from tests.engine.one_sided import BEGUN, RULES, Mute, live_over
from towline.core.entry import DIRECTORY, Entry, File, Unsynced, digest_of
from towline.core.problem import ProblemKind
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
UNREADABLE = Unsynced(ProblemKind.UNREADABLE, "Permission denied")


class Closing:
    """The sync channel of a machine on which `d` becomes unreadable as a file for it arrives."""

    def __init__(self) -> None:
        known = File(digest_of(CONTENT), False, len(CONTENT))
        self._says: list[Message] = [BEGUN, tree_of({"d": DIRECTORY, "d/old": known}), TreeEnd()]
        self._spoken_to = anyio.Event()

    async def send(self, message: bytes) -> None:
        told = decode(message)
        if isinstance(told, Apply):
            self._says.append(Observed(("d",), (("d", UNREADABLE),)))
            self._says.append(Applied(told.group, (), len(told.changes)))
        self._spoken_to.set()

    async def receive(self) -> bytes:
        while not self._says:
            self._spoken_to = anyio.Event()
            await self._spoken_to.wait()
        await self._spoken_to.wait()
        return encode(self._says.pop(0))


def tree_of(rows: dict[str, Entry]) -> TreePart:
    return TreePart(tuple(rows.items()))


async def save_as_it_closes(replica: Replica) -> None:
    written = anyio.Event()

    def report(event: events.Event) -> None:
        if isinstance(event, events.Ready):
            (replica.folder.root / "d/new").write_bytes(CONTENT)
        if isinstance(event, events.Revision):
            written.set()

    live = live_over(replica, report)
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(live.follow_folder)
            tasks.start_soon(live.run_life, Lanes(Closing(), Mute()))
            await written.wait()
            assert live.trees.ancestor.get("d/new") == live.trees.local.get("d/new")
            assert live.trees.remote.get("d") == UNREADABLE
            assert list(live.trees.steps([""])) == [], "nothing was deleted there"
            tasks.cancel_scope.cancel()


def test_what_arrived_in_it_does_not_say_that_the_rest_is_gone(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/old").write_bytes(CONTENT)
    anyio.run(save_as_it_closes, Replica(Folder(tmp_path), RULES, host="laptop"))
