"""A checkpoint is no file for anybody else before it was closed, or left alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from towline.core.checkpoint import Checkpoints
from towline.core.entry import Entry, File, Unsynced, digest_of
from towline.core.gather import Gather
from towline.core.ignore import Rules
from towline.core.problem import ProblemKind
from towline.core.steps import run_to_end
from towline.disk.folder import Folder
from towline.disk.follow import Follower
from towline.disk.look import UNSETTLED
from towline.disk.own import ensure_own_directory
from towline.disk.replica import Replica
from towline.disk.settle import Settling
from towline.disk.watch import open_watch

SECOND = 1_000_000_000
SETTLE_S = 2.0
LARGE = b"x" * (3 << 20)


class Clock:
    """Wall time for the replica, seconds for the follower: one clock that a test moves."""

    def __init__(self) -> None:
        self.now_ns = 2_000_000_000 * SECOND

    def __call__(self) -> int:
        return self.now_ns

    @property
    def now(self) -> float:
        return self.now_ns / SECOND


class Side:
    """A followed folder, as on the machine."""

    def __init__(self, root: Path, *, settles: bool = True) -> None:
        ensure_own_directory(root)
        self.root = root
        self.clock = Clock()
        rules = Rules([], checkpoints=Checkpoints(["*.pt"], [], SETTLE_S))
        self.replica = Replica(Folder(root), rules, host="box", settles=settles, now_ns=self.clock)
        self.watch = open_watch(root, lambda _: False)
        self.follower = Follower(self.replica, self.watch, Gather(), is_watching=False)
        for _ in self.follower.scan_steps():
            pass

    def look(self, after_s: float = 0.2) -> dict[str, Entry | None]:
        """Let time pass, and all be read; return what was told."""
        told: dict[str, Entry | None] = {}
        self.clock.now_ns += round(after_s * SECOND)
        for _ in range(60):
            news = self.follower.step(self.clock.now)
            told.update((at.path, at.entry) for at in news.observations)
            if self.replica.reading.delay_s() is None:
                self.clock.now_ns += SECOND // 200
        return told

    def stamp(self, name: str) -> None:
        """Give the file the time of our clock, as the kernel would."""
        os.utime(self.root / name, ns=(self.clock.now_ns, self.clock.now_ns))


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Side]:
    side = Side(tmp_path)
    yield side
    side.watch.close()


def entry_of(content: bytes) -> File:
    return File(digest_of(content), False, len(content))


@pytest.mark.parametrize("content", [b"small", LARGE])
def test_what_is_being_written_is_no_file_until_it_is_closed(side: Side, content: bytes) -> None:
    with (side.root / "a.pt").open("wb") as file:
        file.write(content)
        file.flush()
        side.stamp("a.pt")
        assert side.look() == {"a.pt": UNSETTLED}
        side.stamp("a.pt")
        assert side.look() == {}
        side.stamp("a.pt")
    side.watch.read()  # What the stamps told.
    (side.root / "a.pt").open("ab").close()
    assert side.look()["a.pt"] == entry_of(content)


def test_what_is_never_closed_is_settled_when_it_is_quiet(side: Side) -> None:
    with (side.root / "a.pt").open("wb") as file:
        file.write(b"a part")
        file.flush()
        side.stamp("a.pt")
        assert side.look() == {"a.pt": UNSETTLED}
        assert side.look(SETTLE_S + 1)["a.pt"] == entry_of(b"a part")


@pytest.mark.parametrize("ahead_s", [-300, 300])
def test_files_that_are_dated_by_another_clock_are_settled_when_they_are_quiet(
    side: Side, ahead_s: int
) -> None:
    """As on a network file system, whose server's clock it is; some date no write at all."""

    def write(content: bytes) -> None:
        file.write(content)
        file.flush()
        dated_ns = side.clock.now_ns + ahead_s * SECOND
        os.utime(side.root / "a.pt", ns=(dated_ns, dated_ns))

    with (side.root / "a.pt").open("wb") as file:
        write(b"a part")
        assert side.look() == {"a.pt": UNSETTLED}
        write(b", more")
        assert side.look(SETTLE_S - 0.5) == {}
        write(b", and the rest")
        assert side.look(SETTLE_S - 0.5) == {}
        assert side.look(SETTLE_S + 1)["a.pt"] == entry_of(b"a part, more, and the rest")


