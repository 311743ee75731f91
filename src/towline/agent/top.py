"""`top WORKSPACE [--interval S] [--folder DIR] [--count N]`: the machine, a line of JSON each time.

All that /proc and NVIDIA's program tell, and the jobs that run. It ends when nobody reads any more.
"""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from towline.agent.ending import known_end
from towline.agent.gauges import Gauges
from towline.agent.gpu import gpus, memory_by_process
from towline.agent.jobs.shelf import NoJobError, Shelf
from towline.agent.jobs.tell import all_summaries

INTERVAL_S = 1.0
INTERVAL_MIN_S = 0.1
FIRST_S = 0.2  # Before the first line: rates need two readings.


def top_main(words: Sequence[str]) -> int:
    workspace, *rest = [*words, ""]
    options = {
        name.removeprefix("--"): value for name, value in zip(rest[::2], rest[1::2], strict=False)
    }
    interval_s = max(INTERVAL_MIN_S, float(options.get("interval", INTERVAL_S)))
    count = int(options.get("count", "0"))
    gauges = Gauges(options.get("folder", "~"))
    cpu = JobsCpu()
    with suppress(BrokenPipeError):
        gauges.read(time.monotonic())
        jobs(workspace, cpu, time.monotonic())
        due = time.monotonic() + FIRST_S
        number = 0
        while _is_read_until(due):
            print(json.dumps(sample(workspace, gauges, cpu)), flush=True)  # noqa: T201
            number += 1
            if number == count:
                break
            due = max(due + interval_s, time.monotonic())
    return 0


def sample(workspace: str, gauges: Gauges, cpu: JobsCpu) -> dict[str, Any]:
    now = time.monotonic()
    return {
        "at": round(time.time(), 3),
        **gauges.read(now),
        "gpus": gpus(),
        "jobs": jobs(workspace, cpu, now),
        "deadline": known_end(workspace),
    }


class JobsCpu:
    """Turns the processor time of each job into percent since the last reading."""

    def __init__(self) -> None:
        self._before: dict[int, tuple[float, float]] = {}

    def percent(self, job: int, cpu_s: float, now: float) -> float | None:
        then, before = self._before.get(job, (now, cpu_s))
        self._before[job] = (now, cpu_s)
        return round(100 * max(0.0, cpu_s - before) / (now - then), 1) if now > then else None


def jobs(workspace: str, cpu: JobsCpu, now: float) -> list[dict[str, Any]]:
    """Return the jobs that run; `cpu_percent` is of late, not since the beginning."""
    try:
        running = [job for job in all_summaries(Shelf(workspace)) if job["state"] == "running"]
    except (NoJobError, OSError):
        return []
    on_gpus = memory_by_process() if running else {}
    for job in running:
        pids = job.pop("pids", [])
        job["gpu_memory"] = sum(on_gpus.get(pid, 0) for pid in pids)
        job["cpu_percent"] = cpu.percent(job["job"], job.get("cpu_s", 0.0), now)
    return running


def _is_read_until(due: float) -> bool:
    """Wait until it is due; return whether anybody still reads."""
    waiting = select.poll()
    waiting.register(sys.stdout.fileno(), 0)
    return not waiting.poll(max(0.0, due - time.monotonic()) * 1000)
