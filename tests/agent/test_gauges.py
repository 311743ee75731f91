"""Figures of a machine out of what /proc and NVIDIA's program say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from towline.agent.gauges import Gauges, memory
from towline.agent.gpu import MIB, gpus, memory_by_process, parse_gpus, parse_processes
from towline.agent.top import JobsCpu

NOW = {
    "/proc/stat": "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 1 1 1 1\n",
    "/proc/loadavg": "1.50 1.0 1.0 1/100 1\n",
    "/proc/meminfo": "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 400 kB\n",
    "/proc/diskstats": " 8 0 sda 1 0 10 0 1 0 20 0 0 0 0\n 8 1 sda1 1 0 10 0 1 0 20 0 0 0 0\n",
    "/proc/net/dev": "a\nb\n  lo: 9 0 0 0 0 0 0 0 9 0\n eth0: 1000 0 0 0 0 0 0 0 500 0 0\n",
}
LATER = {
    **NOW,
    "/proc/stat": "cpu  150 0 150 750 150 0 0 0 0 0\n",
    "/proc/diskstats": " 8 0 sda 1 0 30 0 1 0 20 0 0 0 0\n 8 1 sda1 1 0 30 0 1 0 20 0 0 0 0\n",
    "/proc/net/dev": "a\nb\n  lo: 99 0 0 0 0 0 0 0 9 0\n eth0: 3000 0 0 0 0 0 0 0 600 0 0\n",
}


def test_rates_are_between_two_readings() -> None:
    files: Mapping[str, str] = NOW
    gauges = Gauges("/", lambda path: files.get(path, ""))
    first = gauges.read(10.0)
    assert first["cpu"]["percent"] is None
    assert first["network"] == {"received_s": None, "sent_s": None}
    files = LATER
    second = gauges.read(12.0)
    assert second["cpu"]["percent"] == 50.0
    assert second["cpu"]["load"] == 1.5
    assert second["network"] == {"received_s": 1000.0, "sent_s": 50.0}
    assert second["disk"]["read_s"] == 20 * 512 / 2
    assert second["disk"]["written_s"] == 0


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, {"used": 600 << 10, "total": 1000 << 10}),
        (
            {
                "memory.max": "500000",
                "memory.current": "300000",
                "memory.stat": "inactive_file 1000",
            },
            {"used": 299000, "total": 500000},
        ),
        ({"memory.max": "max"}, {"used": 600 << 10, "total": 1000 << 10}),
        (
            {
                "memory/memory.limit_in_bytes": "400000",
                "memory/memory.usage_in_bytes": "200000",
                "memory/memory.stat": "cache 5\ntotal_inactive_file 50000",
            },
            {"used": 150000, "total": 400000},
        ),
    ],
)
def test_a_container_s_limit_counts(limits: dict[str, str], expected: dict[str, int]) -> None:
    files = NOW | {f"/sys/fs/cgroup/{name}": text for name, text in limits.items()}
    assert memory(lambda path: files.get(path, "")) == expected


def test_a_system_without_proc_tells_nothing_and_does_not_fail() -> None:
    told: dict[str, Any] = Gauges("/no/such/folder", lambda _: "").read(0.0)
    assert told["memory"] == {"used": None, "total": None}
    assert told["cpu"]["load"] is None
    assert told["disk"] == {"used": None, "total": None, "read_s": None, "written_s": None}


def test_gpus_as_documented() -> None:
    text = (
        "0, NVIDIA H100 80GB HBM3, 97, 70000, 81559, 61, 512.33\n"
        "1, Tesla T4, [N/A], 0, 15360, 40, [Not Supported]\nnonsense\n"
    )
    first, second = parse_gpus(text)
    assert first == {
        "index": 0,
        "name": "NVIDIA H100 80GB HBM3",
        "percent": 97.0,
        "memory_used": 70000 * MIB,
        "memory_total": 81559 * MIB,
        "temperature_c": 61.0,
        "power_w": 512.33,
    }
    assert (second["percent"], second["power_w"]) == (None, None)
    assert parse_processes("12, 100\n12, 20\n13, [N/A]\nx, 1\n") == {12: 120 * MIB, 13: 0}


def test_without_nvidia_s_program_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert gpus() == []
    assert memory_by_process() == {}


def test_a_job_s_processor_time_becomes_percent_of_late() -> None:
    cpu = JobsCpu()
    assert cpu.percent(1, 5.0, 10.0) is None
    assert cpu.percent(1, 6.0, 12.0) == 50.0
    assert cpu.percent(1, 10.0, 13.0) == 400.0
