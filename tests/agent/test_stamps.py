"""Files that an installation changes, watched for the laptop over two real Lines."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.agent.road import Road
from towline.agent import stamps
from towline.agent.environment import python
from towline.agent.stamps import KERNEL_LOOK_S, LINE_MAX, LOOK_S, Stamps, times_of
from towline.agent.watches import CHANNELS_MAX


class Machine:
    """A machine with two folders of packages, and a clock that a test moves."""

    def __init__(self, home: Path) -> None:
        self.here, self.missing = home / "site-packages", home / "dist-packages"
        self.here.mkdir()
        self.files = [str(self.here), str(self.missing)]
        self.road = Road(Stamps)
        self._now = 0.0

    @property
    def watch(self) -> Stamps:
        assert isinstance(self.road.streams, Stamps)
        return self.road.streams

    def ask(self, known: object, python: object = "") -> int:
        channel = self.road.open({"stamps": True})
        self.say(channel, json.dumps({"stamps": known, "python": python}).encode() + b"\n")
        return channel

    def say(self, channel: int, line: bytes) -> None:
        self.road.laptop.send(channel, line)
        for _ in range(3):
            self.road.turn()

    def look(self, looks: int = 1, each_s: float = LOOK_S) -> None:
        for _ in range(looks):
            self._now += each_s
            self.watch.look(self._now)
            for _ in range(3):
                self.road.turn()

    def install(self, number: int) -> None:
        os.utime(self.here, ns=(number, number))

    def told(self, channel: int) -> list[Any]:
        return [json.loads(line)["stamps"] for line in self.road.received[channel].splitlines()]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_an_installation_is_told_once_it_rests(machine: Machine) -> None:
    channel = machine.ask(times_of(machine.files))
    machine.look(5)
    assert machine.told(channel) == []
    machine.install(1)
    machine.look()
    machine.install(2)
    machine.look()
    assert machine.told(channel) == []  # It goes on.
    machine.look()
    assert machine.told(channel) == [{str(machine.here): 2, str(machine.missing): None}]
    machine.install(3)
    machine.look(3)
    assert len(machine.told(channel)) == 1  # Whoever was told asks again.


def test_what_was_installed_before_the_question_is_told_too(machine: Machine) -> None:
    known = dict.fromkeys(machine.files)
    channel = machine.ask(known)
    machine.look(2)
    assert machine.told(channel) == [times_of(machine.files)]


def test_nothing_is_looked_at_unless_somebody_asks(machine: Machine) -> None:
    assert machine.watch.deadline() is None
    channel = machine.ask(times_of(machine.files))
    machine.look()
    assert machine.watch.deadline() == 2 * LOOK_S
    machine.road.laptop.close_channel(channel)
    machine.road.turn()
    machine.road.turn()
    assert machine.watch.deadline() is None


def test_a_kernel_of_another_python_is_told_within_a_minute(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel: list[tuple[str, dict[str, str]]] = [("/one/python", {})]
    monkeypatch.setattr(python, "of_a_kernel", lambda: kernel[0])
    times = times_of(machine.files)
    same, other = machine.ask(times, "/one/python"), machine.ask(times, "/two/python")
    machine.look()
    machine.look(each_s=KERNEL_LOOK_S)
    assert (machine.told(same), machine.told(other)) == ([], [times])


@pytest.mark.parametrize(
    "line",
    [
        b"{\n",
        b"[]\n",
        b"{}\n",
        b'{"stamps": [], "python": ""}\n',
        b'{"stamps": {"a": "b"}, "python": ""}\n',
        b'{"stamps": {"a": true}, "python": ""}\n',
        b'{"stamps": {}, "python": 1}\n',
        b"x" * (LINE_MAX + 1),
    ],
)
def test_what_makes_no_sense_is_refused(machine: Machine, line: bytes) -> None:
    channel = machine.road.open({"stamps": True})
    machine.say(channel, line)
    machine.road.until(lambda: channel in machine.road.closed)
    assert "no times of files" in machine.road.closed[channel]
    assert channel not in machine.watch


def test_a_path_that_cannot_be_is_not_there() -> None:
    assert stamps.times_of(["/\0", "/no/such"]) == {"/\0": None, "/no/such": None}


def test_they_are_few(machine: Machine) -> None:
    channels = [machine.ask({}) for _ in range(CHANNELS_MAX)]
    last = machine.road.open({"stamps": True})
    machine.road.until(lambda: last in machine.road.closed)
    assert all(channel in machine.watch for channel in channels)
