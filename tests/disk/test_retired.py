"""Replaced files that somebody may still write to are kept until that is decided."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.disk.world import (
    EDIT,
    NEW,
    OLD,
    contents_in,
    contents_of,
    file_of,
    left_in_stage,
    let_time_pass,
    replica_of,
)
from towline.core.change import Change, Outcome
from towline.core.conflict import is_conflict_copy
from towline.core.entry import DIRECTORY
from towline.disk.displaced import REHASH_MAX, RETIRED_S
from towline.disk.folder import Folder
from towline.disk.observation import Observation
from towline.disk.replica import Replica
from towline.disk.retired import AT_ONCE, GRACE_S, OPEN_MAX, PARTING_MAX, Retired, Retirement

CHANGE = Change("x.log", file_of(OLD), file_of(NEW))


def replace_while_open(root: Path) -> tuple[Replica, int]:
    """Replace x.log while somebody has it open; return the replica and their descriptor."""
    (root / "x.log").write_bytes(OLD)
    replica = replica_of(root)
    descriptor = os.open(root / "x.log", os.O_WRONLY | os.O_APPEND)
    (result,) = replica.apply([CHANGE], contents_of(NEW))
    assert result.outcome is Outcome.DONE
    assert replica.has_retired
    return replica, descriptor


def test_what_stays_as_it_was_is_dropped_when_closed(tmp_path: Path) -> None:
    replica, descriptor = replace_while_open(tmp_path)
    assert replica.review(1) == []
    assert replica.review(RETIRED_S * 10) == []
    assert len(left_in_stage(tmp_path)) == 1
    os.close(descriptor)
    assert replica.review(RETIRED_S * 10 + 1) == []
    assert left_in_stage(tmp_path) == []
    assert not replica.has_retired


def test_what_is_written_becomes_a_conflict_copy_that_is_told(tmp_path: Path) -> None:
    replica, descriptor = replace_while_open(tmp_path)
    os.write(descriptor, EDIT)
    (kept,) = replica.review(1, at_once=True)
    assert kept.path == "x.log"
    assert is_conflict_copy(kept.copy)
    assert (tmp_path / kept.copy).read_bytes() == OLD + EDIT
    assert (tmp_path / "x.log").read_bytes() == NEW
    assert replica.observe([]) == [Observation(kept.copy, file_of(OLD + EDIT))]
    os.write(descriptor, EDIT)  # Whoever has it open goes on writing into the copy.
    os.close(descriptor)
    assert (tmp_path / kept.copy).read_bytes() == OLD + EDIT + EDIT


def test_a_retired_file_survives_a_restart(tmp_path: Path) -> None:
    _, descriptor = replace_while_open(tmp_path)
    restarted = replica_of(tmp_path)
    assert restarted.has_retired
    os.write(descriptor, EDIT)
    os.close(descriptor)
    let_time_pass(restarted)
    assert OLD + EDIT in contents_in(tmp_path)


def test_where_the_system_cannot_tell_it_is_kept_for_a_while(tmp_path: Path) -> None:
    class NoLeases(Folder):
        def is_open_for_writing(self, descriptor: int) -> bool | None:
            return None

    (tmp_path / "x.log").write_bytes(OLD)
    replica = replica_of(NoLeases(tmp_path))
    replica.apply([CHANGE], contents_of(NEW))
    replica.review(1)
    replica.review(RETIRED_S)
    assert len(left_in_stage(tmp_path)) == 1
    assert replica.review(1 + RETIRED_S) == []
    assert left_in_stage(tmp_path) == []
    assert contents_in(tmp_path) == [NEW]


def test_a_file_with_a_second_name_keeps_that(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_bytes(OLD)
    os.link(tmp_path / "x.log", tmp_path / "y.log")
    replica = replica_of(tmp_path)
    replica.apply([CHANGE], contents_of(NEW))
    assert (tmp_path / "y.log").read_bytes() == OLD
    assert left_in_stage(tmp_path) == []
    assert not replica.has_retired


def test_a_large_file_that_nobody_touched_is_not_read_again(tmp_path: Path) -> None:
    class Counting(Folder):
        bytes_read = 0

        def read(self, descriptor: int, size: int) -> bytes:
            content = super().read(descriptor, size)
            self.bytes_read += len(content)
            return content

    large = bytes(REHASH_MAX + 1)
    (tmp_path / "x.log").write_bytes(large)
    later = (tmp_path / "x.log").stat().st_ctime_ns + 10**9
    folder = Counting(tmp_path)
    replica = replica_of(folder, now_ns=lambda: later)
    folder.bytes_read = 0
    change = Change("x.log", file_of(large), file_of(NEW))
    (result,) = replica.apply([change], contents_of(NEW))
    assert result.outcome is Outcome.DONE
    assert let_time_pass(replica) == []
    assert left_in_stage(tmp_path) == []
    assert folder.bytes_read == 0


class LateWriter(Folder):
    """A program that found x.log before it was taken away, and gets to open it after our look."""

    descriptor = found = -1

    def exchange(self, staged: str, path: str) -> None:
        self.found = os.open(self.root / path, os.O_PATH)
        super().exchange(staged, path)

    def open_late(self) -> None:
        self.descriptor = os.open(f"/proc/self/fd/{self.found}", os.O_WRONLY | os.O_APPEND)
        os.close(self.found)


@pytest.mark.skipif(
    not hasattr(os, "O_PATH"), reason="needs O_PATH: a file found without being opened"
)
@pytest.mark.parametrize("write_at", ["before the second look", "after the second look"])
@pytest.mark.parametrize("size", [len(OLD), REHASH_MAX + 1], ids=["small", "large"])
def test_a_program_that_was_opening_the_file_when_it_was_replaced_loses_nothing(
    tmp_path: Path, write_at: str, size: int
) -> None:
    """No system call tells of an open that has found its file and has not counted itself yet."""
    old = OLD.ljust(size, b".")
    (tmp_path / "x.log").write_bytes(old)
    later = (tmp_path / "x.log").stat().st_ctime_ns + 10**9
    folder = LateWriter(tmp_path)
    replica = replica_of(folder, now_ns=lambda: later)
    change = Change("x.log", file_of(old), file_of(NEW))
    (result,) = replica.apply([change], contents_of(NEW))
    assert result.outcome is Outcome.DONE
    replica.review(0)
    folder.open_late()
    if write_at == "after the second look":
        assert replica.review(GRACE_S) == []
    os.write(folder.descriptor, EDIT)
    os.close(folder.descriptor)
    kept = [*replica.review(GRACE_S), *replica.review(2 * GRACE_S)]
    assert [one.path for one in kept] == ["x.log"]
    assert (tmp_path / kept[0].copy).read_bytes() == old + EDIT
    assert left_in_stage(tmp_path) == []


class Unseen(Folder):
    """Somebody edits x.log in the instant before it is replaced, and sets its time back."""

    def exchange(self, staged: str, path: str) -> None:
        status = (self.root / path).stat()
        (self.root / path).write_bytes(OLD.swapcase())
        os.utime(self.root / path, ns=(status.st_atime_ns, status.st_mtime_ns))
        super().exchange(staged, path)


def test_an_edit_that_no_stamp_shows_is_found_by_the_second_look(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_bytes(OLD)
    later = (tmp_path / "x.log").stat().st_ctime_ns + 10**9
    replica = replica_of(Unseen(tmp_path), now_ns=lambda: later)
    replica.apply([CHANGE], contents_of(NEW))
    replica.review(0)
    kept = replica.review(GRACE_S)
    if (tmp_path / "x.log").read_bytes() == NEW:  # Where leases are known, its stamp is believed.
        assert [one.path for one in kept] == ["x.log"]
    assert OLD.swapcase() in contents_in(tmp_path)
    assert left_in_stage(tmp_path) == []


def test_what_nobody_opens_is_dropped_after_the_grace_and_not_before(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_bytes(OLD)
    replica = replica_of(tmp_path)
    replica.apply([CHANGE], contents_of(NEW))
    assert replica.review_due(7.0) == 7.0 + GRACE_S
    assert replica.review(7.0 + GRACE_S / 2, at_once=True) == []
    assert len(left_in_stage(tmp_path)) == 1
    assert replica.review(7.0 + GRACE_S) == []
    assert left_in_stage(tmp_path) == []
    assert replica.review_due(8.0) is None


def test_the_end_of_a_life_drops_what_is_not_open_and_keeps_the_rest(tmp_path: Path) -> None:
    for name in ("x.log", "y.log"):
        (tmp_path / name).write_bytes(OLD)
    replica = replica_of(tmp_path)
    with open(tmp_path / "y.log", "ab") as file:
        changes = [Change(name, file_of(OLD), file_of(NEW)) for name in ("x.log", "y.log")]
        replica.apply(changes, contents_of(NEW))
        replica.tidy()
        assert [name.endswith("y.log") for name in left_in_stage(tmp_path)] == [True]
        file.write(EDIT)
    replica_of(tmp_path)
    assert left_in_stage(tmp_path) == []
    assert OLD + EDIT in contents_in(tmp_path)


def test_what_was_written_before_the_end_of_a_life_is_kept(tmp_path: Path) -> None:
    replica, descriptor = replace_while_open(tmp_path)
    os.write(descriptor, EDIT)
    os.close(descriptor)
    replica.tidy()
    assert left_in_stage(tmp_path) == []
    assert OLD + EDIT in contents_in(tmp_path)


def test_a_file_that_became_a_directory_does_not_come_back_where_that_was_removed(
    tmp_path: Path,
) -> None:
    (tmp_path / "x.log").write_bytes(OLD)
    replica = replica_of(tmp_path)
    replica.apply([Change("x.log", file_of(OLD), DIRECTORY)], {})
    (tmp_path / "x.log").rmdir()
    replica_of(tmp_path)  # As after a crash, within the grace.
    assert contents_in(tmp_path) == []
    assert left_in_stage(tmp_path) == []


def test_an_edit_that_finds_no_place_is_tried_again(tmp_path: Path) -> None:
    class NoNewNames(Folder):
        is_full = False

        def place(self, source: str, target: str) -> None:
            if self.is_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().place(source, target)

    folder = NoNewNames(tmp_path)
    (tmp_path / "x.log").write_bytes(OLD)
    replica = replica_of(folder)
    with open(tmp_path / "x.log", "ab") as file:
        replica.apply([CHANGE], contents_of(NEW))
        file.write(EDIT)
    folder.is_full = True
    assert replica.review(1, at_once=True) == []
    folder.is_full = False
    (kept,) = replica.review(2)
    assert (tmp_path / kept.copy).read_bytes() == OLD + EDIT


def retired(number: int, *, is_open: bool | None) -> Retired:
    return Retired(f"stage/{number}", f"{number}.log", file_of(OLD), None, is_open)


def names(taken: list[Retired]) -> list[str]:
    return [one.path for one in taken]


def test_what_is_open_is_looked_at_soon_and_then_more_and_more_seldom() -> None:
    retirement = Retirement()
    retirement.add(retired(1, is_open=True))
    times: list[float] = []
    now = 0.0
    while now < 4:
        due = retirement.date(now)
        assert due is not None
        times.append(now := due)
        (taken,) = retirement.take(now, at_once=False)
        retirement.again(taken, now)
    waits = [later - earlier for earlier, later in zip([0.0, *times], times, strict=False)]
    assert waits == pytest.approx([0.01 * 2**n for n in range(7)] + [1.0] * 3)


def test_what_is_written_to_is_looked_at_at_once_when_asked_and_what_parts_is_not() -> None:
    retirement = Retirement()
    retirement.add(retired(1, is_open=True))
    retirement.add(retired(2, is_open=False))
    assert names(retirement.take(0.0, at_once=True)) == ["1.log"]
    assert names(retirement.take(GRACE_S, at_once=False)) == ["2.log"]
    assert len(retirement) == 0


def test_a_great_many_are_looked_at_in_turns() -> None:
    retirement = Retirement()
    for number in range(AT_ONCE + 1):
        retirement.add(retired(number, is_open=False))
    retirement.date(0.0)
    assert len(retirement.take(GRACE_S, at_once=False)) == AT_ONCE
    assert retirement.date(GRACE_S) == GRACE_S
    assert names(retirement.take(GRACE_S, at_once=False)) == [f"{AT_ONCE}.log"]


def test_too_many_that_are_open_must_go_the_oldest_first() -> None:
    retirement = Retirement()
    for number in range(2):
        retirement.add(retired(number, is_open=True))
        retirement.date(float(number))
    for number in range(2, OPEN_MAX + 1):
        retirement.add(retired(number, is_open=None))
    (surplus,) = [one for one in retirement.take(1.0, at_once=False) if one.must_go]
    assert surplus.path == "0.log"


def test_too_many_that_part_leave_early_the_oldest_first() -> None:
    retirement = Retirement()
    for number in range(PARTING_MAX + 3):
        retirement.add(retired(number, is_open=False))
        assert list(retirement.surplus()) == []
    retirement.date(0.0)
    retirement.add(retired(0, is_open=False))
    assert names(list(retirement.surplus())) == ["0.log", "1.log"]
