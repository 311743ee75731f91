"""What `up` writes of its ways in, told over two real Lines; only the transport is a loop here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from towline.agent.watches import CHANNELS_MAX
from towline.agent.ways import LOOK_S, Ways, status_file
from towline.core.wire.events import Closed, Message, Opened
from towline.core.wire.frames import Priority
from towline.core.wire.line import Line

FIRST, SECOND = "tcp://a.example:1", "tcp://b.example:2"


class Road:
    """Both ends of a Line, and a clock that a test moves."""

    def __init__(self, path: Path) -> None:
        self.now = 0.0
        self.told: dict[int, list[Any]] = {}
        self.closed: dict[int, str] = {}
        self.laptop = Line(bytes(16), initiator=True, software="laptop", now=0)
        self.machine = Line(bytes(16), initiator=False, software="agent", now=0)
        self.laptop.attach(0)
        self.machine.attach(0)
        self.ways = Ways(self.machine, str(path))
        self._path = path

    def write(self, *addresses: str, **more: object) -> None:
        routes = [{"route": "x", "address": address} for address in addresses]
        status = {"machine": "00" * 8, "port": 42022, "routes": routes, "user": "ana", **more}
        stage = self._path.with_suffix(".new")
        stage.write_text(json.dumps(status))
        os.replace(stage, self._path)

    def open(self) -> int:
        channel = self.laptop.open_channel(b'{"ways": 1}', Priority.INTERACTIVE)
        self.told[channel] = []
        return channel

    def turn(self, seconds: float = 0.0) -> None:
        self.now += seconds
        for _ in range(4):
            self.ways.look(self.now)
            self.ways.step()
            for source, target in ((self.laptop, self.machine), (self.machine, self.laptop)):
                if data := source.bytes_to_send(self.now):
                    target.receive_bytes(data, self.now)
            self._take()

    def _take(self) -> None:
        while (event := self.machine.next_event()) is not None:
            match event:
                case Opened(channel, greeting):
                    named = json.loads(greeting)
                    assert self.ways.wants(named)
                    self.ways.open(channel, named)
                case Closed(channel):
                    self.ways.closed(channel)
                case _:
                    pass
        while (event := self.laptop.next_event()) is not None:
            match event:
                case Message(channel, data):
                    self.told[channel].append(json.loads(data))
                    self.laptop.consumed(channel, len(data))
                case Closed(channel, reason):
                    self.closed[channel] = reason
                case _:
                    pass


@pytest.fixture
def road(tmp_path: Path) -> Road:
    return Road(tmp_path / "status.json")


def addresses(told: list[Any]) -> list[list[str]]:
    return [one["addresses"] for one in told]


def test_what_stands_there_is_told_at_once_then_each_change_and_nothing_else(road: Road) -> None:
    road.write(FIRST)
    channel = road.open()
    road.turn()
    assert road.told[channel] == [{"machine": "00" * 8, "port": 42022, "addresses": [FIRST]}]
    road.turn(LOOK_S)
    road.write(FIRST, pid=7)  # Another file that says the same.
    road.turn(LOOK_S)
    assert len(road.told[channel]) == 1
    road.write(FIRST, SECOND)
    road.turn(LOOK_S / 2)
    road.turn(LOOK_S)
    assert addresses(road.told[channel]) == [[FIRST], [FIRST, SECOND]]


def test_without_a_way_or_a_file_that_can_be_read_nothing_is_told(
    road: Road, tmp_path: Path
) -> None:
    channel = road.open()
    road.turn()
    for text in ("", "{", "[]", "null", '{"routes": 1}', '{"routes": [{}], "machine": 1}'):
        (tmp_path / "status.json").write_text(text)
        road.turn(LOOK_S)
    road.write()
    road.turn(LOOK_S)
    assert road.told[channel] == []
    road.write(FIRST)
    road.turn(LOOK_S)
    assert addresses(road.told[channel]) == [[FIRST]]


def test_it_is_looked_at_only_while_somebody_listens(road: Road) -> None:
    assert road.ways.deadline() is None
    channel = road.open()
    road.turn()
    assert road.ways.deadline() == LOOK_S
    road.laptop.close_channel(channel)
    road.turn()
    assert road.ways.deadline() is None
    assert Ways(road.machine, "").deadline() is None


def test_a_later_one_hears_it_too_and_they_are_few(road: Road) -> None:
    road.write(FIRST)
    channels = [road.open() for _ in range(CHANNELS_MAX + 1)]
    road.turn()
    assert [len(road.told[channel]) for channel in channels] == [1] * CHANNELS_MAX + [0]
    assert "told to somebody already" in road.closed[channels[-1]]


def test_the_file_is_where_up_says_or_where_it_usually_is() -> None:
    said = {"TOWLINE_STATUS_FILE": "/p/status.json", "XDG_STATE_HOME": "/s"}
    assert status_file(said) == "/p/status.json"
    assert status_file({"XDG_STATE_HOME": "/s"}) == "/s/towline/machine/status.json"
    assert status_file({}).endswith("/.local/state/towline/machine/status.json")


def test_the_supervisor_and_the_agent_mean_the_same_file() -> None:
    from towline.agent import ways
    from towline.machine.supervise import STATUS_VARIABLE

    assert ways.VARIABLE == STATUS_VARIABLE
