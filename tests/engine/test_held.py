"""A plan that is held is one plan, also where the machine told of it in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import anyio
import pytest

from tests.engine.one_sided import BEGUN, RULES, Mute, Speaking, live_over
from towline.core.entry import File, digest_of
from towline.core.wire.messages import Apply, Message, Observed, TreeEnd, TreePart, decode, encode
from towline.disk.folder import Folder
from towline.disk.observation import Observation
from towline.disk.replica import Replica
from towline.engine import events
from towline.engine.barrier import FlushError
from towline.engine.live import Live
from towline.engine.remote import Lanes

WAIT_S = 15
NAMES = ("a", "b", "c", "d")
CONTENT = b"x\n"


class Emptied:
    """The sync channel of a machine that holds what the laptop does, and is emptied in pieces."""

    def __init__(self, told: Callable[[], None]) -> None:
        file = File(digest_of(CONTENT), False, len(CONTENT))
        self._first: list[Message] = [BEGUN, TreePart(tuple((n, file) for n in NAMES)), TreeEnd()]
        self._next: list[Message] = [Observed(NAMES[:2], ()), Observed(NAMES[2:], ())]
        self._spoken_to = anyio.Event()
        self._in_step = anyio.Event()
        self._told = told
        self.brought_back: set[str] = set()

    def is_in_step(self) -> None:
        self._in_step.set()

    async def send(self, message: bytes) -> None:
        told = decode(message)
        if isinstance(told, Apply):
            self.brought_back |= {change.path for change in told.changes if change.new is not None}
        self._spoken_to.set()
        self._told()

    async def receive(self) -> bytes:
        await (self._spoken_to if self._first else self._in_step).wait()
        if not (rest := self._first or self._next):
            await anyio.sleep_forever()
        return encode(rest.pop(0))


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    for name in NAMES:
        (tmp_path / name).write_bytes(CONTENT)
    return Replica(Folder(tmp_path), RULES, host="laptop")


async def decide(
    replica: Replica, decision: Callable[[Live], None], is_done: Callable[[Emptied], bool]
) -> list[events.Event]:
    """Decide as soon as the plan is held; return what was told by the time it is carried out."""
    held, done, told = anyio.Event(), anyio.Event(), list[events.Event]()

    def look() -> None:
        if is_done(machine):
            done.set()

    machine = Emptied(look)

    def report(event: events.Event) -> None:
        told.append(event)
        if isinstance(event, events.Ready):
            machine.is_in_step()
        if isinstance(event, events.Held):
            held.set()
        look()

    live = live_over(replica, report)
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(live.follow_folder)
            tasks.start_soon(live.run_life, Lanes(machine, Mute()))
            await held.wait()
            decision(live)
            await done.wait()
            tasks.cancel_scope.cancel()
    return told


def test_what_was_deleted_first_is_accepted_as_well(replica: Replica) -> None:
    def is_empty(machine: Emptied) -> bool:
        return not any((replica.folder.root / name).exists() for name in NAMES)

    told = anyio.run(decide, replica, Live.accept, is_empty)
    assert len([event for event in told if isinstance(event, events.Held)]) == 1


def test_what_was_deleted_first_is_refused_as_well(replica: Replica) -> None:
    anyio.run(decide, replica, Live.refuse, lambda machine: machine.brought_back == set(NAMES))
    assert all((replica.folder.root / name).exists() for name in NAMES)


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_project_folder_that_is_moved_deletes_nothing(tmp_path: Path, comes_back: bool) -> None:
    """What is saved in it, wherever it is, must not be taken for all there is."""
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    for name in NAMES:
        (project / name).write_bytes(CONTENT)
    replica = Replica(Folder(project), RULES, host="laptop")
    asked: list[Apply] = []

    async def main() -> None:
        ready, held, looked = anyio.Event(), anyio.Event(), anyio.Event()
        observe = replica.observe

        def report(event: events.Event) -> None:
            if isinstance(event, events.Ready):
                ready.set()
            if isinstance(event, events.Held):
                held.set()

        def note(
            paths: Iterable[str], contents: dict[bytes, bytes] | None = None
        ) -> list[Observation]:
            paths = list(paths)
            observed = observe(paths, contents)
            if "a" in paths:
                looked.set()
            return observed

        file = File(digest_of(CONTENT), False, len(CONTENT))
        told = TreePart(tuple((name, file) for name in NAMES))
        machine = Speaking(BEGUN, told, TreeEnd(), asked=asked.append)
        live = live_over(replica, report)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(live.follow_folder)
            tasks.start_soon(live.run_life, Lanes(machine, Mute()))
            await ready.wait()
            replica.observe = note  # type: ignore[method-assign]
            project.rename(elsewhere)
            await held.wait()
            (elsewhere / "a").write_bytes(b"edited\n")
            await looked.wait()
            if comes_back:
                elsewhere.rename(project)
                await live.flush(WAIT_S)
            else:
                with pytest.raises(FlushError):
                    await live.flush(WAIT_S)
                assert live.held == "the folder on the laptop is not where it was"
            tasks.cancel_scope.cancel()

    anyio.run(main)
    changes = [change for apply in asked for change in apply.changes]
    assert [change.path for change in changes] == (["a"] if comes_back else [])
