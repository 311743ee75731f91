"""A forward and a shell through it, over a link that is gone for twenty seconds."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from lab.wan import Link, wan
from tests.end_to_end.laptop import Laptop, laptop_in
from tests.end_to_end.sshd import Machine
from tests.end_to_end.test_forwards import asks, connect, opened
from tests.terminal import Terminal

CUT_S = 20.0
RTT_MS = 50
MachineOver = Callable[[Link], AbstractContextManager[Machine]]

pytestmark = pytest.mark.soak

ECHO = """\
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    peer, _ = listener.accept()
    with peer:
        while data := peer.recv(65536): peer.sendall(data)
"""


def echo_on(machine: Machine) -> int:
    """Start a program there that sends back what it gets; return its port."""
    quoted = shlex.quote(ECHO)
    line = f"(setsid {sys.executable} -c {quoted} 2>/dev/null < /dev/null &) | head -n 1"
    argv = ["ssh", "-F", str(machine.config), machine.name, line]
    return int(subprocess.run(argv, check=True, capture_output=True).stdout)


def shell_through(laptop: Laptop, port: int) -> Terminal:
    """A shell with a terminal, entered by the person's own ssh through the forward."""
    options = [f"Port={port}", "HostName=127.0.0.1", "ProxyCommand=none", "ControlPath=none"]
    words = [word for option in options for word in ("-o", option)]
    argv = ["ssh", "-F", str(laptop.machine.config), *words, "-tt", laptop.machine.name]
    return Terminal([*argv, "PS1= exec sh"])


def says(terminal: Terminal, line: str, answer: str) -> None:
    """Type a line; wait for what its program prints, which is not in the line."""
    assert answer not in line
    terminal.type(f"{line}\n")
    terminal.wait_shown(answer)


def test_they_go_on(machine_over: MachineOver, short_path: Path) -> None:
    with (
        wan(rtt_ms=RTT_MS) as way,
        machine_over(way) as machine,
        laptop_in(short_path / "laptop", machine) as laptop,
        laptop.linked() as link,
    ):
        forward = opened(laptop, f"0:{echo_on(machine)}")
        login = opened(laptop, f"0:{machine.address}:{machine.port}")
        with (
            connect(forward["listen"]) as connection,
            shell_through(laptop, int(login["listen"].rpartition(":")[2])) as terminal,
        ):
            connection.settimeout(60)
            assert asks(connection, b"before") == b"before"
            says(terminal, "kept=$((40 + 2)); echo is $kept", "is 42")
            way.set(cut="on")
            link.wait_for("disconnected", timeout_s=30)
            time.sleep(CUT_S)  # How long the network is gone; nothing is waited for.
            way.set(cut="off")
            began = time.monotonic()
            assert asks(connection, b"after") == b"after"
            says(terminal, "echo still $kept", "still 42")
            print(f"both went on {time.monotonic() - began:.2f} s after the network came back")
        assert not any(event["new_life"] for event in link.named("resumed"))
