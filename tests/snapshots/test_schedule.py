"""When a snapshot is due, and when old ones go."""

from __future__ import annotations

import pytest

from towline.snapshots.schedule import (
    FORGET_EVERY,
    FORGET_EVERY_S,
    PRUNE_EVERY_S,
    RETRY_MAX_S,
    Record,
    Retention,
    Upkeep,
    upkeep,
    wait_s,
)

T = 1_700_000_000.0


@pytest.mark.parametrize(
    ("at", "now", "failures", "waits"),
    [
        (0, T, 0, 0),  # The first is due at once.
        (T, T + 10, 0, 50),
        (T, T + 60, 0, 0),
        (T, T + 999, 0, 0),
        (T, T - 86400, 0, 60),  # A clock that was set back does not stop it.
        (T, T + 10, 1, 60),  # After a failure: the interval, then twice, and so on.
        (T, T + 10, 3, 240),
        (T, T + 10, 30, RETRY_MAX_S),
    ],
)
def test_how_long_to_wait(at: float, now: float, failures: int, waits: float) -> None:
    assert wait_s(Record(at=at), 60, now, failures) == waits


def test_a_long_interval_is_not_shortened_by_failures() -> None:
    assert wait_s(Record(at=T), 86400, T, failures=1) == 86400


@pytest.mark.parametrize(
    ("record", "due"),
    [
        (Record(forgotten=T, pruned=T), Upkeep.NONE),
        (Record(forgotten=T, pruned=T, since_forgotten=FORGET_EVERY), Upkeep.FORGET),
        (Record(forgotten=T - FORGET_EVERY_S, pruned=T), Upkeep.FORGET),
        (Record(forgotten=T, pruned=T - PRUNE_EVERY_S), Upkeep.PRUNE),
    ],
)
def test_what_is_to_be_done_after_a_snapshot(record: Record, due: Upkeep) -> None:
    assert upkeep(record, T) is due


def test_retention_as_restic_takes_it() -> None:
    assert Retention(5, 0, 7, 0).arguments() == ["--keep-last", "5", "--keep-daily", "7"]
