"""How busy this machine is, from /proc: processors, memory, disk, network.

Rates are between one reading and the next, so the first has none. In a container the limits of its
control group count where they are lower. What a system does not tell is None.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from typing import Any

SECTOR = 512  # Bytes, in /proc/diskstats whatever the disk has.
CONTROL_GROUPS = (  # The files of limit, use and details; what of it the kernel would give back.
    (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory.current",
        "/sys/fs/cgroup/memory.stat",
        "inactive_file",
    ),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
        "total_inactive_file",
    ),
)

_WHOLE_DISK = re.compile(r"(?:sd|vd|xvd|hd)[a-z]+|nvme\d+n\d+|mmcblk\d+")
_NO_NETWORK = re.compile(r"lo|(?:docker|veth|br-|virbr|dummy|ifb).*")

Read = Callable[[str], str]


def read_text(path: str) -> str:
    """Return a file's text, empty where it is not there."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


class Gauges:
    """Read again and again; `folder` is on the disk that counts."""

    def __init__(self, folder: str, read: Read = read_text) -> None:
        self._folder = folder
        self._read = read
        self._before: tuple[float, dict[str, float]] | None = None

    def read(self, now: float) -> dict[str, Any]:
        """Return all figures; `now` is of a clock that only goes forward."""
        counts = self._counts()
        then, old = self._before or (now, counts)
        self._before = (now, counts)
        elapsed_s = now - then

        def rate(name: str) -> float | None:
            if elapsed_s <= 0 or name not in counts or name not in old:
                return None
            return max(0.0, round((counts[name] - old[name]) / elapsed_s, 1))

        return {
            "cpu": {
                "percent": self._cpu_percent(counts, old),
                "count": os.cpu_count(),
                **self._load(),
            },
            "memory": memory(self._read),
            "disk": {
                **disk(self._folder),
                "read_s": rate("disk read"),
                "written_s": rate("disk written"),
            },
            "network": {"received_s": rate("received"), "sent_s": rate("sent")},
        }

    def _counts(self) -> dict[str, float]:
        return {
            **_cpu_counts(self._read("/proc/stat")),
            **_disk_counts(self._read("/proc/diskstats")),
            **_network_counts(self._read("/proc/net/dev")),
        }

    def _cpu_percent(self, counts: dict[str, float], old: dict[str, float]) -> float | None:
        total = counts.get("cpu total", 0.0) - old.get("cpu total", 0.0)
        if total <= 0:
            return None
        idle = counts["cpu idle"] - old["cpu idle"]
        return round(100 * max(0.0, total - idle) / total, 1)

    def _load(self) -> dict[str, Any]:
        words = self._read("/proc/loadavg").split()
        return {"load": float(words[0]) if words else None}


def memory(read: Read = read_text) -> dict[str, Any]:
    """Return the bytes used (not to be had by others) and the bytes there are."""
    lines = re.finditer(r"^(\w+):\s+(\d+) kB", read("/proc/meminfo"), re.MULTILINE)
    known = {line[1]: int(line[2]) << 10 for line in lines}
    if "MemTotal" not in known:
        return {"used": None, "total": None}
    total = known["MemTotal"]
    used = total - known.get("MemAvailable", known.get("MemFree", 0))
    for limit, usage, stat, cache in CONTROL_GROUPS:
        allowed = read(limit).strip()
        if allowed.isdigit() and int(allowed) < total:
            freed = re.search(rf"^{cache} (\d+)$", read(stat), re.MULTILINE)
            held = int(read(usage).strip() or 0) - (int(freed[1]) if freed else 0)
            return {"used": max(0, held), "total": int(allowed)}
    return {"used": used, "total": total}


def disk(folder: str) -> dict[str, Any]:
    """Return the bytes used and there on the disk of a folder."""
    try:
        usage = shutil.disk_usage(os.path.expanduser(folder))
    except OSError:
        return {"used": None, "total": None}
    return {"used": usage.total - usage.free, "total": usage.total}


def _cpu_counts(text: str) -> dict[str, float]:
    words = text.partition("\n")[0].split()
    if words[:1] != ["cpu"] or len(words) < 6:
        return {}
    ticks = [float(word) for word in words[1:9]]
    return {"cpu total": sum(ticks), "cpu idle": ticks[3] + ticks[4]}


def _disk_counts(text: str) -> dict[str, float]:
    read, written = 0, 0
    for line in text.splitlines():
        words = line.split()
        if len(words) > 9 and _WHOLE_DISK.fullmatch(words[2]):
            read += int(words[5]) * SECTOR
            written += int(words[9]) * SECTOR
    return {"disk read": read, "disk written": written} if text else {}


def _network_counts(text: str) -> dict[str, float]:
    received, sent = 0, 0
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        words = rest.split()
        if len(words) > 8 and not _NO_NETWORK.fullmatch(name.strip()):
            received += int(words[0])
            sent += int(words[8])
    return {"received": received, "sent": sent} if text else {}
