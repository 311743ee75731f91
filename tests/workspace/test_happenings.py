"""What happened is told once, in order, also to who comes late or is slow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import anyio
import pytest

from towline.engine import events
from towline.engine.bell import Bell
from towline.workspace.happenings import EVENTS_KEPT, Happenings

pytestmark = pytest.mark.anyio


async def take(following: AsyncIterator[events.Event], count: int) -> list[int]:
    taken = [await anext(following) for _ in range(count)]
    return [int(event.text) for event in taken if isinstance(event, events.Note)]


@pytest.fixture
def happenings() -> Happenings:
    return Happenings(lambda _: None, Bell())


def happen(happenings: Happenings, first: int, end: int) -> None:
    for number in range(first, end):
        happenings.note(str(number))


async def test_who_comes_late_is_told_the_last_of_it_and_then_each(happenings: Happenings) -> None:
    happen(happenings, 0, 60)
    async with aclosing(happenings.follow()) as following:
        assert await take(following, EVENTS_KEPT) == list(range(60 - EVENTS_KEPT, 60))
        happen(happenings, 60, 62)
        assert await take(following, 2) == [60, 61]


async def test_who_is_slow_is_told_all_that_is_kept(happenings: Happenings) -> None:
    happen(happenings, 0, 1)
    async with aclosing(happenings.follow()) as following:
        assert await take(following, 1) == [0]
        happen(happenings, 1, 1 + EVENTS_KEPT + 10)
        with anyio.fail_after(5):
            assert await take(following, EVENTS_KEPT) == list(range(11, 11 + EVENTS_KEPT))


async def test_each_is_told_at_once_and_what_arrived_last_is_known() -> None:
    told: list[object] = []
    touched = Bell()
    happenings = Happenings(told.append, touched)
    received = events.Received(1, ("a.py",))
    happenings.report(received)
    assert told == [received]
    assert happenings.last_paths == ("a.py",)
    assert touched.rung == 1
