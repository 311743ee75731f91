"""The machine as a person sees it."""

from __future__ import annotations

import io
import re
from typing import Any

from rich.console import Console

from towline.ui.jobs import COMMAND_MAX, command_text
from towline.ui.top import Top, bar_text, top_lines

READING: dict[str, Any] = {
    "at": 0,
    "cpu": {"percent": 12.4, "count": 8, "load": 1.0},
    "memory": {"used": 4_000_000_000, "total": 16_000_000_000},
    "disk": {"used": 95, "total": 100, "read_s": 0, "written_s": 2_000_000},
    "network": {"received_s": None, "sent_s": None},
    "gpus": [
        {
            "index": 0,
            "name": "Some \x1b[31mGPU",
            "percent": None,
            "memory_used": 1_000_000_000,
            "memory_total": None,
            "temperature_c": 60.0,
            "power_w": None,
        }
    ],
    "jobs": [],
    "deadline": {"at": 3700.0, "why": "12 h"},
    "sync": {"behind_files": 2, "rtt_ms": 20.0, "state": "live", "revision": 7},
}


def test_plain_lines() -> None:
    assert top_lines(READING, lambda: 100.0) == [
        "GPU 0       -  -  60 °C  Some \\x1b[31mGPU",
        "CPU       12%  8 cores  load 1.0",
        "memory    25%  4.0 GB of 16.0 GB",
        "disk      95%  95 B of 100 B  0 B/s read  2.0 MB/s written",
        "network  -",
        "sync     live  revision 7  20 ms away  2 files behind",
        "time     1 h 0 min left (12 h)",
        "jobs     none runs",
    ]


def test_in_a_terminal_it_has_bars_and_one_line_each() -> None:
    out = io.StringIO()
    with Top(Console(file=out, force_terminal=True, width=40, no_color=True)) as top:
        top(READING)
    shown = out.getvalue()
    assert bar_text(95) in shown
    lines = re.sub(r"\x1b\[[?0-9;]*[a-z]", "", shown, flags=re.IGNORECASE).splitlines()
    assert max(map(len, lines)) <= 40
    assert "\x1b[31mGPU" not in shown


def test_a_long_command_is_cut_and_one_word_is_not_quoted() -> None:
    assert command_text(["echo a; echo b"]) == "echo a; echo b"
    assert command_text(["echo", "a b"]) == "echo 'a b'"
    assert len(command_text(["x" * 100])) == COMMAND_MAX


def test_a_job_tells_a_terminal_nothing_to_obey() -> None:
    job = {"job": 1, "name": "a", "state": "done\x1b[2J", "age_s": 1.0, "code": None}
    lines = top_lines({**READING, "jobs": [{**job, "revision": 1, "argv": ["ls"]}]}, lambda: 100.0)
    assert r"done\x1b[2J" in lines[-1]
