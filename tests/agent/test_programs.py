"""Programs of the machine over two real Lines; the processes are real."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.agent.road import Road
from towline.agent.programs import CALL_MAX, PROGRAMS_MAX, RECORD, HungUp, Programs
from towline.core.wire.limits import Limits

BLOB = os.urandom(3 << 20)
PYTHON = [sys.executable, "-I", "-S", "-c"]


@contextmanager
def road_to_programs(limits: Limits | None = None) -> Iterator[Road]:
    hung_up = HungUp()
    road = Road(lambda line: Programs(line, hung_up), limits)
    yield road
    road.streams.close()
    while hung_up.reap():
        os.sched_yield()


def start(road: Road, argv: list[str], **more: Any) -> int:
    channel = road.open({"program": True})
    road.send(channel, json.dumps({"argv": argv, **more}).encode() + b"\n")
    return channel


def finish(road: Road, channel: int) -> tuple[bytes, bytes, dict[str, Any]]:
    road.until(lambda: channel in road.closed)
    return parse(bytes(road.received[channel]))


def parse(data: bytes) -> tuple[bytes, bytes, dict[str, Any]]:
    """Return standard output, standard error and the last record's content."""
    output = {b"o": b"", b"e": b"", b"x": b""}
    while data:
        kind, size = RECORD.unpack_from(data)
        assert not output[b"x"], "the exit comes last"
        output[kind] += data[RECORD.size : RECORD.size + size]
        data = data[RECORD.size + size :]
    return output[b"o"], output[b"e"], json.loads(output[b"x"])


def test_a_program_reads_writes_and_ends() -> None:
    with road_to_programs() as road:
        source = "import sys; sys.stderr.write('so'); print(sys.stdin.read()[::-1]); sys.exit(7)"
        channel = start(road, [*PYTHON, source])
        road.send(channel, b"tab")
        road.end(channel)
        assert finish(road, channel) == (b"bat\n", b"so", {"code": 7})


@pytest.mark.parametrize("limits", [Limits(), replace(Limits(), window=4096, payload_max=1024)])
def test_any_amount_comes_back_as_it_went(limits: Limits) -> None:
    blob = BLOB if limits.window > 4096 else BLOB[:50_000]
    with road_to_programs(limits) as road:
        channel = start(road, ["cat"])
        road.send(channel, blob)
        road.end(channel)
        output, _, last = finish(road, channel)
    assert output == blob
    assert last == {"code": 0}


def test_what_a_laptop_does_not_read_is_not_taken_from_the_program() -> None:
    with road_to_programs() as road:
        road.reads = False
        channel = start(road, [*PYTHON, f"import os; os.write(1, bytes({len(BLOB)}))"])
        road.until(lambda: len(road.received[channel]) >= Limits().window)
        assert not road.streams.readable(), "it would wake the loop for nothing"
        road.reads = True
        road.read()
        assert finish(road, channel)[0] == bytes(len(BLOB))


def test_its_folder_and_its_environment_are_as_asked(tmp_path: Path) -> None:
    with road_to_programs() as road:
        source = "import os; print(os.getcwd(), os.environ['ASKED'], 'PATH' in os.environ)"
        channel = start(road, [*PYTHON, source], cwd=str(tmp_path), env={"ASKED": "for"})
        assert finish(road, channel)[0] == f"{tmp_path} for True\n".encode()


def test_a_signal_is_a_negative_number() -> None:
    with road_to_programs() as road:
        channel = start(road, [*PYTHON, "import os; os.kill(os.getpid(), 9)"])
        assert finish(road, channel)[2] == {"code": -9}


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (b'{"argv": ["/no/such/program"]}', "No such file"),
        (b'{"argv": ["true"], "cwd": "/no/such/folder"}', "No such file"),
        (b"not json", "Expecting value"),
        (b"[1]", "not an object"),
        (b'{"argv": []}', "a call is"),
        (b'{"argv": "true"}', "a call is"),
        (b'{"argv": ["a\\u0000b"]}', "null byte"),
        (b'{"argv": ["true"], "env": {"A": 1}}', "hold texts"),
        (b"[" * 100_000, ""),
        (b" " * (CALL_MAX + 1), ""),
    ],
)
def test_what_cannot_be_started_is_said(call: bytes, reason: str) -> None:
    with road_to_programs() as road:
        channel = road.open({"program": True})
        road.send(channel, call + b"\n")
        assert reason in finish(road, channel)[2]["error"]


def test_a_call_that_is_cut_short_starts_nothing() -> None:
    with road_to_programs() as road:
        channel = road.open({"program": True})
        road.send(channel, b'{"argv": ["true"]}')
        road.end(channel)
        assert "error" in finish(road, channel)[2]


def test_a_channel_that_is_closed_hangs_up_on_the_program(tmp_path: Path) -> None:
    note = tmp_path / "note"
    os.mkfifo(note)
    source = (
        "import signal, sys; signal.signal(1, lambda *_: sys.exit(print('hung up',"
        f" file=open({str(note)!r}, 'w')))); print('here', flush=True); signal.pause()"
    )
    with road_to_programs() as road:
        channel = start(road, [*PYTHON, source])
        road.until(lambda: b"here" in road.received[channel])
        road.laptop.close_channel(channel)
        road.until(lambda: channel not in road.streams)
        assert note.read_text() == "hung up\n"


def test_input_that_nobody_reads_is_dropped_and_all_of_it_paid_for(tmp_path: Path) -> None:
    leave = tmp_path / "leave"
    os.mkfifo(leave)
    with road_to_programs() as road:
        source = f"import os; os.close(0); open({str(leave)!r}).read()"
        channel = start(road, [*PYTHON, source])
        road.send(channel, BLOB)
        leave.write_text("now")
        assert finish(road, channel)[2] == {"code": 0}


def test_there_is_a_limit() -> None:
    with road_to_programs() as road:
        channels = [start(road, ["cat"]) for _ in range(PROGRAMS_MAX)]
        one_more = road.open({"program": True})
        road.until(lambda: one_more in road.closed)
        assert "programs run already" in road.closed[one_more]
        assert not set(channels) & road.closed.keys()
