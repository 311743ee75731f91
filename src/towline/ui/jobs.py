"""Jobs as a table: one row each, as a person reads it."""

from __future__ import annotations

import shlex
from typing import Any

from towline.ui.words import shown, size_text, time_text

HEADLINE = ["JOB", "NAME", "STATE", "AGE", "EXIT", "REVISION", "CPU", "MEMORY", "GPU", "COMMAND"]
COMMAND_MAX = 60  # Characters; `--json` has all of it.


def job_row(job: dict[str, Any]) -> list[str]:
    return [
        str(job["job"]),
        shown(job["name"]) or "-",
        shown(str(job["state"])),
        time_text(job["age_s"]),
        "-" if job["code"] is None else str(job["code"]),
        str(job["revision"]),
        percent_text(job.get("cpu_percent")),
        _size(job.get("memory")),
        _size(job.get("gpu_memory")),
        command_text(job["argv"]),
    ]


def command_text(argv: list[str]) -> str:
    text = shown(argv[0] if len(argv) == 1 else shlex.join(argv))
    return text if len(text) <= COMMAND_MAX else f"{text[: COMMAND_MAX - 1]}…"


def percent_text(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}%"


def _size(size: int | None) -> str:
    return size_text(size) if size else "-"
