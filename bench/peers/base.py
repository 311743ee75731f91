"""The seam between the benchmarks and what they measure."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.ground import Ground

STOP_S = 5.0


@dataclass(frozen=True)
class Written:
    """A file is new, or holds something else than before."""

    path: str


@dataclass(frozen=True)
class Moved:
    path: str
    to: str


@dataclass(frozen=True)
class Inserted:
    """Bytes were put in at `offset`; what was there moved back."""

    path: str
    offset: int
    data: bytes


Edit = Written | Moved | Inserted


class Running(Protocol):
    """A peer at work."""

    def told(self, edits: Sequence[Edit]) -> None:
        """What has just been done in the near folder; only a floor needs to be told."""

    def listens(self) -> bool:
        """Whether it would notice a change now."""
        ...

    def connections(self) -> int:
        """Return how often it has connected so far, where it tells; else 0."""
        ...

    def near(self) -> list[int]:
        """Return the processes of the near side."""
        ...

    def far(self) -> list[int]: ...

    def stop(self) -> None: ...


class Peer(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def copies_only(self) -> bool:
        """Whether it copies once and is done."""
        ...

    def why_not(self) -> str | None:
        """Return why it cannot be run here, or None."""
        ...

    def start(self, ground: Ground) -> Running:
        """Begin to keep `ground.far` in step with `ground.near`; do not wait for it."""
        ...


class Processes:
    """A peer that is some processes of this computer, and what they start on the machine."""

    def __init__(self, ground: Ground, processes: Sequence[subprocess.Popen[bytes]]) -> None:
        self._ground = ground
        self._processes = list(processes)

    def told(self, edits: Sequence[Edit]) -> None:
        """It finds out by itself."""

    def listens(self) -> bool:
        return True

    def connections(self) -> int:
        return 0

    def near(self) -> list[int]:
        far = set(self.far())
        roots = [process.pid for process in self._processes]
        return [pid for root in roots for pid in family_of(root) if pid not in far]

    def far(self) -> list[int]:
        return list(self._ground.machine.processes())

    def stop(self) -> None:
        for process in self._processes:
            _end(process)
        for pid in self.far():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def run(
    ground: Ground, argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program whose output goes to `log` in the ground's state."""
    with (ground.state / "log").open("ab") as log:
        return subprocess.Popen(
            list(map(str, argv)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**environment(ground), **(env or {})},
            start_new_session=True,
        )


def environment(ground: Ground) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(ground.state)}


def missing(*programs: str) -> str | None:
    absent = [program for program in programs if not shutil.which(program)]
    return f"{', '.join(absent)} not installed" if absent else None


def _end(process: subprocess.Popen[bytes]) -> None:
    family = list(family_of(process.pid))
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in family:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def family_of(pid: int) -> Iterator[int]:
    """Yield a process and all that descend from it."""
    yield pid
    for thread in _listed(f"/proc/{pid}/task"):
        with suppress(OSError):
            children = Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
            for child in children:
                yield from family_of(int(child))


def _listed(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
