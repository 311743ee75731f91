"""What every route does, whatever its provider: announce, carry, die and be told, come again."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.conformance.routes.carry import carried
from tests.conformance.routes.worlds import WORLDS, reach
from towline.core.address import parse_address
from towline.routes.base import Surroundings
from towline.routes.catalog import route_named, routes

pytestmark = pytest.mark.anyio

MEGABYTE = 1 << 20

every_world = pytest.mark.parametrize("name", WORLDS)

ELSEWHERE = {"direct", "bore", "colab"}
"""Tried in files of their own: without a provider, against the real server, and not a tunnel."""


@every_world
async def test_it_announces_where_it_can_be_reached_and_carries(
    name: str, around: Surroundings, echo: int
) -> None:
    await carry(name, around, echo, 2 * MEGABYTE)


@pytest.mark.soak
@every_world
async def test_it_carries_much(name: str, around: Surroundings, echo: int) -> None:
    await carry(name, around, echo, 50 * MEGABYTE)


async def carry(name: str, around: Surroundings, echo: int, size: int) -> None:
    kind, _, make = WORLDS[name]
    route = route_named(kind)
    async with make(around, echo) as world:
        assert route.why_not(world.around) == ""
        async with route.open(echo, world.around) as tunnel:
            assert parse_address(str(tunnel.address)) == tunnel.address
            async with reach(world, tunnel.address) as stream:
                assert await carried(stream, size)


@every_world
async def test_when_it_dies_it_says_why_and_can_be_opened_again(
    name: str, around: Surroundings, echo: int
) -> None:
    kind, _, make = WORLDS[name]
    route = route_named(kind)
    async with make(around, echo) as world:
        async with route.open(echo, world.around) as tunnel:
            world.kill()
            with anyio.fail_after(20):
                assert (await tunnel.wait_ended()).startswith(f"{kind}: ")
        async with route.open(echo, world.around) as tunnel, reach(world, tunnel.address) as stream:
            assert await carried(stream, 1000)


@every_world
async def test_no_secret_stands_in_the_process_list_and_nothing_is_left(
    name: str, around: Surroundings, echo: int
) -> None:
    kind, _, make = WORLDS[name]
    route = route_named(kind)
    async with make(around, echo) as world:
        secrets = [
            world.around.value(setting) for setting in route.about.settings if setting.secret
        ]
        async with route.open(echo, world.around):
            running = ours(world.around.directory)
            assert running
            for secret in filter(None, secrets):
                assert not [argv for argv in running if secret in argv]
        assert not ours(world.around.directory)


def ours(directory: Path) -> list[list[str]]:
    """The arguments of what runs with the home folder that only these surroundings have."""
    return [
        _read(process, "cmdline").decode().split("\0")
        for process in Path("/proc").glob("[0-9]*")
        if f"HOME={directory}".encode() in _read(process, "environ").split(b"\0")
    ]


def _read(process: Path, name: str) -> bytes:
    try:
        return (process / name).read_bytes()
    except OSError:  # It has ended meanwhile, or is not ours to look at.
        return b""


def test_every_route_has_its_world() -> None:
    assert {route.name for route in routes()} == {
        kind for kind, _, _ in WORLDS.values()
    } | ELSEWHERE
