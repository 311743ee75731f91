"""The first connection, ahead of whoever needs it. The real ssh is in tests/end_to_end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from towline.dial import dialled
from towline.errors import UserError
from towline.line.errors import ConnectError, ConnectKind
from towline.request import LinkRequest

pytestmark = pytest.mark.anyio

STAND_IN = """\
#!/bin/sh
echo $$ >>"$HOME/started"
for command; do :; done
nonce=$(printf %s "$command" | sed "s/.* towline '\\([0-9a-f]*\\)' .*/\\1/")
echo "TOWLINE $nonce HAVE"
exec cat
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
def request_here(tmp_path: Path) -> LinkRequest:
    return LinkRequest("w1", "demo", tmp_path, "anywhere")


def starts(started: Path) -> int:
    return len(started.read_text().split()) if started.exists() else 0


async def test_the_first_to_open_gets_what_was_begun_and_the_next_a_new_one(
    started: Path, request_here: LinkRequest
) -> None:
    async with dialled(request_here, ahead=True) as dial:
        for count in (1, 2):
            async with dial.open(attended=False):
                assert starts(started) == count


async def test_what_nobody_opens_is_ended(started: Path, request_here: LinkRequest) -> None:
    async with dialled(request_here, ahead=True) as dial:
        process = dial._begun
        assert process is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


async def test_nothing_is_begun_unless_asked(started: Path, request_here: LinkRequest) -> None:
    async with dialled(request_here, ahead=False):
        pass
    assert starts(started) == 0


async def test_that_there_is_no_ssh_is_told_to_who_opens(
    request_here: LinkRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWLINE_SSH", "/nowhere/ssh")
    async with dialled(request_here, ahead=True) as dial:
        with pytest.raises(ConnectError) as told:
            async with dial.open(attended=False):
                pass
    assert told.value.kind is ConnectKind.NO_SSH


async def test_a_configuration_that_cannot_be_used_starts_no_ssh(
    started: Path, request_here: LinkRequest
) -> None:
    (request_here.project / "towline.toml").write_text("nonsense = ")
    with pytest.raises(UserError):
        async with dialled(request_here, ahead=True):
            pass
    assert starts(started) == 0
