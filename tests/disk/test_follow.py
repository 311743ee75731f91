"""A follower tells what the watch noticed, and in time also what it did not."""

from __future__ import annotations

import mmap
import os
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disk.mounts import needs_mount, small_disk_at
from tests.disk.world import contents_of, file_of
from towline.core.change import Change, Outcome
from towline.core.entry import File, Unsynced, digest_of
from towline.core.gather import Gather
from towline.core.ignore import Rules
from towline.core.problem import ProblemKind
from towline.disk.folder import Folder
from towline.disk.follow import (
    AHEAD_MIN,
    AHEAD_SIZE,
    RETRY_INTERVAL_S,
    SETTLE_MAX_S,
    VERIFY_INTERVAL_S,
    Follower,
)
from towline.disk.look import SMALL_MAX
from towline.disk.observation import Observation
from towline.disk.own import ensure_own_directory
from towline.disk.replica import Replica
from towline.disk.retired import REVIEW_FIRST_S
from towline.disk.signatures import LARGE
from towline.disk.watch import open_watch
from towline.disk.watch.base import NOTHING, Mode, ModeKind, Seen, Statistics, Watch

INTERVAL_S = 100.0


class Deaf(Watch):
    """A watch that notices nothing but what a test puts into it."""

    def __init__(self) -> None:
        self.seen = NOTHING
        self.placed = 0

    def start(self) -> None: ...
    def close(self) -> None: ...
    def rewatch(self) -> None: ...

    def fileno(self) -> int:
        return -1

    def deadline(self) -> float | None:
        return None

    def read(self) -> Seen:
        seen, self.seen = self.seen, NOTHING
        return seen

    def place_cookie(self) -> str:
        self.placed += 1
        return f"cookie{self.placed}"

    @property
    def mode(self) -> Mode:
        return Mode(ModeKind.NOTIFIED, "")

    def statistics(self) -> Statistics:
        return Statistics()


@pytest.fixture
def watch() -> Deaf:
    return Deaf()


@pytest.fixture
def follower(tmp_path: Path, watch: Deaf) -> Iterator[Follower]:
    ensure_own_directory(tmp_path)
    (tmp_path / "x.bin").write_bytes(b"before")
    replica = Replica(Folder(tmp_path), Rules([]), host="laptop")
    follower = Follower(replica, watch, Gather(), verify_interval_s=INTERVAL_S)
    for _ in follower.scan_steps():
        pass
    follower.step(0.0)
    yield follower
    replica.folder.close()


def write_through_a_map(path: Path, content: bytes) -> None:
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), len(content)) as mapped:
        mapped[:] = content
        mapped.flush()


def observed_by(follower: Follower, until: float) -> list[Observation]:
    """Step whenever it is due, up to a time; return all that was told."""
    told: list[Observation] = []
    now = 0.0
    while (deadline := follower.deadline()) is not None and deadline <= until:
        now = max(now, deadline)
        told += follower.step(now).observations
    return told


def test_what_the_watch_notices_is_told_at_once(
    follower: Follower, watch: Deaf, tmp_path: Path
) -> None:
    (tmp_path / "x.bin").write_bytes(b"after!")
    watch.seen = Seen(paths=frozenset(["x.bin"]))
    follower.step(1.0)
    assert observed_by(follower, 2.0) == [Observation("x.bin", File(digest_of(b"after!"), size=6))]


