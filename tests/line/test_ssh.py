"""ssh's arguments and the meaning of its last words. The real ssh is in tests/end_to_end."""

from __future__ import annotations

import gc
import subprocess
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import ByteStream

from towline.engine import memory
from towline.line import live
from towline.line.bootstrap import Bootstrap
from towline.line.errors import ConnectKind
from towline.line.options import SshOptions
from towline.line.process import ProcessStream, open_process_stream
from towline.line.ssh import command_line, explain, explained

ALL = SshOptions(
    config_file="conf",
    port=2222,
    identity="key",
    jump="hop",
    options=("Compression=yes",),
)


def test_what_the_person_passes_comes_before_ours() -> None:
    arguments = command_line(ALL, "gpu", "true", attended=True)
    given = ["-F", "conf", "-p", "2222", "-i", "key", "-J", "hop", "-o", "Compression=yes"]
    assert arguments[: 4 + len(given)] == ["ssh", "-T", "-e", "none", *given]
    assert arguments[-3:] == ["--", "gpu", "true"]


def test_only_without_a_person_ssh_never_asks() -> None:
    assert "BatchMode=yes" not in command_line(ALL, "gpu", "true", attended=True)
    assert "BatchMode=yes" in command_line(ALL, "gpu", "true", attended=False)


def test_another_program_can_stand_for_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOWLINE_SSH", "/opt/ssh")
    assert command_line(SshOptions(), "gpu", "true", attended=True)[0] == "/opt/ssh"


def test_the_real_ssh_takes_them_all(tmp_path: Path) -> None:
    (tmp_path / "conf").write_text("Host gpu\n  RemoteCommand tmux\n  RequestTTY force\n")
    options = SshOptions(config_file=str(tmp_path / "conf"), port=2222, options=("User=ada",))
    arguments = command_line(options, "gpu", "true", attended=False)
    shown = subprocess.run([arguments[0], "-G", *arguments[1:]], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    settings = dict(line.split(" ", 1) for line in shown.stdout.splitlines())
    assert settings["user"] == "ada"
    assert settings["port"] == "2222"
    assert settings["requesttty"] == "false"
    assert settings["clearallforwardings"] == "yes"
    assert settings["connecttimeout"] == "15"


@pytest.mark.parametrize(
    ("status", "stderr", "kind"),
    [
        (255, "root@gpu: Permission denied (publickey).\n", ConnectKind.AUTH),
        (
            255,
            "@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@\n"
            "Permission denied (publickey)",
            ConnectKind.HOST_KEY,
        ),
        (255, "No ED25519 host key is known for gpu and ...", ConnectKind.HOST_KEY),
        (255, "ssh: connect to host gpu port 22: Connection refused", ConnectKind.REFUSED),
        (255, "ssh: Could not resolve hostname gpu: Name or ...", ConnectKind.UNREACHABLE),
        (255, "ssh: connect to host gpu port 22: Connection timed out", ConnectKind.UNREACHABLE),
        (255, "Timeout, server gpu not responding.", ConnectKind.UNREACHABLE),
        (255, "kex_exchange_identification: Connection closed by ...", ConnectKind.UNREACHABLE),
        (255, "", ConnectKind.UNREACHABLE),
        (-9, "", ConnectKind.UNREACHABLE),
        (0, "", ConnectKind.UNREACHABLE),
        (255, "command-line: line 0: Bad configuration option: x", ConnectKind.OTHER),
        (1, "This account is currently not available.", ConnectKind.AUTH),
        (126, "something else altogether", ConnectKind.OTHER),
    ],
)
def test_the_last_words_of_ssh_are_understood(status: int, stderr: str, kind: ConnectKind) -> None:
    assert explain(status, stderr).kind is kind


def test_what_the_machine_printed_is_passed_on_if_ssh_said_nothing() -> None:
    error = explain(1, "", "\n\nThis service allows sftp connections only.\n")
    assert "sftp connections only" in error.message


CONNECTIONS = 4


@pytest.mark.anyio
async def test_what_connections_that_are_over_held_is_freed_without_a_look_at_all(
    bootstrap: Bootstrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each grows old while it lives, as it does in an engine, and is not looked at any more."""
    monkeypatch.setattr(live, "BACKOFF_S", (0.0,))
    opened: list[weakref.ref[ProcessStream]] = []
    connected = anyio.Event()

    @asynccontextmanager
    async def connect(attended: bool) -> AsyncIterator[ByteStream]:
        nonlocal connected
        async with open_process_stream(["cat"], attended=attended) as process:
            opened.append(weakref.ref(process))
            connected.set()
            yield explained(process, process, bootstrap)

    gc.disable()
    try:
        async with live.open_line(connect, software="test 1"):
            for _ in range(CONNECTIONS):
                await connected.wait()
                connected = anyio.Event()
                memory.free_cycles()
                await _end(opened[-1])
            await connected.wait()
            memory.free_cycles()
            assert [ref() for ref in opened[:-1]] == [None] * CONNECTIONS
    finally:
        gc.enable()


async def _end(opened: weakref.ref[ProcessStream]) -> None:
    process = opened()
    assert process is not None
    await process.send_eof()
