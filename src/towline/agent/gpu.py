"""What NVIDIA's own program says of the GPUs and of who uses them; nothing where it is not there.

It is looked for where notebook machines have it, too. A figure that it does not have for a card is
None.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

PLACES = ("/opt/bin", "/usr/lib64-nvidia", "/usr/local/nvidia/bin", "/usr/lib/wsl/lib")
ANSWER_S = (
    5.0  # It takes some 50 ms, and seconds where no persistence mode keeps the driver loaded.
)
GPUS_MAX = 64
PROCESSES_MAX = 4096
MIB = 1 << 20

_FIGURES = (
    "index", "name", "utilization.gpu", "memory.used", "memory.total", "temperature.gpu",
    "power.draw",
)  # fmt: skip


def gpus() -> list[dict[str, Any]]:
    """Return each GPU: percent busy, memory in bytes, degrees Celsius, watts."""
    return parse_gpus(_ask(f"--query-gpu={','.join(_FIGURES)}"))


def memory_by_process() -> dict[int, int]:
    """Return the bytes of GPU memory that each process holds, by its id as the driver knows it."""
    return parse_processes(_ask("--query-compute-apps=pid,used_gpu_memory"))


def parse_gpus(text: str) -> list[dict[str, Any]]:
    rows = [row.split(", ") for row in text.splitlines()[:GPUS_MAX]]
    return [_gpu(row) for row in rows if len(row) == len(_FIGURES)]


def parse_processes(text: str) -> dict[int, int]:
    held: dict[int, int] = {}
    for row in text.splitlines()[:PROCESSES_MAX]:
        pid, _, used = row.partition(", ")
        if pid.isdigit():
            held[int(pid)] = held.get(int(pid), 0) + int((number(used) or 0) * MIB)
    return held


def number(text: str) -> float | None:
    """`[N/A]`, `[Not Supported]` and the like are no numbers."""
    try:
        return float(text)
    except ValueError:
        return None


def _gpu(row: list[str]) -> dict[str, Any]:
    index, name, busy, used, total, temperature, power = row
    used_mib, total_mib = number(used), number(total)
    return {
        "index": int(number(index) or 0),
        "name": name,
        "percent": number(busy),
        "memory_used": None if used_mib is None else int(used_mib * MIB),
        "memory_total": None if total_mib is None else int(total_mib * MIB),
        "temperature_c": number(temperature),
        "power_w": number(power),
    }


def _ask(query: str) -> str:
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *PLACES])
    program = shutil.which("nvidia-smi", path=path)
    if program is None:
        return ""
    argv = [program, query, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_S
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""
