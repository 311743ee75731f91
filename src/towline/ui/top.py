"""The machine in the terminal: a few lines that change in place, or once as plain text."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.text import Text

from towline.ui.jobs import HEADLINE, job_row, percent_text
from towline.ui.words import count_text, shown, size_text, time_text

BAR_WIDTH = 20
BUSY, FULL = 70, 90  # Percent: where the colour changes.
JOBS_SHOWN = 20


class Top:
    """Draws each reading over the last one."""

    def __init__(self, console: Console) -> None:
        self._live = RichLive(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> Top:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def __call__(self, reading: dict[str, Any]) -> None:
        self._live.update(frame(reading), refresh=True)


def frame(reading: dict[str, Any], clock: Callable[[], float] = time.time) -> RenderableType:
    lines: list[RenderableType] = []
    for label, percent, rest in _gauges(reading):
        line = Text(f"{label:<9}", no_wrap=True, overflow="ellipsis")
        line.append(bar_text(percent), style=_style(percent))
        line.append(f" {percent_text(percent):>4}  {rest}")
        lines.append(line)
    plain = [*_sentences(reading, clock()), *_job_lines(reading)]
    lines += [Text(line, no_wrap=True, overflow="ellipsis") for line in plain]
    return Group(*lines)


def top_lines(reading: dict[str, Any], clock: Callable[[], float] = time.time) -> list[str]:
    """The same as plain text, without bars."""
    gauges = [
        f"{label:<9}{percent_text(percent):>4}  {rest}" for label, percent, rest in _gauges(reading)
    ]
    return [*gauges, *_sentences(reading, clock()), *_job_lines(reading)]


def bar_text(percent: float | None) -> str:
    filled = round(BAR_WIDTH * min(percent or 0.0, 100.0) / 100)
    return "█" * filled + "░" * (BAR_WIDTH - filled)


def _gauges(reading: dict[str, Any]) -> list[tuple[str, float | None, str]]:
    """Return label, percent and words of each thing that can be full or busy."""
    rows: list[tuple[str, float | None, str]] = []
    for gpu in reading["gpus"]:
        parts = [_of(gpu["memory_used"], gpu["memory_total"])]
        if gpu["temperature_c"] is not None:
            parts.append(f"{gpu['temperature_c']:.0f} °C")
        if gpu["power_w"] is not None:
            parts.append(f"{gpu['power_w']:.0f} W")
        rows.append(
            (
                f"GPU {shown(str(gpu['index']))}",
                gpu["percent"],
                "  ".join([*parts, shown(gpu["name"])]),
            )
        )
    cpu, memory, disk = reading["cpu"], reading["memory"], reading["disk"]
    load = "" if cpu["load"] is None else f"  load {cpu['load']:.1f}"
    rows.append(("CPU", cpu["percent"], f"{count_text(cpu['count'] or 1, 'core')}{load}"))
    rows.append(("memory", _percent(memory), _of(memory["used"], memory["total"])))
    moved = _both("read", disk["read_s"], "written", disk["written_s"])
    rows.append(("disk", _percent(disk), "  ".join([_of(disk["used"], disk["total"]), moved])))
    return rows


def _sentences(reading: dict[str, Any], now: float) -> list[str]:
    network, sync = reading["network"], reading["sync"]
    behind = f"{count_text(sync['behind_files'], 'file')} behind" if sync["behind_files"] else ""
    delay = "" if sync["rtt_ms"] is None else f"{sync['rtt_ms']:.0f} ms away"
    state = "  ".join(filter(None, (sync["state"], f"revision {sync['revision']}", delay, behind)))
    return [
        f"network  {_both('received', network['received_s'], 'sent', network['sent_s'])}",
        f"sync     {state}",
        f"time     {_time_left(reading['deadline'], now)}",
    ]


def _time_left(deadline: dict[str, Any] | None, now: float) -> str:
    if not deadline or not isinstance(deadline.get("at"), int | float):
        return "no end is known"
    left = deadline["at"] - now
    why = f" ({shown(str(deadline['why']))})" if deadline.get("why") else ""
    return f"{time_text(left)} left{why}" if left > 0 else f"over{why}"


def _job_lines(reading: dict[str, Any]) -> list[str]:
    jobs = reading["jobs"]
    if not jobs:
        return ["jobs     none runs"]
    rows = [HEADLINE, *(job_row(job) for job in jobs[:JOBS_SHOWN])]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    more = len(jobs) - JOBS_SHOWN
    return [*lines, f"and {more:,} more"] if more > 0 else lines


def _of(used: float | None, total: float | None) -> str:
    if used is None or total is None:
        return "-"
    return f"{size_text(used)} of {size_text(total)}"


def _percent(gauge: dict[str, Any]) -> float | None:
    used, total = gauge["used"], gauge["total"]
    return None if used is None or not total else 100 * used / total


def _both(one: str, first: float | None, other: str, second: float | None) -> str:
    if first is None or second is None:
        return "-"
    return f"{size_text(first)}/s {one}  {size_text(second)}/s {other}"


def _style(percent: float | None) -> str:
    if percent is None:
        return "dim"
    return "red" if percent >= FULL else "yellow" if percent >= BUSY else "green"
