"""What a figure cannot be read without: the computer, and the versions of all that was run."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from bench.ground import fast_directory

VERSIONS = {
    "ssh": ["ssh", "-V"],
    "rsync": ["rsync", "--version"],
    "lsyncd": ["lsyncd", "--version"],
    "unison": ["unison", "-version"],
    "syncthing": ["syncthing", "--version"],
    "mutagen": ["mutagen", "version"],
    "zstd": ["zstd", "--version"],
    "tar": ["tar", "--version"],
}
NUMBER = re.compile(r"\d+\.\d+[\w.]*")


def machine_facts() -> str:
    """Return a paragraph on where and with what this was measured."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE") / 2**30
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    where = "tmpfs" if fast_directory() else "the disk of the temporary directory"
    versions = ", ".join(f"{name} {found}" for name in VERSIONS if (found := version_of(name)))
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {_processor()}, {os.cpu_count()} cores, "
        f"{memory:.0f} GB, Linux {platform.release()}, on {where}; load at the start {load}. "
        f"Python {platform.python_version()}, {versions}."
    )


def version_of(name: str) -> str | None:
    command = VERSIONS[name]
    if not shutil.which(command[0]):
        return None
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = NUMBER.search(done.stdout + done.stderr)
    return found.group() if found else "?"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())
