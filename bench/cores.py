"""Processors for each side: what keeps a busy machine from slowing the laptop beside it.

Both sides share one computer here, but not so in life. The machine gets the last processor, all
else the others; where there is only one, nothing can be kept apart.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress

from bench.ground import Place

FOREVER = "while True: pass"


@contextmanager
def apart(place: Place) -> Generator[set[int]]:
    """Keep the machine to its own processors, yielded, and this process to the others."""
    every = os.sched_getaffinity(0)
    far = {max(every)}
    near = every - far or every
    machine = [place.machine.pid, *place.machine.processes()]
    carrier = [place.link.status()["pid"]] if place.link else []
    try:
        _pin([0, *carrier], near)  # What is started from here on inherits it.
        _pin(machine, far)
        yield far
    finally:
        _pin([0, *carrier, place.machine.pid, *place.machine.processes()], every)


@contextmanager
def busy(processors: Iterable[int]) -> Generator[None]:
    """Have a process compute on each of these, as a training run does."""
    hogs = [
        subprocess.Popen(["taskset", "-c", str(core), sys.executable, "-S", "-c", FOREVER])
        for core in processors
    ]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def _pin(pids: Iterable[int], processors: set[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.sched_setaffinity(pid, processors)
