"""Find the Pythons of this machine, so that what must run on older ones is run on them.

It looks where they usually lie and asks each one for its version; it installs nothing.
"""

from __future__ import annotations

import functools
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ASK_TIMEOUT_S = 10  # A shim without its Python answers at once; nothing here may hang a test run.
VERSION_MAX = 16  # Highest minor version looked for: 3.16.


@dataclass(frozen=True)
class Python:
    """An interpreter, and the version it says it is."""

    path: Path
    version: tuple[int, int]

    def __str__(self) -> str:
        return "{}.{}".format(*self.version)


def find_pythons(minimum: tuple[int, int]) -> list[Python]:
    """Return one interpreter per version from `minimum` up, lowest first."""
    return [
        Python(path, (3, minor))
        for minor in range(minimum[1], VERSION_MAX + 1)
        if (path := _find((3, minor))) is not None
    ]


@functools.cache
def _find(version: tuple[int, int]) -> Path | None:
    name = "python{}.{}".format(*version)
    for directory in _directories():
        path = directory / name
        if path.exists() and _version_of(path) == version:
            return path
    return None


def _directories() -> list[Path]:
    searched = [Path(part) for part in os.environ.get("PATH", "").split(os.pathsep) if part]
    pyenv = sorted(Path.home().glob(".pyenv/versions/*/bin"))
    return [*pyenv, *searched, Path("/usr/local/bin"), Path("/usr/bin")]


def _version_of(path: Path) -> tuple[int, int] | None:
    """Ask the interpreter itself: a name may be a shim for a Python that is not there."""
    question = "import sys; print(*sys.version_info[:2])"
    try:
        answer = subprocess.run(
            [path, "-I", "-S", "-c", question],
            capture_output=True,
            text=True,
            timeout=ASK_TIMEOUT_S,
            check=True,
        ).stdout.split()
    except (OSError, subprocess.SubprocessError):
        return None
    return (int(answer[0]), int(answer[1])) if len(answer) == 2 else None
