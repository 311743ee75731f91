"""Nothing runs that is not, byte for byte, what was meant."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream
from anyio.streams.tls import TLSListener

from tests.routes.test_dial import make_contexts
from towline.routes import download
from towline.routes.base import Surroundings, background
from towline.routes.download import Pin, ensure_program, read_place
from towline.routes.errors import RouteError
from towline.routes.provider.cloudflared import ROUTE
from towline.routes.relay import port_of

pytestmark = pytest.mark.anyio

PROGRAM = b"#!/bin/sh\necho I am it\n"
SHA256 = hashlib.sha256(PROGRAM).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The program, where it may be had."""
    path = tmp_path / "tool"
    path.write_bytes(PROGRAM)
    return path


def pin(*places: object) -> Pin:
    return Pin("tool", "1.0", SHA256, tuple(map(str, places)))


def mode_and_files(path: Path) -> tuple[int, list[str]]:
    return path.stat().st_mode & 0o777, [file.name for file in path.parent.iterdir()]


async def test_the_second_place_is_tried_and_what_is_there_is_kept(
    around: Surroundings, file: Path
) -> None:
    path = await ensure_program(around, pin("/nowhere/tool", file))
    assert path.read_bytes() == PROGRAM
    assert mode_and_files(path) == (0o700, ["tool-1.0"])
    assert await ensure_program(around, pin("/nowhere/tool")) == path


async def test_another_program_is_refused_and_does_not_stay(
    around: Surroundings, file: Path
) -> None:
    os.truncate(file, len(PROGRAM) - 1)
    with pytest.raises(RouteError, match="it is another program") as refused:
        await ensure_program(around, pin(file))
    assert SHA256 in refused.value.hint
    assert not list((around.directory / "bin").iterdir())


async def test_a_program_that_was_changed_on_the_disk_is_fetched_again(
    around: Surroundings, file: Path
) -> None:
    path = await ensure_program(around, pin(file))
    path.write_bytes(b"#!/bin/sh\nrm -rf /\n")
    with pytest.raises(RouteError, match=r"cannot be fetched: /nowhere/tool: .*No such file"):
        await ensure_program(around, pin("/nowhere/tool"))
    assert (await ensure_program(around, pin(file))).read_bytes() == PROGRAM


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("answer", [HEAD + b"400\r\n#!/bin", b"no such thing\r\n", b""])
async def test_a_mirror_that_is_cut_or_none_is_followed_by_the_next_place(
    around: Surroundings, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    async with mirror(answer, tmp_path / "pem", monkeypatch) as place:
        assert (await ensure_program(around, pin(place, file))).read_bytes() == PROGRAM


async def test_what_is_no_place_is_followed_by_the_next(around: Surroundings, file: Path) -> None:
    places = ("https://[::1/tool", "https://x:y/tool", file)
    assert (await ensure_program(around, pin(*places))).read_bytes() == PROGRAM


@asynccontextmanager
async def mirror(answer: bytes, pem: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[str]:
    """A server of https that gives one answer and hangs up."""

    async def serve(stream: ByteStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(answer)

    monkeypatch.setenv("no_proxy", "*")
    server, _ = make_contexts(pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        background() as tasks,
    ):
        tasks.start_soon(TLSListener(listener, server, standard_compatible=False).serve, serve)
        yield f"https://localhost:{port_of(listener)}/tool"


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    """A place that can be opened and never says anything."""
    path = tmp_path / "silent"
    os.mkfifo(path)
    return path


async def test_a_place_that_does_not_come_to_an_end_is_followed_by_the_next(
    around: Surroundings, silent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "FETCH_S", 0.2)
    with pytest.raises(RouteError, match=r"silent: not all of it came within .*; /nowhere/tool: "):
        await ensure_program(around, pin(silent, "/nowhere/tool"))


async def test_it_can_be_ended_at_any_time(around: Surroundings, silent: Path) -> None:
    with anyio.move_on_after(0.2) as scope:
        await ensure_program(around, pin(silent))
    assert scope.cancelled_caught
    assert not list((around.directory / "bin").iterdir())


async def test_a_folder_that_cannot_be_is_said(around: Surroundings, file: Path) -> None:
    (around.directory / "bin").write_text("")
    with pytest.raises(RouteError, match="tool cannot be kept here"):
        await ensure_program(around, pin(file))


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
