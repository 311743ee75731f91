"""A draft becomes the new version, whatever was done to the file; else nothing of it is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from tests.disk.test_large import settled_now
from tests.disk.world import replica_of
from towline.core.delta import Stretch
from towline.core.digest import BLOCK, digest_of
from towline.core.wire.messages import Adopt, Copy, Message, Part
from towline.disk.look import PIECE
from towline.disk.reading import PIECES
from towline.disk.versions import Basis
from towline.engine import draft
from towline.engine.draft import TAIL_STEP, Drafts

PATH = "model.bin"
STEP = PIECES * PIECE
OLD = os.urandom(2 * STEP)
NEW = os.urandom(3 * BLOCK)
pytestmark = pytest.mark.anyio


class Machine:
    """What is staged there."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        (root / PATH).write_bytes(OLD)
        self.replica = replica_of(root, now_ns=settled_now)
        self.sent = 0  # Bytes of content.
        self.heard: list[type[Message]] = []

    async def send(self, message: Message) -> None:
        await self.send_bulk(message)

    async def send_bulk(self, message: Message) -> None:
        stage, versions = self.replica.stage, self.replica.versions
        self.heard.append(type(message))
        match message:
            case Part(digest, size, offset, data):
                self.sent += len(data)
                if offset <= stage.held(digest):
                    stage.write(digest, offset, data, size)
            case Copy(digest, size, offset, length, path, basis, source):
                stretch = Stretch(offset, length, source)
                versions.stage_copy(digest, size, Basis(path, basis), stretch)
            case Adopt(draft, digest, size):
                stage.rename(draft, digest, size)
            case _:
                raise AssertionError(message)


class World:
    """A laptop that reads its file, and a machine that has the version before."""

    def __init__(self, base: Path) -> None:
        base.mkdir(exist_ok=True)
        (base / "laptop").mkdir()
        self.file = base / "laptop" / PATH
        self.file.write_bytes(OLD)
        self.laptop = replica_of(base / "laptop", now_ns=settled_now)
        self.machine = Machine(base / "machine")
        self.drafts = Drafts(lambda path, basis: basis == digest_of(OLD), self._read)
        self._remote = cast(Any, self.machine)

    async def _read(self, path: str, offset: int, size: int) -> bytes:
        return self.laptop.outgoing.read_unread(path, offset, size)

    async def read(self, *, steps: int = 1 << 30) -> None:
        """Read so many steps of what has changed; let the draft follow each time."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.drafts.run, self._remote)
            while steps and self.laptop.reading.delay_s() is not None:
                progress = self.laptop.read_on()[1]
                if progress is not None:
                    self.drafts.note(progress)
                await anyio.wait_all_tasks_blocked()
                steps -= 1
            tasks.cancel_scope.cancel()

    async def change(self, content: bytes, *, steps: int = 1 << 30) -> None:
        self.file.write_bytes(content)
        self.laptop.observe([PATH])
        await self.read(steps=steps)

    async def settle(self, content: bytes) -> int:
        """Return how much is there of the content; nothing else may be."""
        held = await self.drafts.settle(self._remote, PATH, digest_of(content))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.drafts.run, self._remote)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        stage = self.machine.replica.stage
        assert stage.partials() == ({digest_of(content): held} if held else {})
        assert held < len(content) or stage.is_whole(digest_of(content), len(content))
        return held


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "both")
    yield world
    for replica in (world.laptop, world.machine.replica):
        replica.folder.close()


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@pytest.mark.parametrize(
    ("content", "held", "sent"),
    [
        pytest.param(OLD + NEW, -1, len(NEW), id="appended"),
        pytest.param(OLD + NEW[:-7], -1, len(NEW) - 7, id="appended, not a whole block"),
        pytest.param(OLD[:STEP] + NEW + OLD[STEP:], -1, len(NEW), id="inserted, whole blocks"),
        pytest.param(OLD[: STEP + 5] + b"x" + OLD[STEP + 6 :], -1, BLOCK, id="in place"),
        pytest.param(
            b"x" + OLD[1:] + NEW[:-7], -1, BLOCK + len(NEW) - 7, id="in place and appended"
        ),
        pytest.param(OLD[STEP:], -1, 0, id="cut off at the start"),
        pytest.param(OLD[:STEP] + b"x" + OLD[STEP:], STEP, 0, id="moved by less than a block"),
        pytest.param(os.urandom(len(OLD)), -1, len(OLD), id="all of it new"),
    ],
)
async def test_it_is_there_when_the_file_is_read(
    world: World, content: bytes, held: int, sent: int
) -> None:
    await world.change(content)
    assert await world.settle(content) == (len(content) if held < 0 else held)
    assert world.machine.sent == sent


async def test_what_was_appended_goes_beside_the_copies_of_what_is_read(world: World) -> None:
    await world.change(OLD + NEW, steps=1)
    assert world.machine.heard == [Adopt, Adopt, Copy, Part]  # It holds up no copy.
    assert set(world.machine.replica.stage.partials().values()) == {STEP, TAIL_STEP}
    await world.read()
    assert world.machine.sent == len(NEW)


async def test_what_was_appended_is_not_copied_before_all_of_it_is_there(world: World) -> None:
    appended = os.urandom(3 * TAIL_STEP)
    await world.change(OLD + appended)  # Read in two steps: a part of it may have gone.
    assert world.machine.sent == 2 * TAIL_STEP
    assert len(OLD) in world.machine.replica.stage.partials().values()
    assert await world.settle(OLD + appended) == len(OLD + appended)
    assert world.machine.sent == len(appended)


async def test_not_more_is_sent_than_may_be_in_vain(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draft, "SENT_MAX", STEP)
    content = os.urandom(len(OLD))
    await world.change(content)
    assert await world.settle(content) == STEP == world.machine.sent


async def test_one_that_changes_meanwhile_is_begun_anew(world: World) -> None:
    await world.change(NEW + OLD, steps=1)
    later = OLD + NEW
    await world.change(later)
    assert await world.settle(later) == len(later)


async def test_another_content_is_not_begun_with_it(world: World) -> None:
    await world.change(OLD + NEW)
    assert await world.settle(NEW + OLD) == 0


async def test_a_file_that_is_as_it_was_leaves_nothing(world: World) -> None:
    await world.change(OLD)
    assert await world.settle(OLD) == 0


async def test_what_an_earlier_life_left_is_not_gone_on_with(world: World) -> None:
    await world.change(OLD + NEW, steps=1)
    world.drafts.begin_life()
    await world.read()
    assert await world.settle(OLD + NEW) == len(OLD + NEW)
