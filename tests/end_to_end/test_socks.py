"""`towline forward --socks`: connections of programs here go out from the machine."""

from __future__ import annotations

import http.server
import os
import shutil
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.laptop import Laptop
from tests.end_to_end.sshd import Machine
from tests.end_to_end.test_forwards import BLOB, asks, connect, echo, opened, serving

HELLO, AGREED = b"\x05\x01\x00", b"\x05\x00"
GRANTED = b"\x05\x00\x00\x01" + bytes(6)
UNREACHABLE = b"\x05\x04\x00\x01" + bytes(6)


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BLOB)))
        self.end_headers()
        self.wfile.write(BLOB)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there.
        ...


@contextmanager
def page() -> Generator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    with serving(server):
        yield server.server_address[1]


def read(connection: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size and (part := connection.recv(size - len(got))):
        got += part
    return got


def to(connection: socket.socket, port: int, name: bytes = b"localhost") -> bytes:
    """Ask for a connection; return the answer."""
    connection.sendall(HELLO)
    assert read(connection, 2) == AGREED
    request = b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big")
    connection.sendall(request)
    return read(connection, 10)


def curl(listen: str, url: str, how: str = "--socks5-hostname") -> tuple[int, bytes]:
    """Return the exit code and what came. curl would skip a proxy for localhost: not this one."""
    argv = ["curl", "--silent", "--max-time", "15", "--noproxy", "", how, listen, url]
    done = subprocess.run(argv, capture_output=True, timeout=20)
    return done.returncode, done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_goes_out_from_the_machine(laptop: Laptop) -> None:
    with laptop.linked() as link, page() as port:
        listen = opened(laptop, "--socks", "0")["listen"]
        for url in (f"http://localhost:{port}/", f"http://127.0.0.1:{port}/"):
            assert curl(listen, url) == (0, BLOB)
        assert curl(listen, f"http://127.0.0.1:{port}/", "--socks5") == (0, BLOB)
        with socket.create_server(("127.0.0.1", 0)) as unused:
            nothing = unused.getsockname()[1]
        code, _ = curl(listen, f"http://localhost:{nothing}/")
        assert code == 97, "curl is told in SOCKS that there is no such connection"
        (listed,) = laptop.tell("forward", "--list")
        assert (listed["direction"], listed["listen"]) == ("socks", listen)
        assert "nothing listens" in listed["failure"]
        assert link.named("forward failed") == [], "the client was told"


def test_an_open_connection_goes_on_after_a_cut(laptop: Laptop, machine: Machine) -> None:
    with laptop.linked() as link, echo() as port:
        listen = opened(laptop, "--socks", "0")["listen"]
        with connect(listen) as connection:
            assert to(connection, port) == GRANTED
            assert asks(connection, BLOB) == BLOB
            assert machine.kill_connections()
            assert asks(connection, BLOB) == BLOB
        link.wait_for("resumed")


def test_hostile_bytes_end_that_connection_only(laptop: Laptop) -> None:
    hostile = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00",
        b"\x05\xff" + bytes(255)[:-1] + b"\x01\x05\x01\x00\x03\x00\x00\x00",
        b"\x05\x01\x02",
        HELLO + b"\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50",
        HELLO + b"\x05\x01\x00\x03\x03a\x00b\x00\x50",
        HELLO + b"\x05\x01\x00\x03\xff" + b"n" * 255 + b"\x00\x50",
        b"\xff" * 5000,
    ]
    with laptop.linked(), echo() as port:
        listen = opened(laptop, "--socks", "0")["listen"]
        for words in hostile:
            with connect(listen) as connection:
                connection.sendall(words)
                try:
                    while part := connection.recv(1 << 16):
                        assert GRANTED not in part
                except ConnectionResetError:
                    pass
        with connect(listen) as connection:
            assert to(connection, 1) == UNREACHABLE
            assert connection.recv(1) == b""
        with connect(listen) as connection:
            assert to(connection, port) == GRANTED
            assert asks(connection, b"hello") == b"hello"


def test_it_listens_where_it_is_told_and_ends_when_told(laptop: Laptop, short_path: Path) -> None:
    here = str(short_path / "socks")
    with laptop.linked(), echo() as port:
        assert opened(laptop, "--socks", here)["listen"] == here
        assert opened(laptop, "--socks", here)["listen"] == here, "no second one"
        assert os.stat(here).st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(15)
            connection.connect(here)
            assert to(connection, port, b"127.0.0.1") == GRANTED
            assert asks(connection, b"hello") == b"hello"
            assert len(laptop.tell("forward", "--stop", "socks")) == 1
            assert connection.recv(1) == b""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            refused = laptop.run("forward", "--socks", str(taken.getsockname()[1]))
        assert refused.returncode == 75
        assert "`towline forward --socks 0` takes any free port" in refused.stderr