@pytest.fixture
def opened(follower: Follower, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the files that are opened."""
    opened: list[str] = []
    plain = follower.replica.folder.open

    def noting(path: str) -> int:
        opened.append(path)
        return plain(path)

    monkeypatch.setattr(follower.replica.folder, "open", noting)
    return opened


def read_ahead_of(follower: Follower, watch: Deaf, path: Path, content: bytes) -> None:
    """Write a file and have it read before its group is due."""
    path.write_bytes(content)
    watch.seen = Seen(paths=frozenset([path.name]))
    follower.step(1.0)
    follower.read_ahead()


def test_what_was_read_ahead_is_not_read_again(
    follower: Follower, watch: Deaf, opened: list[str], tmp_path: Path
) -> None:
    read_ahead_of(follower, watch, tmp_path / "x.bin", b"after!")
    news = follower.step(2.0)
    assert news.observations == [Observation("x.bin", File(digest_of(b"after!"), size=6))]
    assert news.contents == {digest_of(b"after!"): b"after!"}
    assert opened == ["x.bin"]


@pytest.mark.parametrize("told", ["x.bin", "new"])
def test_what_was_read_ahead_is_forgotten_once_the_watch_tells_of_anything(
    follower: Follower, watch: Deaf, opened: list[str], tmp_path: Path, told: str
) -> None:
    read_ahead_of(follower, watch, tmp_path / "x.bin", b"first!")
    status = (tmp_path / "x.bin").stat()
    (tmp_path / "x.bin").write_bytes(b"second")
    os.utime(tmp_path / "x.bin", ns=(status.st_atime_ns, status.st_mtime_ns))
    watch.seen = Seen(paths=frozenset([told]))
    observations = follower.step(2.0).observations + observed_by(follower, 3.0)
    assert observations == [Observation("x.bin", File(digest_of(b"second"), size=6))]
    assert opened == ["x.bin", "x.bin"]


def test_what_was_read_ahead_counts_under_its_stamp_only(
    follower: Follower, watch: Deaf, tmp_path: Path
) -> None:
    read_ahead_of(follower, watch, tmp_path / "x.bin", b"first!")
    os.replace(_written(tmp_path / "other", b"second"), tmp_path / "x.bin")
    assert follower.step(2.0).observations == [
        Observation("x.bin", File(digest_of(b"second"), size=6))
    ]


def test_what_was_read_ahead_and_not_looked_at_is_not_believed_later(
    follower: Follower, watch: Deaf, opened: list[str], tmp_path: Path
) -> None:
    read_ahead_of(follower, watch, tmp_path / "x.bin", b"after!")
    assert follower.step(1.0).observations == []
    assert len(follower.step(2.0).observations) == 1
    assert opened == ["x.bin", "x.bin"]


def test_only_a_known_file_that_waits_alone_is_read_ahead(
    follower: Follower, watch: Deaf, opened: list[str], tmp_path: Path
) -> None:
    read_ahead_of(follower, watch, tmp_path / "new", b"new")
    read_ahead_of(follower, watch, tmp_path / "x.bin", b"after!")
    assert opened == []


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_what_nothing_notices_is_told_after_a_while(follower: Follower, tmp_path: Path) -> None:
    write_through_a_map(tmp_path / "x.bin", b"mapped")
    (tmp_path / "new").write_bytes(b"n")
    assert observed_by(follower, INTERVAL_S - 1) == []
    assert observed_by(follower, INTERVAL_S) == [
        Observation("new", File(digest_of(b"n"), size=1)),
        Observation("x.bin", File(digest_of(b"mapped"), size=6)),
    ]


def test_a_folder_that_is_as_known_has_nothing_to_tell(follower: Follower) -> None:
    assert observed_by(follower, 5 * INTERVAL_S) == []


def test_what_is_told_meanwhile_is_not_told_again(
    follower: Follower, watch: Deaf, tmp_path: Path
) -> None:
    (tmp_path / "x.bin").write_bytes(b"after!")
    watch.seen = Seen(paths=frozenset(["x.bin"]))
    told = observed_by(follower, 0.0) + follower.step(INTERVAL_S).observations
    told += observed_by(follower, 2 * INTERVAL_S)
    assert [observation.path for observation in told] == ["x.bin"]


def test_a_folder_that_cannot_be_read_is_tried_again_later(
    follower: Follower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(follower.replica.folder, "scan_directory", refuse)
        assert observed_by(follower, INTERVAL_S) == []
    (tmp_path / "new").write_bytes(b"n")
    assert [o.path for o in observed_by(follower, 3 * INTERVAL_S)] == ["new"]


def test_a_cookie_settles_what_was_gathered_before_it(
    follower: Follower, watch: Deaf, tmp_path: Path
) -> None:
    (tmp_path / "x.bin").write_bytes(b"after!")
    follower.settle(7, 1.0)
    watch.seen = Seen(writing=frozenset(["x.bin"]), cookies=frozenset(["cookie1"]))
    news = follower.step(1.0)
    assert news.settled == [7]
    assert [observation.path for observation in news.observations] == ["x.bin"]


def test_a_cookie_settles_what_was_written_to_a_file_that_was_replaced_while_open(
    follower: Follower, watch: Deaf, tmp_path: Path
) -> None:
    """What a program appends just before a flush is found with it, not some time later."""
    with open(tmp_path / "x.bin", "ab") as file:
        change = Change("x.bin", file_of(b"before"), file_of(b"theirs"))
        results, _ = follower.apply([change], contents_of(b"theirs"), 1.0)
        assert [result.outcome for result in results] == [Outcome.DONE]
        file.write(b", and ours")
    follower.settle(7, 1.0)
    watch.seen = Seen(cookies=frozenset(["cookie1"]))
    assert follower.step_plain(1.0) is None  # It is to be looked at, which may take a while.
    news = follower.step(1.0)
    assert news.settled == [7]
    assert [kept.path for kept in news.kept] == ["x.bin"]
    assert Observation(news.kept[0].copy, file_of(b"before, and ours")) in news.observations


def test_a_file_that_was_replaced_while_open_is_looked_at_again_soon(
    follower: Follower, tmp_path: Path
) -> None:
    with open(tmp_path / "x.bin", "ab") as file:
        change = Change("x.bin", file_of(b"before"), file_of(b"theirs"))
        follower.apply([change], contents_of(b"theirs"), 1.0)
        file.write(b", and ours")
    told = observed_by(follower, 1.0 + REVIEW_FIRST_S)
    assert file_of(b"before, and ours") in [observation.entry for observation in told]


def test_of_a_root_that_goes_nothing_is_told_until_it_is_back(
    follower: Follower, watch: Deaf, tmp_path: Path
) -> None:
    (tmp_path / "x.bin").write_bytes(b"after!")
    aside = tmp_path.rename(tmp_path.with_name("aside"))
    watch.seen = Seen(paths=frozenset(["x.bin"]), root_gone=True)
    assert follower.step_plain(1.0) is None
    news = follower.step(1.0)
    assert (news.root_gone, news.observations) == (True, [])
    watch.seen = Seen(paths=frozenset(["x.bin"]))
    assert follower.step_plain(2.0) is None
    assert not follower.step(2.0).observations
    aside.rename(tmp_path)
    news = follower.step(3.0)
    assert (news.root_gone, news.scan_reason) == (False, "the folder was away")


def test_a_cookie_that_never_comes_ends_in_a_scan(follower: Follower) -> None:
    follower.settle(7, 1.0)
    assert follower.step(1.0).settled == []
    news = follower.step(1.0 + SETTLE_MAX_S)
    assert news.settled == [7]
    assert news.scan_reason


def test_what_could_not_be_read_is_tried_again(
    follower: Follower, watch: Deaf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: str) -> int:
        raise OSError(5, "Input/output error")

    (tmp_path / "x.bin").write_bytes(b"after!")
    watch.seen = Seen(paths=frozenset(["x.bin"]))
    with monkeypatch.context() as patch:
        patch.setattr(follower.replica.folder, "open", fail)
        follower.step(1.0)
        told = follower.step(1.1).observations
    assert [observation.entry for observation in told] == [Unsynced(ProblemKind.UNREADABLE)]
    assert observed_by(follower, 1.1 + 2 * RETRY_INTERVAL_S) == [
        Observation("x.bin", File(digest_of(b"after!"), size=6))
    ]


def test_known_files_of_a_large_group_are_looked_at_while_others_still_come(
    follower: Follower, watch: Deaf, tmp_path: Path
) -> None:
    ahead = Follower(follower.replica, watch, Gather(), ahead_size=6 * AHEAD_MIN)
    names = [f"{number:02}" for number in range(AHEAD_MIN + 2)]
    for name in names:
        (tmp_path / name).write_bytes(b"before")
    follower.replica.scan()
    for name in [*names, "new"]:
        (tmp_path / name).write_bytes(b"after")
    written = frozenset([*names, "new"])
    watch.seen = Seen(paths=written, closed=written)
    told = [observation.path for observation in ahead.step(1.0).observations]
    assert ahead.is_part
    assert set(told) <= set(names), "what is new waits for what belongs to it"
    assert len(told) >= AHEAD_MIN
    rest = [observation.path for observation in ahead.step(2.0).observations]
    assert not ahead.is_part
    assert sorted([*told, *rest]) == sorted(written)


def test_of_files_ahead_no_more_are_looked_at_at_once_than_fill_a_message(
    follower: Follower, watch: Deaf, tmp_path: Path
) -> None:
    ahead = Follower(follower.replica, watch, Gather(), ahead_size=1)
    names = [f"{number:02}" for number in range(6)]
    for name in names:
        (tmp_path / name).write_bytes(bytes(AHEAD_SIZE // 2))
    follower.replica.scan()
    for name in names:
        (tmp_path / name).write_bytes(bytes(AHEAD_SIZE // 2 - 1))
    watch.seen = Seen(paths=frozenset(names), closed=frozenset(names))
    assert len(ahead.step(1.0).observations) == 2
    assert ahead.is_part


def test_a_small_group_is_looked_at_once_it_is_complete(
    follower: Follower, watch: Deaf, tmp_path: Path
) -> None:
    ahead = Follower(follower.replica, watch, Gather(), ahead_size=100)
    for name in ("x.bin", "y"):
        (tmp_path / name).write_bytes(b"after!")
    watch.seen = Seen(paths=frozenset(["x.bin", "y"]), closed=frozenset(["x.bin", "y"]))
    assert ahead.step(1.0).observations == []
    assert len(ahead.step(2.0).observations) == 2


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Follower]:
    """A follower with the system's own watch. Its clock is ahead: any stamp can vouch at once."""
    ensure_own_directory(tmp_path)
    folder = Folder(tmp_path)
    replica = Replica(folder, Rules([]), host="box", now_ns=lambda: time.time_ns() + 10**9)
    with open_watch(tmp_path, lambda _: False) as watch:
        follower = Follower(replica, watch, Gather(), is_watching=False)
        for _ in follower.scan_steps():
            pass
        settled(follower)
        yield follower
    folder.close()


def settled(follower: Follower) -> list[Observation]:
    """Return what is told of all that happened before this call."""
    follower.settle(1, time.monotonic())
    told: list[Observation] = []
    while True:
        news = follower.step(time.monotonic())
        assert not news.scan_reason
        told += news.observations
        if news.settled:
            return told
        select.select([follower.watch.fileno()], [], [], SETTLE_MAX_S / 100)


def verified(follower: Follower) -> list[Observation]:
    """Return what is found once everything is looked at again."""
    now, told = time.monotonic() + VERIFY_INTERVAL_S, list[Observation]()
    while (deadline := follower.deadline()) is not None and deadline <= now:
        told += follower.step(now).observations
    return told


needs_inotify = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere nothing tells that a file was closed"
)


