"""In which order a new tree goes over."""

from __future__ import annotations

from towline.core.change import Change
from towline.core.entry import File
from towline.engine.push import LATE_SIZE, small_first


def new(path: str, size: int, old: File | None = None) -> Change:
    return Change(path, old, File(bytes(20), size=size))


def test_large_contents_of_a_new_tree_go_last() -> None:
    big, code, data = new("a.bin", LATE_SIZE + 1), new("b.py", 1), new("c.bin", LATE_SIZE + 1)
    last = new("d.py", LATE_SIZE)
    assert small_first([big, code, data, last]) == [code, last, big, data]


def test_an_order_that_may_matter_stays() -> None:
    big, removed = new("a.bin", LATE_SIZE + 1), Change("b.py", File(bytes(20), size=1), None)
    assert small_first([big, removed]) == [big, removed]
