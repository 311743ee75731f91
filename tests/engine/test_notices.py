"""A conflict is told once, and what is remembered for that is bounded."""

from __future__ import annotations

import pytest

from towline.core.entry import Directory, File
from towline.core.tree import Tree
from towline.engine import events, notices
from towline.engine.ancestor import Store
from towline.engine.notices import Notices


def test_a_conflict_is_told_once_until_it_is_settled() -> None:
    told: list[events.Event] = []
    known = Notices(Store(":memory:"), told.append)
    known.conflict("a", "a.conflict-1", "machine")
    known.conflict("a", "a.conflict-1", "machine")
    assert len(told) == 1
    held = Tree(Directory({"a.conflict-1": File(b"x" * 16, False, 1)}))
    assert len(known.standing([held])) == 1
    assert known.standing([Tree(Directory({}))]) == []
    known.conflict("a", "a.conflict-1", "machine")
    assert len(told) == 2


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "COPIES_MAX", 3)
    told: list[events.Event] = []
    known = Notices(Store(":memory:"), told.append)
    for number in range(5):
        known.conflict("a", f"copy-{number}", "machine")
    known.conflict("a", "copy-4", "machine")
    assert len(told) == 5
    known.conflict("a", "copy-0", "machine")
    assert len(told) == 6