@needs_inotify
def test_what_was_written_through_a_map_is_told_once_the_map_is_closed(
    watching: Follower, tmp_path: Path
) -> None:
    path = tmp_path / "data.npy"
    with path.open("w+b") as file:
        file.write(bytes(4))
        file.flush()
        mapped = mmap.mmap(file.fileno(), 4)
    mapped[0] = 1  # From here on the page is dirty: what else is written changes no time.
    settled(watching)
    mapped[1] = 1
    mapped.close()
    assert settled(watching) == [
        Observation("data.npy", File(digest_of(b"\1\1\0\0"), size=4)),
    ]


@needs_inotify
def test_what_is_applied_is_not_read_again(
    watching: Follower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").write_bytes(b"old")
    settled(watching)
    changes = [
        Change("new", None, file_of(b"new")),
        Change("old", file_of(b"old"), file_of(b"newer")),
    ]
    results, _ = watching.apply(changes, contents_of(b"new", b"newer"), time.monotonic())
    assert [result.outcome for result in results] == [Outcome.DONE] * 2
    opened: list[str] = []
    plain = watching.replica.folder.open
    monkeypatch.setattr(
        watching.replica.folder, "open", lambda path: (opened.append(path), plain(path))[1]
    )
    assert settled(watching) == []
    assert not {"new", "old"} & {*opened}


def test_what_was_written_through_a_map_while_it_was_read_is_read_again(tmp_path: Path) -> None:
    path, size = tmp_path / "large", 4 << 20
    path.write_bytes(bytes(size))
    folder = Folder(tmp_path)
    replica = Replica(folder, Rules([]), host="box", now_ns=lambda: time.time_ns() + 10**9)
    replica.scan()
    replica.doubt(["large"])
    replica.observe(["large"])
    with path.open("r+b") as file, mmap.mmap(file.fileno(), size) as mapped:
        mapped[0] = 1
        replica.read_on()
        assert replica.reading.path == "large"
        mapped[0] = 2
    replica.doubt(["large"])
    while replica.reading.path:
        replica.read_on()
    assert replica.tree.get("large") == file_of(path.read_bytes())
    folder.close()


@needs_mount
def test_a_disk_that_was_mounted_in_the_folder_is_watched_once_it_is_found(
    watching: Follower, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    settled(watching)
    with small_disk_at(tmp_path / "disk", size=64 << 10):
        (tmp_path / "disk" / "a").mkdir()
        (tmp_path / "disk" / "a" / "b").write_bytes(b"1")
        assert [one.path for one in verified(watching)] == ["disk/a"]
        (tmp_path / "disk" / "a" / "b").write_bytes(b"22")
        assert [one.path for one in settled(watching)] == ["disk/a/b"]


@pytest.mark.parametrize("size", [1, SMALL_MAX + 1, LARGE + 1])
def test_what_is_saved_by_one_name_is_told_by_its_others(
    watching: Follower, tmp_path: Path, size: int
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "x").write_bytes(b"first")
    os.link(tmp_path / "x", tmp_path / "d" / "y")
    settled(watching)
    for number in range(3):
        content = bytes([number]) * size
        (tmp_path / "x").write_bytes(content)
        file = file_of(content)
        told = settled(watching)
        assert sorted(told, key=lambda one: one.path) == [
            Observation("d/y", file),
            Observation("x", file),
        ]
