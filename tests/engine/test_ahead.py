"""What the machine sends unasked is kept if it may be wanted, within bounds, and dropped if not."""

from __future__ import annotations

from typing import Any, cast

import pytest

from towline.core.entry import Directory, File
from towline.core.tree import Tree
from towline.core.wire.messages import AHEAD_MAX, Adopt, Ahead, Part
from towline.engine.ahead import Vanguard

SIZE = 1 << 20
DRAFT, OTHER, DIGEST = b"d" * 16, b"o" * 16, b"x" * 16
pytestmark = pytest.mark.anyio


class Disk:
    """What is staged, by name."""

    def __init__(self) -> None:
        self.staged: dict[bytes, bytes] = {}

    async def stage(self, digest: bytes, offset: int, data: bytes, _size: int) -> bool:
        self.staged[digest] = self.staged.get(digest, b"")[:offset] + data
        return True

    async def adopt(self, draft: bytes, digest: bytes, size: int) -> None:
        content = self.staged.pop(draft)
        if size:
            self.staged[digest] = content[:size]

    async def drop_staged(self, digest: bytes) -> None:
        self.staged.pop(digest, None)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def vanguard(disk: Disk) -> Vanguard:
    return Vanguard(cast(Any, disk), lambda path: path.endswith(".pt"))


async def test_a_draft_becomes_the_start_of_what_it_is(disk: Disk, vanguard: Vanguard) -> None:
    await vanguard.take(Ahead("a.pt", DRAFT, 0, b"one "))
    await vanguard.take(Ahead("a.pt", DRAFT, 4, b"two "))
    assert not vanguard.goes_on(Part(DIGEST, SIZE, 8, b"three"))
    await vanguard.adopt(Adopt(DRAFT, DIGEST, 8))
    assert disk.staged == {DIGEST: b"one two "}
    assert vanguard.goes_on(Part(DIGEST, SIZE, 8, b"three"))
    assert not vanguard.goes_on(Part(OTHER, SIZE, 8, b"three"))
    assert not vanguard.goes_on(Part(DIGEST, 20, 8, b"three")), "small ones are held in memory"
    assert not vanguard.goes_on(Part(DIGEST, 2 * AHEAD_MAX, AHEAD_MAX - 1, b"three"))


async def test_what_is_not_to_come_here_is_not_kept(disk: Disk, vanguard: Vanguard) -> None:
    await vanguard.take(Ahead("secret", DRAFT, 0, b"one"))
    await vanguard.adopt(Adopt(DRAFT, DIGEST, 3))
    assert disk.staged == {}
    assert not vanguard.goes_on(Part(DIGEST, SIZE, 3, b"two"))


async def test_a_draft_that_came_to_nothing_is_dropped(disk: Disk, vanguard: Vanguard) -> None:
    await vanguard.take(Ahead("a.pt", DRAFT, 0, b"one"))
    vanguard.begin_life()
    await vanguard.take(Ahead("b.pt", OTHER, 0, b"two"))
    assert disk.staged == {OTHER: b"two"}
    await vanguard.adopt(Adopt(OTHER, OTHER, 0))
    assert disk.staged == {}


async def test_what_is_gone_there_is_dropped_unless_somebody_waits(
    disk: Disk, vanguard: Vanguard
) -> None:
    tree = Tree(Directory({"a.pt": File(DIGEST, False, 8)}))
    await vanguard.take(Ahead("a.pt", DRAFT, 0, b"one two "))
    await vanguard.adopt(Adopt(DRAFT, DIGEST, 8))
    await vanguard.look(tree, set)
    assert disk.staged == {DIGEST: b"one two "}
    tree.put("a.pt", None)
    await vanguard.look(tree, lambda: {DIGEST})
    assert disk.staged == {DIGEST: b"one two "}
    await vanguard.look(tree, set)
    assert disk.staged == {}


async def test_of_what_the_machine_has_no_more_nothing_is_kept(
    disk: Disk, vanguard: Vanguard
) -> None:
    await vanguard.take(Ahead("a.pt", DRAFT, 0, b"one two "))
    await vanguard.adopt(Adopt(DRAFT, DIGEST, 8))
    vanguard.give_up(OTHER)
    assert vanguard.goes_on(Part(DIGEST, SIZE, 8, b"three"))
    vanguard.give_up(DIGEST)
    assert not vanguard.goes_on(Part(DIGEST, SIZE, 8, b"three"))
