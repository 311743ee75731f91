"""The laptop's half of a workspace, real and alone: what the machine says is the test's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio

from towline.core.checkpoint import Checkpoints
from towline.core.direction import Direction
from towline.core.gather import Gather
from towline.core.ignore import DEFAULT_SOURCE, NO_CHECKPOINTS, Rules, Source, SourceKind
from towline.core.wire.messages import Applied, Apply, Begun, Message, decode, encode
from towline.disk.follow import Follower, News
from towline.disk.replica import Replica
from towline.disk.watch import open_watch
from towline.engine import events
from towline.engine.ancestor import Store
from towline.engine.folder import Folder, Guard
from towline.engine.live import Live
from towline.engine.local import Local
from towline.engine.remote import Channel, Lanes

BEGUN = Begun("/srv/x", "gpu", "ab" * 16, new=True)
RULES = Rules([DEFAULT_SOURCE, Source(SourceKind.GIT_IGNORE, "", ".gitignore", ("*.log",))])

T = TypeVar("T")


class Mute:
    """A channel on which the machine never says anything."""

    async def send(self, message: bytes) -> None:
        pass

    async def receive(self) -> bytes:
        await anyio.sleep_forever()
        raise AssertionError


class Speaking:
    """The sync channel of a machine: once spoken to it says these, then what it is told to say.

    It carries out whatever it is asked to; `asked` is called with that first.
    """

    def __init__(self, *says: Message, asked: Callable[[Apply], None] = lambda _: None) -> None:
        self._says = list(says)
        self._asked = asked
        self._stirred = anyio.Event()

    def say(self, message: Message) -> None:
        self._says.append(message)
        self._stirred.set()

    async def send(self, message: bytes) -> None:
        told = decode(message)
        if isinstance(told, Apply):
            self._asked(told)
            self.say(Applied(told.group, len(told.changes), ()))
        self._stirred.set()

    async def receive(self) -> bytes:
        await self._stirred.wait()
        while not self._says:
            self._stirred = anyio.Event()
            await self._stirred.wait()
        return encode(self._says.pop(0))


async def at_once(work: Callable[[], T], /) -> T:
    """Do what blocks in the loop: then it is plain when nothing happens any more."""
    return work()


async def run_until_quiet(live: Live, sync: Channel, bulk: Channel) -> None:
    """Run a life of a folder until everything waits. Raises what ended it."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(live.follow_folder)
        tasks.start_soon(live.run_life, Lanes(sync, bulk))
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()


def live_over(
    replica: Replica,
    report: Callable[[events.Event], None] = lambda event: None,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
    guard: Guard | None = None,
) -> Live:
    watch = open_watch(replica.folder.root, lambda path: RULES.ignores(path, True))
    watch.start()

    def make_local(absorb: Callable[[News], None]) -> Local:
        return Local(Follower(replica, watch, Gather()), absorb, run=at_once)

    async def read_rules() -> Rules:
        return RULES

    return Live(
        Folder(
            0,
            "~/x",
            "laptop",
            "life",
            lambda _: Direction.BOTH,
            lambda: False,
            checkpoints=checkpoints,
            guard=guard,
        ),
        make_local,
        Store(":memory:"),
        read_rules=read_rules,
        is_rule_file=lambda _: False,
        report=report,
    )
