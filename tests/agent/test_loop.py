"""The agent's loop, through its real socket."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import threading
import time
from contextlib import ExitStack, suppress

import pytest

from tests.agent.conftest import Agent
from towline.agent.ask import NoAgentError, ask, ask_on, connect_to, read_line
from towline.agent.attach import hand_over
from towline.agent.client import LINE_MAX
from towline.agent.loop import LOCAL_MAX, UNKNOWN_MAX
from towline.core.wire.events import Connected, Event, Message
from towline.core.wire.frames import Priority
from towline.core.wire.line import Line

S = 10.0


def connected(agent: Agent) -> socket.socket:
    return connect_to(agent.place.socket, S)


def attaching(agent: Agent) -> socket.socket:
    sock = connected(agent)
    sock.sendall(b"ATTACH b1 nonce\n")
    assert read_line(sock, S) == b"OK\n"
    return sock


READY = b"TOWLINE nonce READY\n"


def attached(agent: Agent) -> socket.socket:
    """Return the far end of what the agent reads and writes, which has said that it is ready."""
    near, far = socket.socketpair()
    hand(agent, near)
    far.settimeout(S)
    assert read_line(far, S) == READY
    return far


def hand(agent: Agent, near: socket.socket) -> None:
    sock, given = attaching(agent), near.dup()

    def attach() -> None:
        with sock, suppress(OSError):
            hand_over(sock, near.detach(), given.detach())
            sock.settimeout(None)
            sock.recv(1)  # It ends as the transport does.

    threading.Thread(target=attach, daemon=True).start()


class Laptop:
    """The other end of the line, on blocking sockets."""

    def __init__(self) -> None:
        now = time.monotonic()
        self.line = Line(os.urandom(16), initiator=True, software="test", now=now)

    def attach(self, sock: socket.socket) -> None:
        self.line.attach(time.monotonic())
        self.sock = sock

    def wait_for(self, kind: type[Event]) -> Event:
        while True:
            while event := self.line.next_event():
                if isinstance(event, kind):
                    return event
            _write_all(self, self.sock)
            if not self._hears_before(self.line.acks_at()):
                continue
            arrived = self.sock.recv(65536)
            assert arrived, "the agent closed the transport"
            self.line.receive_bytes(arrived, time.monotonic())

    def _hears_before(self, due: float | None) -> bool:
        """Wait for the agent, but no longer than until an acknowledgement is due."""
        wait_s = None if due is None else max(0.0, due - time.monotonic())
        return bool(select.select([self.sock], [], [], wait_s)[0])


def test_the_socket_is_its_owners_alone(agent: Agent) -> None:
    status = os.stat(agent.place.socket)
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert stat.S_IMODE(os.stat(agent.place.directory).st_mode) == 0o700


def test_a_request_is_answered_with_its_id(agent: Agent) -> None:
    assert ask("project", {"verb": "flush", "id": 7}, S) == {
        "id": 7,
        "echo": {"verb": "flush", "id": 7},
    }


def test_status_says_what_the_loop_knows(agent: Agent) -> None:
    with attached(agent) as sock:
        laptop = Laptop()
        laptop.attach(sock)
        laptop.wait_for(Connected)
        status = ask("project", {"verb": "status"}, S)
        assert status["attached"] is True
        assert status["bundle"] == "b1"
        assert status["pid"] == agent.process.pid
        assert status["echo"] == {"verb": "status"}


def test_what_is_said_to_a_hello_that_waits_is_one_packet(agent: Agent) -> None:
    """A relay keeps a second one back. Here a packet is what one system call has written."""
    near, far = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with far:
        far.settimeout(S)
        line = Line(os.urandom(16), initiator=True, software="test", now=0)
        line.attach(0)
        far.send(line.bytes_to_send(0))
        hand(agent, near)
        first = far.recv(65536)
        assert first.startswith(READY)
        line.receive_bytes(first.removeprefix(READY), 0)
        assert isinstance(line.next_event(), Connected)


@pytest.mark.parametrize("line", [b"no json\n", b"[1]\n", b"1\n", b"\xff\n", b"[" * 50_000 + b"\n"])
def test_what_is_no_request_is_refused(agent: Agent, line: bytes) -> None:
    with connected(agent) as sock:
        sock.sendall(line)
        assert "one JSON object" in json.loads(read_line(sock, S))["error"]
        assert sock.recv(1) == b""


def test_a_line_without_end_is_refused(agent: Agent) -> None:
    with connected(agent) as sock:
        sock.sendall(b" " * (LINE_MAX + 1))
        assert "too long" in json.loads(read_line(sock, S))["error"]
        assert sock.recv(1) == b""


def test_a_request_in_pieces_and_two_in_one(agent: Agent) -> None:
    with connected(agent) as sock:
        sock.sendall(b'{"id":')
        sock.sendall(b'1}\n{"id":2}\n')
        answers = b""
        while answers.count(b"\n") < 2:
            answers += sock.recv(4096)
        assert [json.loads(line)["id"] for line in answers.splitlines()] == [1, 2]


def test_more_local_clients_than_there_may_be_are_refused(agent: Agent) -> None:
    with ExitStack() as stack:
        for _ in range(LOCAL_MAX):
            ask_on(stack.enter_context(connected(agent)), {}, S)
        with connected(agent) as one_more:
            assert "local clients" in ask_on(one_more, {}, S)["error"]
        with attached(agent) as sock:  # The laptop gets in all the same.
            laptop = Laptop()
            laptop.attach(sock)
            laptop.wait_for(Connected)


def test_of_clients_that_say_nothing_the_oldest_goes(agent: Agent) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(connected(agent)) for _ in range(UNKNOWN_MAX + 1)]
        silent[0].settimeout(S)
        assert silent[0].recv(1) == b""
        assert "echo" in ask_on(silent[1], {}, S)


def test_a_client_that_reads_no_answers_is_let_go_and_others_served(agent: Agent) -> None:
    with connected(agent) as deaf:
        request = json.dumps({"x": "y" * 60_000}).encode() + b"\n"
        with pytest.raises((ConnectionError, TimeoutError)):
            deaf.sendall(request * 200)
    assert "echo" in ask("project", {}, S)


def test_another_bundle_is_told_apart(agent: Agent) -> None:
    with connected(agent) as sock:
        sock.sendall(b"ATTACH b2 nonce\n")
        assert read_line(sock, S) == b"OTHER b1\n"
        assert sock.recv(1) == b""


def test_a_new_transport_takes_over_once_it_has_said_hello(agent: Agent) -> None:
    laptop = Laptop()
    with attached(agent) as first:
        laptop.attach(first)
        channel = laptop.line.open_channel(b"echo", Priority.SYNC)
        laptop.line.send(channel, b"before")
        assert laptop.wait_for(Message) == Message(channel, b"before")
        with attached(agent) as second:
            laptop.line.send(channel, b"still the first")
            assert laptop.wait_for(Message) == Message(channel, b"still the first")
            laptop.line.detach(time.monotonic())
            laptop.attach(second)
            assert laptop.wait_for(Connected) == Connected(True, pytest.approx(0, abs=S))
            while first.recv(65536):
                pass
            laptop.line.send(channel, b"after")
            assert laptop.wait_for(Message) == Message(channel, b"after")


def test_a_peer_that_breaks_the_protocol_loses_only_its_transport(agent: Agent) -> None:
    with attached(agent) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n")
        assert sock.recv(1) == b""
    laptop = Laptop()
    with attached(agent) as sock:
        laptop.attach(sock)
        laptop.wait_for(Connected)
        sock.sendall(b"\xff" * 100)
        while sock.recv(65536):
            pass
    laptop = Laptop()
    with attached(agent) as sock:
        laptop.attach(sock)
        laptop.wait_for(Connected)
    assert agent.process.poll() is None


def test_bytes_flow_while_the_peer_reads_slowly(agent: Agent) -> None:
    laptop = Laptop()
    with attached(agent) as sock:
        laptop.attach(sock)
        channel = laptop.line.open_channel(b"echo", Priority.BULK)
        message = bytes(range(256)) * 8000
        for _ in range(2):
            laptop.line.send(channel, message)
        laptop.wait_for(Connected)
        _write_all(laptop, sock)
        assert "echo" in ask("project", {}, S)  # Two messages wait for us; others are served.
        for _ in range(2):
            event = laptop.wait_for(Message)
            assert isinstance(event, Message)
            assert event.data == message


def _write_all(laptop: Laptop, sock: socket.socket) -> None:
    while data := laptop.line.bytes_to_send(time.monotonic()):
        sock.sendall(data)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(agent: Agent, number: int) -> None:
    with connected(agent) as sock:
        ask_on(sock, {}, S)
        agent.process.send_signal(number)
        assert sock.recv(1) == b""
    assert agent.wait_ended() == 0
    assert not os.path.exists(agent.place.socket)


def test_stop_is_answered_and_obeyed(agent: Agent) -> None:
    assert ask("project", {"verb": "stop"}, S) == {"stopping": True}
    assert agent.wait_ended() == 0
    with pytest.raises(NoAgentError):
        ask("project", {}, S)


def test_who_hands_over_anything_but_two_descriptors_is_let_go(agent: Agent) -> None:
    with attaching(agent) as nothing, attaching(agent) as one, attaching(agent) as ended:
        nothing.sendall(b"\0")
        socket.send_fds(one, [b"\0"], [0])
        ended.shutdown(socket.SHUT_WR)
        assert [sock.recv(1) for sock in (nothing, one, ended)] == [b"", b"", b""]
    assert ask("project", {"verb": "status"}, S)["attached"] is False


def test_the_transport_ends_with_whoever_handed_it_over(agent: Agent) -> None:
    """ssh's own end is seen late where a child of it still holds its pipes."""
    near, far = socket.socketpair()
    laptop = Laptop()
    with attaching(agent) as sock, near, far:
        socket.send_fds(sock, [b"\0"], [near.fileno(), near.fileno()])
        near.close()
        assert read_line(far, S) == READY
        laptop.attach(far)
        laptop.wait_for(Connected)
        sock.shutdown(socket.SHUT_RDWR)
        while far.recv(4096):
            pass