def test_a_name_given_to_a_whole_file_settles_it(side: Side) -> None:
    (side.root / "a.writing").write_bytes(LARGE)
    (side.root / "a.writing").rename(side.root / "a.pt")
    side.stamp("a.pt")
    assert side.look()["a.pt"] == entry_of(LARGE)


def test_a_scan_takes_no_half_file_for_a_whole_one(side: Side) -> None:
    with (side.root / "a.pt").open("wb") as file:
        file.write(b"a part")
        file.flush()
        side.stamp("a.pt")
        side.watch.read()
        side.replica.scan()
        assert side.replica.tree.get("a.pt") == Unsynced(ProblemKind.UNSETTLED)
        assert side.look(SETTLE_S + 1)["a.pt"] == entry_of(b"a part")


def test_a_checkpoint_rewritten_in_place_is_unsettled_again(side: Side) -> None:
    (side.root / "a.pt").write_bytes(LARGE)
    side.stamp("a.pt")
    assert side.look()["a.pt"] == entry_of(LARGE)
    with (side.root / "a.pt").open("r+b") as file:
        file.write(b"new")
        file.flush()
        side.stamp("a.pt")
        assert side.look()["a.pt"] == UNSETTLED


def test_a_checkpoint_that_is_gone_is_not_waited_for(side: Side) -> None:
    with (side.root / "a.pt").open("wb") as file:
        file.write(b"a part")
        file.flush()
        side.stamp("a.pt")
        assert side.look() == {"a.pt": UNSETTLED}
    (side.root / "a.pt").unlink()
    assert side.look(SETTLE_S + 1) == {"a.pt": None}
    assert side.replica.settle_delay_s() is None


def test_on_the_laptop_a_checkpoint_is_a_file_like_any_other(tmp_path: Path) -> None:
    side = Side(tmp_path, settles=False)
    with side.watch, (side.root / "a.pt").open("wb") as file:
        file.write(b"a part")
        file.flush()
        assert side.look()["a.pt"] == entry_of(b"a part")


def test_how_long_until_something_may_have_settled(tmp_path: Path) -> None:
    settling = Settling(Folder(tmp_path))
    settling.checkpoints = Checkpoints(["*.pt"], [], SETTLE_S)
    assert settling.delay_s(0) is None
    (tmp_path / "a.pt").write_bytes(b"")
    status = (tmp_path / "a.pt").lstat()
    now_ns = status.st_mtime_ns + SECOND
    assert not settling.is_settled("a.pt", status, now_ns)
    assert settling.delay_s(now_ns) == SETTLE_S - 1
    assert settling.due(now_ns) == []
    assert settling.due(now_ns + SECOND) == ["a.pt"]
    assert settling.is_settled("a.pt", status, now_ns + SECOND)
    assert settling.is_settled("b.txt", status, now_ns)


def test_one_that_has_settled_when_an_earlier_version_is_asked_for_is_told_all_the_same(
    side: Side,
) -> None:
    with (side.root / "a.pt").open("wb") as file:
        file.write(b"weights\n")
        file.flush()
        side.stamp("a.pt")
        assert side.look()["a.pt"] == UNSETTLED
        side.clock.now_ns += round(SETTLE_S * SECOND)
        assert (
            run_to_end(side.replica.outgoing.part_steps("a.pt", entry_of(b"before\n"), 0, 7))
            is None
        )
        assert side.look() == {"a.pt": entry_of(b"weights\n")}
