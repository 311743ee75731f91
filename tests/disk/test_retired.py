"""Replaced files that somebody may still write to are kept until that is decided."""

from __future__ import annotations

import os
from pathlib import Path

from tests.disk.world import (
    EDIT,
    NEW,
    OLD,
    contents_in,
    contents_of,
    file_of,
    left_in_stage,
    replica_of,
)
from towline.core.change import Change, Outcome
from towline.core.conflict import is_conflict_copy
from towline.disk.displaced import REHASH_MAX, RETIRED_S
from towline.disk.folder import Folder
from towline.disk.replica import Observation, Replica

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
    (kept,) = replica.review(1)
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
    restarted.review(1)
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
    assert folder.bytes_read == 0
