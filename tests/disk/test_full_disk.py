"""A real full disk: a tmpfs of a few pages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disk.mounts import needs_mount, small_disk_at
from tests.disk.world import contents_in, contents_of, file_of, left_in_stage, replica_of
from towline.core.change import Change, Outcome
from towline.core.problem import ProblemKind

SIZE = 64 << 10  # Bytes of the whole disk.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk_at(tmp_path, SIZE):
        yield tmp_path


@needs_mount
def test_a_full_disk_fails_the_group_and_changes_nothing(small_disk: Path) -> None:
    (small_disk / "x").write_bytes(b"old")
    replica = replica_of(small_disk)
    much = os.urandom(SIZE)
    changes = [
        Change("x", file_of(b"old"), file_of(b"new")),
        Change("much", None, file_of(much)),
    ]
    results = replica.apply(changes, contents_of(b"new", much))
    assert [result.outcome for result in results] == [Outcome.FAILED] * 2
    assert {result.problem.kind for result in results if result.problem} == {ProblemKind.DISK_FULL}
    assert contents_in(small_disk) == [b"old"]
    assert left_in_stage(small_disk) == []
    assert replica.apply(changes[:1], contents_of(b"new"))[0].outcome is Outcome.DONE


@needs_mount
def test_a_transfer_that_fills_the_disk_gives_it_back(small_disk: Path) -> None:
    replica = replica_of(small_disk)
    much = os.urandom(4 * SIZE)
    entry = file_of(much)
    for offset in range(0, len(much), 16 << 10):
        replica.stage.write(entry.digest, offset, much[offset : offset + (16 << 10)], len(much))
    (result,) = replica.apply([Change("much", None, entry)], {})
    assert result.problem is not None
    assert result.problem.kind is ProblemKind.DISK_FULL
    assert left_in_stage(small_disk) == []
