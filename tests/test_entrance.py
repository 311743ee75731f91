"""The first connection, ahead of whoever needs it. The real ssh is in tests/end_to_end."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from towline.config import load
from towline.entrance import Entrance
from towline.line.errors import ConnectError, ConnectKind
from towline.places import Workspaces
from towline.request import LinkRequest

pytestmark = pytest.mark.anyio

STAND_IN = """\
#!/bin/sh
echo $$ >>"$HOME/started"
for command; do :; done
nonce=$(printf %s "$command" | sed "s/.* towline '\\([0-9a-f]*\\)' .*/\\1/")
echo "TOWLINE $nonce HAVE"
exec cat >/dev/null  # An agent says nothing of what it is sent.
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def started(homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have something stand for ssh and an agent; return the file in which each start is noted."""
    program = tmp_path / "ssh"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    monkeypatch.setenv("TOWLINE_SSH", str(program))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "started"


@pytest.fixture
def entrance(homes: Path, tmp_path: Path) -> Entrance:
    return Entrance(LinkRequest("w1", "demo", tmp_path, "anywhere"), load(tmp_path, {}))


def starts(started: Path) -> list[int]:
    return [int(word) for word in started.read_text().split()] if started.exists() else []


@asynccontextmanager
async def connected(entrance: Entrance) -> AsyncGenerator[None]:
    async with entrance.connect(attended=False):
        yield


async def test_the_first_to_connect_gets_what_was_begun_and_the_next_a_new_one(
    started: Path, entrance: Entrance
) -> None:
    async with entrance.begun(attended=False):
        for count in (1, 2):
            async with connected(entrance):
                assert len(starts(started)) == count


async def test_what_nobody_uses_is_ended(started: Path, entrance: Entrance) -> None:
    async with entrance.begun(attended=False):
        begun = entrance._begun
        assert begun is not None
        await begun.receive(1)  # It runs.
    (process,) = starts(started)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


async def test_nothing_is_begun_unless_asked(started: Path, entrance: Entrance) -> None:
    assert starts(started) == []
    async with connected(entrance):
        assert len(starts(started)) == 1


def unasked(entrance: Entrance) -> bool:
    """Whether the agent would follow the command without being asked for."""
    return entrance._arguments(attended=False)[-1].endswith(" 'yes'")


async def test_the_agent_is_sent_unasked_until_the_host_was_seen_to_have_it(
    started: Path, homes: Path, tmp_path: Path
) -> None:
    def entrance_to(project: str) -> Entrance:
        (tmp_path / project).mkdir(exist_ok=True)
        known = Workspaces().ensure(tmp_path / project, "anywhere")
        request = LinkRequest(known.id, known.name, known.project, known.destination)
        return Entrance(request, load(tmp_path, {}))

    first = entrance_to("first")
    assert unasked(first)
    async with first.begun(attended=False), connected(first):
        pass
    assert not unasked(entrance_to("first"))
    assert not unasked(entrance_to("second")), "another project on the same host"
    one = next(iter(Workspaces()))
    Workspaces().save(dataclasses.replace(one, bundle="of an older towline"))
    assert unasked(entrance_to("first"))


async def test_that_there_is_no_ssh_is_told_to_who_connects(
    entrance: Entrance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWLINE_SSH", "/nowhere/ssh")
    async with entrance.begun(attended=False):
        with pytest.raises(ConnectError) as told:
            async with connected(entrance):
                pass
    assert told.value.kind is ConnectKind.NO_SSH
