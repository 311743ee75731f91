"""Nothing runs that is not, byte for byte, what was meant."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from towline.routes.base import Surroundings
from towline.routes.download import Pin, ensure_program, read_place
from towline.routes.errors import RouteError
from towline.routes.provider.cloudflared import ROUTE

pytestmark = pytest.mark.anyio

PROGRAM = b"#!/bin/sh\necho I am it\n"
SHA256 = hashlib.sha256(PROGRAM).hexdigest()
PIN = Pin("tool", "1.0", SHA256, ("https://one.example/tool", "https://two.example/tool"))


def nowhere(place: str) -> Iterator[bytes]:
    raise OSError("no network")


def from_second(place: str) -> Iterator[bytes]:
    if "one" in place:
        raise OSError("gone")
    yield from (PROGRAM[:5], PROGRAM[5:])


def other(place: str) -> Iterator[bytes]:
    yield b"#!/bin/sh\nrm -rf /\n"


def mode_and_files(path: Path) -> tuple[int, list[str]]:
    return path.stat().st_mode & 0o777, [file.name for file in path.parent.iterdir()]


async def test_the_second_place_is_tried_and_what_is_there_is_kept(around: Surroundings) -> None:
    path = await ensure_program(around, PIN, from_second)
    assert mode_and_files(path) == (0o700, ["tool-1.0"])
    assert await ensure_program(around, PIN, nowhere) == path


async def test_another_program_is_refused_and_does_not_stay(around: Surroundings) -> None:
    with pytest.raises(RouteError, match="it is another program") as refused:
        await ensure_program(around, PIN, other)
    assert SHA256 in refused.value.hint
    assert not list((around.directory / "bin").iterdir())


async def test_a_program_that_was_changed_on_the_disk_is_fetched_again(
    around: Surroundings,
) -> None:
    path = await ensure_program(around, PIN, from_second)
    path.write_bytes(b"#!/bin/sh\nrm -rf /\n")
    with pytest.raises(RouteError, match="cannot be fetched"):
        await ensure_program(around, PIN, nowhere)
    assert (await ensure_program(around, PIN, from_second)).read_bytes() == PROGRAM


async def test_a_file_serves_where_there_is_no_network(
    around: Surroundings, tmp_path: Path
) -> None:
    (tmp_path / "tool").write_bytes(PROGRAM)
    offline = replace(PIN, places=(str(tmp_path / "tool"),))
    assert (await ensure_program(around, offline)).read_bytes() == PROGRAM


@pytest.mark.parametrize("place", ["http://one.example/tool", "ftp://x/y", "file:///etc/passwd"])
def test_only_https_or_a_file(place: str) -> None:
    with pytest.raises(OSError, match="https or a file"):
        list(read_place(place))


def test_cloudflared_is_not_fetched_without_a_checksum(around: Surroundings) -> None:
    settings = {"cloudflared.download": "https://x.example/cloudflared"}
    bare = replace(around, environment={"PATH": ""}, settings=settings)
    assert "SHA-256" in ROUTE.why_not(bare)
    known = replace(bare, settings={**settings, "cloudflared.sha256": SHA256})
    assert ROUTE.why_not(known) == ""
