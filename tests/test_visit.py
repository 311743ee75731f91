"""The laptop's end of frp stcp, zrok and Colab, by stand-ins that carry as the programs do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_proxy import BANNER, BLOB, WAIT_S, speaking
from towline.core.address import Tcp, Visit

STANDIN = Path(__file__).with_name("visitor_standin.py")
FRP = Visit("frp", "nb", "s-1", "frps.example", 7000)
ZROK = Visit("zrok", "7csd9xb2p1sf")
COLAB = Visit("colab", "my-gpu", host="127.0.0.1", port=42022)


def program(directory: Path, name: str) -> None:
    """Put a stand-in of this name where programs are looked for."""
    directory.mkdir(exist_ok=True)
    file = directory / name
    file.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{STANDIN}" {name} "$@"\n')
    file.chmod(0o755)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A laptop on which the programs are, and a machine at the other end."""
    for name in ("frpc", "zrok2"):
        program(tmp_path / "bin", name)
    with speaking(BANNER) as port:
        yield {
            **os.environ,
            "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
            "TMPDIR": str(tmp_path),
            "VISITED_PORT": str(port),
            "VISITED_LOG": str(tmp_path / "log"),
            "TOWLINE_FRP_TOKEN": "t-1",
        }


def start(tmp_path: Path, environment: dict[str, str], *ways: object) -> subprocess.Popen[bytes]:
    file = tmp_path / "addresses"
    file.write_text("\n".join(map(str, ways)))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "towline.proxy", "--from", file, "name"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    )


@pytest.mark.parametrize("address", [FRP, ZROK], ids=lambda address: address.program)
@pytest.mark.parametrize("others", [(), (Tcp("127.0.0.1", 1),)], ids=["alone", "of several"])
def test_bytes_go_both_ways_and_nothing_stays(
    tmp_path: Path, environment: dict[str, str], address: Visit, others: tuple[Tcp, ...]
) -> None:
    with start(tmp_path, environment, *others, address) as process:
        out, said = process.communicate(BLOB, timeout=WAIT_S)
    assert (out == BANNER + BLOB, said) == (True, b"")
    told = (tmp_path / "log").read_text()
    assert told.count("\n") == 1
    assert "s-1" not in told, "a secret stands in no argument"
    if address is ZROK:
        assert told.endswith(" 7csd9xb2p1sf\n")
    assert not list(tmp_path.glob("towline-visit-*")), "nor does its file stay"


def test_what_ssh_ends_ends_the_program_too(tmp_path: Path, environment: dict[str, str]) -> None:
    with start(tmp_path, environment, ZROK) as process:
        assert process.stdout is not None
        assert process.stdout.read(len(BANNER)) == BANNER
        port = int((tmp_path / "log").read_text().split()[5].rpartition(":")[2])
        process.send_signal(signal.SIGHUP)
        process.wait(WAIT_S)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    assert not list(tmp_path.glob("towline-visit-*"))


@pytest.mark.parametrize("address", [FRP, ZROK, COLAB], ids=lambda address: address.program)
def test_a_program_that_is_missing_is_named(
    tmp_path: Path, environment: dict[str, str], address: Visit
) -> None:
    environment["PATH"] = "/nowhere"
    with start(tmp_path, environment, address) as process:
        _, said = process.communicate(b"", timeout=WAIT_S)
    assert process.returncode == 69
    assert b"this way in needs the program" in said


def test_why_the_program_ended_is_told(tmp_path: Path, environment: dict[str, str]) -> None:
    environment["VISITED_ERROR"] = "[ERROR]: unable to load\x1b[2J environment"
    with start(tmp_path, environment, ZROK) as process:
        _, said = process.communicate(b"", timeout=WAIT_S)
    assert process.returncode == 69
    assert b"zrok does not lead to the machine: [ERROR]: unable to load [2J environment" in said


def test_colab_is_entered_by_its_own_program_and_left_by_a_hop_to_our_server(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    program(tmp_path / "bin", "colab")
    ssh = tmp_path / "ssh"
    ssh.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/argv\nprintf "{BANNER[:-2].decode()}"\n'
    )
    ssh.chmod(0o755)
    environment["TOWLINE_SSH"] = str(ssh)
    with start(tmp_path, environment, COLAB) as process:
        out, _ = process.communicate(b"", timeout=WAIT_S)
    assert out == BANNER[:-2]
    words = (tmp_path / "argv").read_text().splitlines()
    assert f"ProxyCommand={tmp_path}/bin/colab ssh --proxy-mode -s my-gpu" in words
    assert words[-3:] == ["-W", "127.0.0.1:42022", "root@colab-runtime"]
