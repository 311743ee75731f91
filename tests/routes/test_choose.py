"""`auto`: what is configured first, then what needs nothing; the next where one fails."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import pytest

from towline.core.address import Address, Tcp
from towline.routes.base import About, Route, Setting, Surroundings, Tunnel, never
from towline.routes.choose import candidates, open_first
from towline.routes.errors import RouteError

pytestmark = pytest.mark.anyio


class Made(Route):
    """A route that opens, or says why not; it notes when it is open."""

    def __init__(
        self, name: str, rank: int | None = None, *, why: str = "", fails: str = ""
    ) -> None:
        setting = Setting(f"{name}.token", f"{name.upper()}_TOKEN", "a token")
        self.about = About(name, "", "", "", settings=(setting,), rank=rank)
        self.is_open = False
        self._why = why
        self._fails = fails

    def why_not(self, around: Surroundings) -> str:
        return self._why

    def open(self, port: int, around: Surroundings) -> AbstractAsyncContextManager[Tunnel]:
        return self._open(port)

    @asynccontextmanager
    async def _open(self, port: int) -> AsyncGenerator[Tunnel]:
        if self._fails:
            raise RouteError(self._fails, f"hint of {self.name}", passing=True)
        self.is_open = True
        try:
            yield Tunnel(Tcp(f"{self.name}.example", port), never)
        finally:
            self.is_open = False


async def seen(address: Address) -> None:
    """It is there."""


def test_the_order_is_what_is_set_up_then_the_ranks(around: Surroundings) -> None:
    mine, free, other = Made("mine"), Made("free", 1), Made("other", 2)
    unset, broken = Made("unset"), Made("broken", 0, why="no program")
    set_up = replace(around, settings={"mine.token": "x", "other.token": "y"})
    order = candidates([broken, free, other, mine, unset], set_up)
    assert [route.name for route in order] == ["other", "mine", "free"]


async def test_the_next_is_tried_where_one_fails_or_is_not_seen(around: Surroundings) -> None:
    fails, unseen, good = Made("a", 1, fails="a: full"), Made("b", 2), Made("c", 3)

    async def look(address: Address) -> None:
        if address == Tcp("b.example", 22):
            assert unseen.is_open
            raise RouteError("b: not seen from outside")

    told: list[str] = []
    async with open_first([fails, unseen, good], 22, around, look, told.append) as (route, tunnel):
        assert route is good
        assert tunnel.address == Tcp("c.example", 22)
        assert not unseen.is_open  # Never two at once: each is one more place to knock at.
    assert not good.is_open
    assert told == [
        "trying a", "a: full", "trying b", "b: not seen from outside", "trying c",
    ]  # fmt: skip


async def test_where_none_opens_every_reason_is_said(around: Surroundings) -> None:
    routes = [Made("a", 1, fails="a: full"), Made("b", 2, fails="b: gone")]
    with pytest.raises(RouteError, match="a: full; b: gone") as refused:
        async with open_first(routes, 22, around, seen):
            pass
    assert refused.value.hint == "hint of a; hint of b"
    assert refused.value.passing


async def test_where_there_is_nothing_to_try_it_says_where_to_look(around: Surroundings) -> None:
    with pytest.raises(RouteError, match="no way in") as refused:
        async with open_first([], 22, around, seen):
            pass
    assert "towline routes" in refused.value.hint


async def test_a_fault_of_our_own_is_not_hidden_and_leaves_nothing_open(
    around: Surroundings,
) -> None:
    good = Made("a", 1)

    async def look(address: Address) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with open_first([good], 22, around, look):
            pass
    assert not good.is_open
