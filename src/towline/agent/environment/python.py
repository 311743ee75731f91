"""Which Python the user's packages are installed for, and what its environment is.

The one that the configuration names; else that of a running kernel of this user's; else `python3`
as a login finds it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from towline.agent.offer import own_bundle

LOGIN_S = 10.0  # Some shells load a whole conda first.
INVENTORY_S = 120.0  # A thousand packages on a network file system.
KERNELS = (b"ipykernel_launcher", b"colab_kernel_launcher", b"ipykernel")
_MARK = b"\0towline\0"


class NoPythonError(Exception):
    """There is none, or it cannot say what is installed."""


@dataclass(frozen=True)
class Python:
    executable: str
    variables: dict[str, str]  # Of the kernel, or of a login.


def find_python(configured: str, project: str, now: Python | None = None) -> Python:
    """Return what is meant; `now` where no kernel says otherwise. Raises `NoPythonError`."""
    executable, variables = of_a_kernel() or (
        (now.executable, now.variables) if now else _of_a_login()
    )
    if configured:
        named = os.path.expanduser(configured)
        executable = os.path.join(project, named) if "/" in named else shutil.which(named) or ""
    if not executable or not os.access(executable, os.X_OK):
        raise NoPythonError(f"there is no Python at {configured or executable or 'python3'}")
    return Python(executable, variables)


def inventory_of(python: Python) -> dict[str, Any]:
    """Ask a Python what is installed for it. Raises `NoPythonError`."""
    kept = {**python.variables, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [python.executable, own_bundle(), "inventory"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={name: value for name, value in kept.items() if name != "PYTHONWARNINGS"},
            timeout=INVENTORY_S,
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        raise NoPythonError(
            f"{python.executable} cannot say what is installed; it must be a Python 3.10 or newer"
        ) from None
    return found


def of_a_kernel() -> tuple[str, dict[str, str]] | None:
    """Return the Python of the kernel of this user and home that was started last."""
    home = os.environ.get("HOME", "")
    for process in sorted(_processes(), reverse=True):
        words = _read(process, "cmdline").split(b"\0")
        if any(word.rpartition(b".")[0] in KERNELS or word in KERNELS for word in words[1:4]):
            variables = _variables(_read(process, "environ"))
            if variables.get("HOME", "") == home and os.path.isabs(words[0]):
                return os.fsdecode(words[0]), variables
    return None


def _of_a_login() -> tuple[str, dict[str, str]]:
    """Return `python3` as a login shell finds it, with its variables; ours if there is none."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    line = "printf 'x\\0towline\\0'; command -v python3; printf '\\0towline\\0'; env -0"
    with suppress(OSError, subprocess.TimeoutExpired, IndexError):
        done = subprocess.run(
            [shell, "-lc", line],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LOGIN_S,
        )
        parts = done.stdout.split(_MARK)
        executable = os.fsdecode(parts[1].strip())
        if os.path.isabs(executable):
            return executable, _variables(parts[2])
    return shutil.which("python3") or sys.executable, dict(os.environ)


def _processes() -> Iterator[int]:
    with suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit():
                with suppress(OSError):
                    if os.stat(f"/proc/{name}").st_uid == os.getuid():
                        yield int(name)


def _read(process: int, what: str) -> bytes:
    try:
        with open(f"/proc/{process}/{what}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def _variables(block: bytes) -> dict[str, str]:
    pairs = (item.partition(b"=") for item in block.split(b"\0") if b"=" in item)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
