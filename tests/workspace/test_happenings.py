"""What happened is told at once, and what arrived last is known."""

from __future__ import annotations

from towline.engine import events
from towline.engine.bell import Bell
from towline.workspace.happenings import Happenings


def test_each_is_told_at_once_and_what_arrived_last_is_known() -> None:
    told: list[object] = []
    touched = Bell()
    happenings = Happenings(told.append, touched)
    received = events.Received(1, ("a.py",))
    happenings.report(received)
    assert told == [received]
    assert happenings.last_paths == ("a.py",)
    assert touched.rung == 1
