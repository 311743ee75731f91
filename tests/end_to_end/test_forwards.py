"""`towline forward`: the machine's ports and sockets on this computer, kept open by the engine."""

from __future__ import annotations

import os
import socket
import socketserver
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.end_to_end.laptop import Laptop, wait_until
from tests.end_to_end.sshd import Machine

BLOB = os.urandom(4 << 20)


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(1 << 16):
            self.request.sendall(data)


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True


class _Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@contextmanager
def serving(server: socketserver.BaseServer) -> Generator[None]:
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def echo() -> Generator[int]:
    """A program of the machine that sends back what it gets; yield its port."""
    server = _Tcp(("127.0.0.1", 0), _Echo)
    with serving(server):
        yield server.server_address[1]


def connect(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=15)


def asks(connection: socket.socket, data: bytes) -> bytes:
    """Return what comes back for `data`, as much as was sent."""
    threading.Thread(target=connection.sendall, args=(data,), daemon=True).start()
    got = bytearray()
    while len(got) < len(data) and (part := connection.recv(1 << 16)):
        got += part
    return bytes(got)


def opened(laptop: Laptop, *words: str) -> dict[str, Any]:
    (forward,) = laptop.tell("forward", *words)
    return forward


def test_an_open_connection_goes_on_after_a_cut(laptop: Laptop, machine: Machine) -> None:
    with laptop.linked() as link, echo() as port:
        forward = opened(laptop, f"0:{port}")
        with connect(forward["listen"]) as connection:
            assert asks(connection, BLOB) == BLOB
            assert machine.kill_connections()
            with connect(forward["listen"]) as other:  # Made while the machine is away.
                assert asks(connection, BLOB) == BLOB
                assert asks(other, b"hello") == b"hello"
            assert laptop.tell("forward", "--list")[0]["open"] >= 1
        link.wait_for("resumed")


def test_a_port_that_is_taken_here_is_replaced_unless_it_was_named(laptop: Laptop) -> None:
    with laptop.linked(), echo() as port:  # One computer plays both: the port is taken.
        done = laptop.run("forward", str(port))
        assert done.returncode == 0, done.stderr
        assert f"port {port} here is taken by another program; another one" in done.stderr
        with connect(done.stdout.split()[0]) as connection:
            assert asks(connection, b"hello") == b"hello"
        again = laptop.run("forward", str(port))
        assert again.stdout == done.stdout, "the same forward is no second one"
        named = laptop.run("forward", f"{port}:{port}")
        assert named.returncode == 75
        assert f"`towline forward 0:{port}` takes any free port" in named.stderr


def test_what_nobody_listens_to_is_told_once(laptop: Laptop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with laptop.linked() as link:
        forward = opened(laptop, f"0:{port}")
        reason = f"nothing listens on port {port} of the machine"
        for _ in range(3):
            with connect(forward["listen"]) as connection:
                assert connection.recv(1) == b""
        link.wait_for("forward failed", reason=reason, target=str(port))
        assert len(link.named("forward failed")) == 1
        assert laptop.tell("forward", "--list")[0]["failure"] == reason
        assert reason in laptop.run("log").stdout


def test_sockets_and_hosts_at_either_end(laptop: Laptop, short_path: Path) -> None:
    there, here = str(short_path / "there"), str(short_path / "here")
    with laptop.linked(), echo() as port, serving(_Unix(there, _Echo)):
        with connect(opened(laptop, there)["listen"]) as connection:
            assert asks(connection, b"one") == b"one"
        with connect(opened(laptop, f"0:localhost:{port}")["listen"]) as connection:
            assert asks(connection, b"two") == b"two"
        assert opened(laptop, f"{here}:{port}")["listen"] == here
        assert os.stat(here).st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(here)
            assert asks(connection, b"three") == b"three"
        taken = laptop.run("forward", f"{there}:{port}")
        assert "exists already" in taken.stderr


def test_a_forward_is_closed_when_asked_and_with_the_engine(laptop: Laptop) -> None:
    with laptop.linked(), echo() as port:
        first, second = opened(laptop, f"0:{port}"), opened(laptop, f"0:localhost:{port}")
        with connect(first["listen"]) as connection:
            assert asks(connection, b"hello") == b"hello"
            (closed,) = laptop.tell("forward", "--stop", str(port))
            assert closed["listen"] == first["listen"]
            assert connection.recv(1) == b""
        wait_until(lambda: not is_listening(first["listen"]), "the port is free again")
        assert is_listening(second["listen"])
        unknown = laptop.run("forward", "--stop", "1")
        assert unknown.returncode == 1
        assert "no forward 1" in unknown.stderr
    assert not is_listening(second["listen"])


def is_listening(listen: str) -> bool:
    try:
        connect(listen).close()
    except ConnectionRefusedError:
        return False
    return True
