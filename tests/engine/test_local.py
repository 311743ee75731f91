"""What is read, looked at and handed on from the project folder, and in how many visits."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
import trio
from trio.testing import MockClock

from tests.disk.world import RULES, WatchedFolder, file_of
from tests.engine.one_sided import at_once
from towline.core.digest import BLOCK, digest_of
from towline.core.gather import Gather
from towline.disk import replica as replica_module
from towline.disk.follow import Follower, News
from towline.disk.replica import Replica
from towline.disk.watch import open_watch
from towline.engine.local import SCANNED_S, Local

CONTENTS = {"a": b"some", "d/b": b"more", "d/c": b"other"}
WANTED = [(path, file_of(content)) for path, content in CONTENTS.items()]


class Laptop:
    """A project folder, as its engine sees it. It waits for news for ever; `told` are those met."""

    def __init__(self, root: Path) -> None:
        (root / "d").mkdir(parents=True)
        for path, content in CONTENTS.items():
            (root / path).write_bytes(content)
        self.folder = WatchedFolder(root)
        watch = open_watch(root, lambda _: False)
        watch.start()
        follower = Follower(Replica(self.folder, RULES, host="laptop"), watch, Gather())
        self.told: list[News] = []
        self.local = Local(
            follower, self.told.append, run=at_once, readable=lambda _: anyio.sleep_forever()
        )

    async def opened_by_reading(self) -> int:
        """Read all that is wanted, which must be there; return how many files were opened."""
        before = self.folder.calls.count("open")
        assert await self.local.read(WANTED) == list(CONTENTS.values())
        return self.folder.calls.count("open") - before


@pytest.mark.anyio
async def test_what_the_first_scan_read_is_sent_without_another_look(tmp_path: Path) -> None:
    laptop = Laptop(tmp_path / "project")
    await laptop.local.scan()
    assert await laptop.opened_by_reading() == 0
    assert await laptop.opened_by_reading() == len(CONTENTS)  # It was given away.


@pytest.mark.anyio
async def test_what_was_saved_since_follows_and_does_not_take_its_place(tmp_path: Path) -> None:
    laptop = Laptop(tmp_path / "project")
    await laptop.local.scan()
    (tmp_path / "project/a").write_bytes(b"an edit")
    assert await laptop.opened_by_reading() == 0
    assert await laptop.local.read([("a", file_of(b"an edit"))]) == [b"an edit"]
    assert await laptop.local.read([("a", file_of(b"some"))]) == [None]


@pytest.mark.anyio
async def test_what_there_was_no_room_for_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "SCANNED_MAX", len(b"some"))
    laptop = Laptop(tmp_path / "project")
    await laptop.local.scan()
    assert await laptop.opened_by_reading() == len(CONTENTS) - 1


@pytest.mark.anyio
async def test_a_later_scan_keeps_nothing(tmp_path: Path) -> None:
    laptop = Laptop(tmp_path / "project")
    await laptop.local.scan()
    await laptop.local.scan()
    assert await laptop.opened_by_reading() == len(CONTENTS)


@pytest.mark.anyio
async def test_nothing_is_kept_once_all_is_sent(tmp_path: Path) -> None:
    laptop = Laptop(tmp_path / "project")
    await laptop.local.scan()
    laptop.local.let_go()
    assert await laptop.opened_by_reading() == len(CONTENTS)


def test_nothing_is_kept_for_long(tmp_path: Path) -> None:
    async def main() -> None:
        laptop = Laptop(tmp_path / "project")
        await laptop.local.scan()
        with anyio.move_on_after(SCANNED_S + 1):
            await laptop.local.follow()
        assert await laptop.opened_by_reading() == len(CONTENTS)

    trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.anyio
async def test_a_directory_renamed_is_heard_of_and_looked_at_in_one_visit(tmp_path: Path) -> None:
    laptop = Laptop(tmp_path / "project")
    if laptop.local.watching:
        pytest.skip("only notification tells that it is one rename")
    await laptop.local.scan()
    await laptop.local._look()  # At what the watch tells of its own beginning.
    (tmp_path / "project/d").rename(tmp_path / "project/e")
    await laptop.local._look()
    (_, news) = laptop.told
    assert {observation.path for observation in news.observations} == {"d", "e"}


@pytest.mark.anyio
async def test_more_than_a_content_has_is_not_gone_on_with(tmp_path: Path) -> None:
    """A draft of a file that became shorter: its start is not what it seemed."""
    local, content = Laptop(tmp_path / "project").local, bytes(3 * BLOCK)
    digest, size = digest_of(content), len(content)
    assert await local.stage(digest, 0, bytes(2 * size), 2 * size + 1)
    assert not await local.stage(digest, BLOCK, content[BLOCK:], size)
    assert await local.stage(digest, 0, content, size)
    assert await local.staged(digest) == size
