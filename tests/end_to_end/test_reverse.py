"""`towline forward --reverse`: programs of the machine reach ports of this computer."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

from tests.end_to_end.laptop import Laptop, wait_until
from tests.end_to_end.sshd import Machine
from tests.end_to_end.test_forwards import BLOB, _Echo, _Unix, asks, connect, echo, serving


def reversed_to(laptop: Laptop, words: str) -> dict[str, Any]:
    (forward,) = laptop.tell("forward", "--reverse", words)
    assert forward["direction"] == "reverse"
    return forward


def can_connect(listen: str) -> bool:
    try:
        connect(listen).close()
    except ConnectionRefusedError:
        return False
    return True


def test_an_open_connection_goes_on_after_a_cut(laptop: Laptop, machine: Machine) -> None:
    with laptop.linked() as link, echo() as port:
        listen = reversed_to(laptop, f"0:{port}")["listen"]
        with connect(listen) as connection:
            assert asks(connection, BLOB) == BLOB
            assert machine.kill_connections()
            with connect(listen) as other:  # Made while the laptop is away.
                assert asks(connection, BLOB) == BLOB
                assert asks(other, b"hello") == b"hello"
            assert laptop.tell("forward", "--list")[0]["open"] >= 1
        link.wait_for("resumed")


def test_many_at_once_each_get_their_own_answer(laptop: Laptop) -> None:
    with laptop.linked(), echo() as port:
        listen = reversed_to(laptop, f"0:{port}")["listen"]
        connections = [connect(listen) for _ in range(40)]
        for number, connection in enumerate(connections):
            connection.sendall(b"%3d" % number)
        for number, connection in enumerate(connections):
            with connection:
                assert connection.recv(3, socket.MSG_WAITALL) == b"%3d" % number


def test_it_is_asked_for_again_after_a_new_life_of_the_agent(
    laptop: Laptop, machine: Machine
) -> None:
    with laptop.linked() as link, echo() as port:
        listen = reversed_to(laptop, f"0:{port}")["listen"]
        for _ in range(2):
            with connect(listen) as connection:
                assert asks(connection, b"hello") == b"hello"
                after = link.mark()
                os.kill(laptop.agent(), signal.SIGKILL)
                assert connection.recv(1) == b""
            link.wait_for("ready", after=after)
            wait_until(lambda: can_connect(listen), "it listens again, at the same port")
        with connect(listen) as connection:
            assert asks(connection, BLOB) == BLOB


def test_it_ends_when_told(laptop: Laptop) -> None:
    with laptop.linked(), echo() as port:
        listen = reversed_to(laptop, f"0:{port}")["listen"]
        with connect(listen) as connection:
            assert asks(connection, b"hello") == b"hello"
            there = listen.rpartition(":")[2]
            assert f"{listen} there  →  {port} here" in laptop.run("forward", "--list").stdout
            (closed,) = laptop.tell("forward", "--stop", there)
            assert closed["listen"] == listen
            assert connection.recv(1) == b""
        wait_until(lambda: not can_connect(listen), "the port is free again")


def test_it_ends_with_the_engine(laptop: Laptop) -> None:
    with laptop.linked() as link, echo() as port:
        listen = reversed_to(laptop, f"0:{port}")["listen"]
        assert can_connect(listen)
        assert laptop.run("stop").returncode == 0
        assert link.wait_exit() == 0
        assert not can_connect(listen)
    with laptop.linked(), echo() as port:
        assert reversed_to(laptop, f"{listen.rpartition(':')[2]}:{port}")["listen"] == listen
    assert not can_connect(listen)


def test_what_cannot_be_is_told(laptop: Laptop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        nothing = unused.getsockname()[1]
    with laptop.linked() as link, echo() as port:
        refused = laptop.run("forward", "--reverse", str(port))  # One computer: it is taken.
        assert refused.returncode == 75
        assert f"port {port} of the machine is taken by another program" in refused.stderr
        assert laptop.tell("forward", "--list") == []
        listen = reversed_to(laptop, f"0:{nothing}")["listen"]
        with connect(listen) as connection:
            assert connection.recv(1) == b""
        link.wait_for("forward failed", reason=f"nothing answers at {nothing} here")
        for words in ("x", "0", "80:", "80:1:2", "~/s"):
            assert laptop.run("forward", "--reverse", words).returncode == 2, words


def test_sockets_at_both_ends(laptop: Laptop, short_path: Path) -> None:
    there, here = str(short_path / "there"), str(short_path / "here")
    with laptop.linked(), serving(_Unix(here, _Echo)):
        assert reversed_to(laptop, f"{there}:{here}")["listen"] == there
        assert os.stat(there).st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(15)
            connection.connect(there)
            assert asks(connection, b"hello") == b"hello"
        laptop.tell("forward", "--stop", there)
        wait_until(lambda: not os.path.exists(there), "the socket is gone")
