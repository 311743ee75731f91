"""The real sshd: what it is told, and one that starts and does not serve."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from towline.machine import sshd as module
from towline.machine.place import Place, ensure_place
from towline.machine.sshd import Sshd, SshdError, open_sshd, prepare


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return ensure_place(tmp_path / "place")


def program(tmp_path: Path, text: str) -> str:
    file = tmp_path / "sshd"
    file.write_text(f"#!{sys.executable}\n{text}")
    file.chmod(0o755)
    return str(file)


OLD = """\
import sys
text = open(sys.argv[-1]).read()
sys.exit("Bad configuration option: PerSourcePenalties" if "PerSource" in text else 0)
"""


@pytest.mark.parametrize(("sshd", "is_told"), [("", True), (OLD, False)])
def test_who_knocks_from_loopback_does_not_lock_its_owner_out(
    place: Place, tmp_path: Path, sshd: str, is_told: bool
) -> None:
    prepare(program(tmp_path, sshd), place, 42022, "ana", {})
    assert ("PerSourcePenalties no\n" in place.sshd_config.read_text()) == is_told


SERVES_NOBODY = """\
import os, socket, time
open({pid!r}, "w").write(str(os.getpid()))
listener = socket.create_server(("127.0.0.1", {port}))
while True:
    connection, _ = listener.accept()
    {then}
"""


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("then", ["connection.close()", "time.sleep(60)"])
async def test_one_that_serves_nobody_is_not_used(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    monkeypatch.setattr("towline.machine.sshd.START_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = SERVES_NOBODY.format(pid=str(place.sshd_pid), port=port, then=then)
    with anyio.fail_after(10), pytest.raises(SshdError, match="does not answer"):
        async with open_sshd(Sshd(program(tmp_path, text), place, port)):
            pass


ANSWERS = """\
import os, socket
open({pid!r}, "w").write(str(os.getpid()))
listener = socket.create_server(("127.0.0.1", {port}))
while True:
    connection, _ = listener.accept()
    connection.sendall(b"SSH-")
"""


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_one_that_cannot_be_started_for_a_while_is_started_again(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towline.machine.sshd.BACKOFF_S", (0.0, 0.05))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sshd = program(tmp_path, ANSWERS.format(pid=str(place.sshd_pid), port=port))
    away = f"{sshd}.away"
    failed, start = anyio.Event(), module._start

    async def note(sshd: Sshd) -> Process:
        try:
            return await start(sshd)
        except OSError:
            failed.set()
            raise

    monkeypatch.setattr(module, "_start", note)
    async with open_sshd(Sshd(sshd, place, port)):
        os.rename(sshd, away)
        os.kill(int(place.sshd_pid.read_text()), signal.SIGKILL)
        with anyio.fail_after(10):
            await failed.wait()
        os.rename(away, sshd)
        with anyio.fail_after(10):
            while not await answers(port):  # noqa: ASYNC110 - it tells nobody when it is up.
                await anyio.sleep(0.02)


async def answers(port: int) -> bool:
    try:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            return await stream.receive() == b"SSH-"
    except OSError:
        return False
