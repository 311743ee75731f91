"""`towline.proxy` as ssh runs it: bytes in, bytes out, over whatever the address says."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from towline.core.address import Jump, Tcp, Visit, WebSocket
from towline.proxy import pump
from towline.routes.bridge import open_bridge

WAIT_S = 30
BLOB = os.urandom(4 << 20)


@pytest.fixture
def echo() -> Iterator[int]:
    """A port that sends back what it gets, all of it, then ends."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while data := connection.recv(1 << 16):
                connection.sendall(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(WAIT_S)


def proxy(
    tmp_path: Path, *addresses: object, given: bytes = BLOB
) -> subprocess.CompletedProcess[bytes]:
    file = tmp_path / "addresses"
    file.write_text("\n".join(map(str, addresses)))
    return subprocess.run(
        [sys.executable, "-P", "-m", "towline.proxy", "--from", file, "name"],
        input=given,
        capture_output=True,
        timeout=WAIT_S,
        check=False,
    )


def test_bytes_go_both_ways_at_once_and_end(tmp_path: Path, echo: int) -> None:
    done = proxy(tmp_path, Tcp("127.0.0.1", echo))
    assert (done.returncode, done.stdout == BLOB, done.stderr) == (0, True, b"")


def test_the_same_through_web_socket_messages(tmp_path: Path, echo: int) -> None:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_bridge(echo)) as bridge,
    ):
        address = WebSocket("127.0.0.1", bridge.port, token=bridge.token, secure=False)
        done = proxy(tmp_path, address)
    assert (done.returncode, done.stdout == BLOB, done.stderr) == (0, True, b"")


# Several ways, of which the first whose SSH server speaks is taken

BANNER = b"SSH-2.0-a-server\r\n"


@contextmanager
def speaking(words: bytes) -> Iterator[int]:
    """A port that says this unasked, then sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.sendall(words)
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while data := connection.recv(1 << 16):
                connection.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def server() -> Iterator[int]:
    with speaking(BANNER) as port:
        yield port


def test_the_next_address_is_tried_where_one_does_not_answer(tmp_path: Path, server: int) -> None:
    done = proxy(tmp_path, Tcp("127.0.0.1", 1), Visit("zrok", "x"), Tcp("127.0.0.1", server))
    assert done.stdout == BANNER + BLOB


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["mute", "web"])
def test_what_answers_and_is_no_ssh_server_is_passed_over(
    tmp_path: Path, server: int, words: bytes
) -> None:
    with speaking(words) as other:
        done = proxy(tmp_path, Tcp("127.0.0.1", other), Tcp("127.0.0.1", server))
    assert (done.returncode, done.stdout == BANNER + BLOB, done.stderr) == (0, True, b"")


def test_of_several_ways_any_kind_may_be_the_one(tmp_path: Path, server: int) -> None:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_bridge(server)) as bridge,
    ):
        address = WebSocket("127.0.0.1", bridge.port, token=bridge.token, secure=False)
        done = proxy(tmp_path, Tcp("127.0.0.1", 1), address)
    assert (done.returncode, done.stdout == BANNER + BLOB, done.stderr) == (0, True, b"")


def test_a_relay_that_is_dead_does_not_hide_the_next_way(
    tmp_path: Path, server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho 'ssh: connect to host relay port 22: no' >&2\nexit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("TOWLINE_SSH", str(ssh))
    relay = Jump("", "relay.example", 22, "127.0.0.1", 42022)
    done = proxy(tmp_path, relay, Tcp("127.0.0.1", server))
    assert done.stdout == BANNER + BLOB
    done = proxy(tmp_path, relay, Tcp("127.0.0.1", 1), given=b"")
    assert done.returncode == 69
    assert b"relay.example: ssh: connect to host relay port 22: no; 127.0.0.1: " in done.stderr


def test_nobody_there_is_told_in_a_line(tmp_path: Path) -> None:
    done = proxy(tmp_path, Tcp("127.0.0.1", 1), given=b"")
    assert done.returncode == 69
    assert b"127.0.0.1: Connection refused" in done.stderr


def test_a_way_that_is_known_no_more_is_told_in_a_line(tmp_path: Path) -> None:
    file = tmp_path / "addresses"
    file.write_text(f"{Tcp('127.0.0.1', 1)}")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "towline.proxy", "--only", "1", "--from", file, "name"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 69
    assert done.stderr.startswith(b"towline: this way to the machine is known no more\n")


class Cut:
    """A way that answered, until the network was gone."""

    def __init__(self, number: int) -> None:
        self._number = number

    def read(self) -> bytes:
        raise OSError(self._number, os.strerror(self._number))

    def write(self, data: bytes) -> None: ...
    def end_writing(self) -> None: ...
    def close(self) -> None: ...


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ECONNRESET])
def test_a_way_that_is_cut_is_for_ssh_to_tell(
    number: int, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert pump(Cut(number), BANNER) == 0
    assert capfdbinary.readouterr().out == BANNER
    with pytest.raises(OSError, match=os.strerror(number)):
        pump(Cut(number))  # Nobody has answered yet: there the reason is wanted.


def test_a_relay_is_the_persons_own_ssh_and_cannot_be_given_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("TOWLINE_SSH", str(ssh))
    done = proxy(tmp_path, Jump("me", "relay.example", 2222, "127.0.0.1", 42022), given=b"")
    words = done.stdout.decode().split()
    assert words == ["-T", "-p", "2222", "-l", "me", "-W", "127.0.0.1:42022", "--", "relay.example"]


def test_a_file_that_holds_no_address_leads_nowhere(tmp_path: Path) -> None:
    done = proxy(tmp_path, "tcp://-oProxyCommand=id:22", given=b"")
    assert done.returncode == 2
    assert b"not a host" in done.stderr


def test_it_starts_without_an_event_loop() -> None:
    """Every ssh waits for it."""
    program = "import sys, towline.proxy, towline.machines, towline.control; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"asyncio", "anyio", "click", "rich", "cryptography", "asyncssh"} & set(loaded)
