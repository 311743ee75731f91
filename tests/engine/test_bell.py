"""No ring is missed."""

from __future__ import annotations

import anyio
import pytest

from towline.engine.bell import Bell

pytestmark = pytest.mark.anyio


async def test_a_ring_wakes_all_who_wait() -> None:
    bell, woken = Bell(), list[str]()

    async def wait(name: str) -> None:
        await bell.wait()
        woken.append(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait, "a")
        tasks.start_soon(wait, "b")
        await anyio.wait_all_tasks_blocked()
        assert woken == []
        bell.ring()
    assert sorted(woken) == ["a", "b"]


async def test_what_rang_since_it_was_heard_is_not_waited_for_again() -> None:
    bell = Bell()
    heard = bell.rung
    bell.ring()
    with anyio.fail_after(1):
        await bell.wait(heard)
    with anyio.move_on_after(0) as waiting:
        await bell.wait(bell.rung)
    assert waiting.cancelled_caught
