"""How long an agent lives when nobody comes, under a clock that runs by the hour."""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path

import pytest

from tests.agent.echo import EchoService
from towline.agent.log import Log
from towline.agent.loop import IDLE_LIFE_S, Loop


@pytest.fixture
def listener(home: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(home / "a.sock"))
    listener.listen()
    return listener


def log_after(home: Path, listener: socket.socket, step_s: float) -> tuple[str, float]:
    """Run a loop whose clock goes on by `step_s` at each look; return its log and last time."""
    clock = itertools.count(0.0, step_s)
    times: list[float] = []

    def look() -> float:
        times.append(next(clock))
        return times[-1]

    log = Log(str(home / "a.log"))
    path = str(home / "a.sock")
    Loop(listener, EchoService(), path=path, bundle="b1", log=log, clock=look).run()
    return (home / "a.log").read_text(), times[-1]


def test_it_ends_after_a_day_without_a_laptop(home: Path, listener: socket.socket) -> None:
    log, ended_at = log_after(home, listener, step_s=600.0)
    assert "no laptop came back" in log
    assert IDLE_LIFE_S < ended_at < IDLE_LIFE_S * 1.2
    assert not os.path.exists(home / "a.sock")


def test_it_ends_when_nobody_can_find_it(home: Path, listener: socket.socket) -> None:
    clock = itertools.count(0.0, 40.0)
    path = home / "a.sock"
    looked = 0

    def look() -> float:
        nonlocal looked
        looked += 1
        if looked == 5:
            path.rename(home / "elsewhere")
        return next(clock)

    log = Log(str(home / "a.log"))
    Loop(listener, EchoService(), path=str(path), bundle="b1", log=log, clock=look).run()
    assert "its socket is gone" in (home / "a.log").read_text()
    assert (home / "elsewhere").exists()
