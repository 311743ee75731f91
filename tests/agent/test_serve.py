"""What an agent needs to have in memory. What it does is tested by whoever speaks to it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from towline.agent.roots import Roots
from towline.agent.serve import FORWARD_AGAIN_S, AgentService
from towline.core.wire.frames import Hello, Priority, parse_hello
from towline.core.wire.line import Line

SOURCE = Path(__file__).parents[2] / "src"
PROGRAM = """\
import sys
sys.path.insert(0, sys.argv[1])
import towline.agent.attach, towline.agent.serve
print(*sys.modules)
"""


def test_an_agent_loads_no_openssl_for_the_sake_of_digests_and_names() -> None:
    argv = [sys.executable, "-I", "-S", "-c", PROGRAM, str(SOURCE)]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert "towline.core.digest" in loaded
    assert not {"_hashlib", "_ssl"} & set(loaded)


class Laptop:
    """A laptop's end of the Line, and the service at the other."""

    def __init__(self) -> None:
        self.line = Line(bytes(16), initiator=True, software="laptop", now=0)
        self.service = AgentService(Roots(), "agent", 0)
        self.line.attach(0)
        hello = self.line.bytes_to_send(0)
        parsed = parse_hello(hello)
        assert parsed
        self.service.accept(parsed[0], 0)
        self.service.receive(hello, 0)
        self.exchange()
        self.service.tick(0)

    def open(self, greeting: dict[str, Any]) -> int:
        channel = self.line.open_channel(json.dumps(greeting).encode(), Priority.SYNC)
        self.exchange()
        self.service.tick(0)
        return channel

    def exchange(self) -> None:
        while data := self.service.bytes_to_send(0):
            self.line.receive_bytes(data, 0)
        while self.line.next_event():
            pass
        while data := self.line.bytes_to_send(0):
            self.service.receive(data, 0)


def test_only_a_stream_s_bytes_leave_it_calm() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        laptop = Laptop()
        port = listener.getsockname()[1]
        stream = laptop.open({"forward": port})
        lane = laptop.open({"mirror": 1, "lane": "sync"})
        assert laptop.service.is_calm
        laptop.line.send(stream, b"asked")
        laptop.exchange()
        assert laptop.service.is_calm
        laptop.service.carry()
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            assert connection.recv(5) == b"asked", "it was moved without a tick"
        laptop.line.send(lane, b"?")
        laptop.exchange()
        assert not laptop.service.is_calm
        laptop.service.close()


def test_a_connection_that_has_to_wait_is_tried_again_soon(short_path: Path) -> None:
    path = str(short_path / "s")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as before:
        listener.bind(path)
        listener.listen(0)
        before.connect(path)
        laptop = Laptop()
        laptop.open({"forward": {"path": path}})
        assert laptop.service.deadline() == FORWARD_AGAIN_S
        listener.accept()[0].close()
        laptop.service.tick(FORWARD_AGAIN_S)
        due = laptop.service.deadline()
        assert due is None or due > 1
        listener.accept()[0].close()
        laptop.service.close()


@pytest.mark.parametrize("news", ["another transport", "no transport", "a question", "a channel"])
def test_what_is_no_stream_calls_for_a_tick(news: str) -> None:
    laptop = Laptop()
    assert laptop.service.is_calm
    match news:
        case "another transport":
            hello = Hello(bytes(16), 1, 0, known=False, software="laptop")
            laptop.service.accept(hello, 0)
        case "no transport":
            laptop.service.detached(0)
        case "a question":
            laptop.service.request({"verb": "status"}, lambda _: None)
        case _:
            laptop.line.open_channel(b"{}", Priority.SYNC)
            laptop.exchange()
    assert not laptop.service.is_calm
    laptop.service.close()
