"""A notice reaches the agent once, and what asks for it ends with the agent."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from towline.agent.clouds import Notice
from towline.agent.notices import follow, slurm_end


@pytest.fixture
def agent() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_it_tells_what_is_new_and_survives_what_is_not_understood(
    agent: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = agent
    at = time.time() + 1000
    said = iter([None, OSError("no route"), KeyError("time"), Notice(at, "a"), Notice(at + 1, "a")])

    def source(_: float) -> Notice | None:
        one = next(said, Notice(at + 500, "b"))
        if isinstance(one, Exception):
            raise one
        return one

    following = threading.Thread(target=follow, args=(theirs, source, 0.01))
    following.start()
    heard = []
    with ours.makefile("r") as requests:
        for line in requests:
            heard.append(json.loads(line))
            ours.sendall(b'{"ok": true}\n')
            if heard[-1].get("why") == "b":
                break
    ours.close()
    following.join(10)
    assert not following.is_alive()
    assert [(one["verb"], one.get("why")) for one in heard] == [
        ("status", None),
        ("ends", "a"),
        ("ends", "b"),
    ]
    assert 990 < heard[1]["in_s"] <= 1000


def test_slurm_says_when_a_job_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert slurm_end("2026-11-25T20:00:00\n") == Notice(1795636800.0, "SLURM ends the job")
    assert slurm_end("N/A\n") is None
    assert slurm_end("") is None
