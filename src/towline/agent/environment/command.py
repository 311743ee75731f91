"""`environment capture|restore|watch` of the bundle, as the laptop starts them: JSON in, JSON out.

`capture` prints what is different from the image. `restore` reads a lock file's content, puts it
back and tells each step. `watch` prints as `capture` does, at once and after each installation,
until its input ends; the line `hold` says that the laptop has written down what was told.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from towline.agent.environment import personal
from towline.agent.environment.baseline import Baseline
from towline.agent.environment.inventory import AUTOMATIC, DPKG
from towline.agent.environment.python import (
    NoPythonError,
    Python,
    find_python,
    inventory_of,
    of_a_kernel,
)
from towline.agent.environment.restore import Installer, install_system_packages, restore

Json = dict[str, Any]
INTERVAL_S = 2.0  # Between two looks; some twenty calls of stat. Network homes have no events.
KERNEL_INTERVAL_S = 60.0  # Between two looks through all processes for a kernel.
NICE = 10  # Behind what the machine was borrowed for.


class Environment:
    """The user's environment on this machine, for one project."""

    def __init__(self, request: Json) -> None:
        self._request = request
        self.project = os.path.expanduser(request["project"])
        self._look(None)

    def _look(self, now: Python | None) -> None:
        self.python: Python = find_python(self._request["python"], self.project, now)
        self.found: Json = inventory_of(self.python)
        self.baseline = Baseline(self.found)

    def captured(self) -> Json:
        named = (self._request["variables"], self._request["dotfiles"])
        mine = personal.capture(self.python.variables, *named)
        return {
            "executable": self.python.executable,
            "new": self.baseline.is_new,
            "holds": self.baseline.holds(self.project),
            **self.baseline.delta(self.found, self.project),
            **mine,
        }

    def look_again(self) -> Json:
        self._look(self.python)
        return self.captured()

    def is_another(self) -> bool:
        """Whether a kernel of another Python was started."""
        kernel = None if self._request["python"] else of_a_kernel()
        return kernel is not None and kernel[0] != self.python.executable

    def stamp(self) -> tuple[object, ...]:
        """Return what is another after each installation."""
        dotfiles = [os.path.expanduser(f"~/{name}") for name in self._request["dotfiles"]]
        return tuple(map(_time_of, [*self.found["paths"], DPKG, AUTOMATIC, *dotfiles]))

    def restored(self, lock: Json) -> Iterator[Json]:
        """Yield each step as it ends; the last holds what was left, and what is there now."""
        began = time.monotonic()
        left = personal.restore(lock["variables"], lock["dotfiles"])
        installer = Installer(self.python, self.found)
        notes: list[str] = []
        for step, outcome in restore(
            installer, lock, self.found, self.baseline.packages, self.project
        ):
            left, notes = {**left, **outcome.left}, outcome.notes
            yield {"step": step, "seconds": round(time.monotonic() - began, 3)}
        missing = sorted({*lock["apt"]} - {*self.found["apt"]})
        if missing and (said := install_system_packages(missing)):
            left.update(dict.fromkeys(missing, said.splitlines()[-1]))
        now = self.look_again()
        yield {
            "step": "end",
            "seconds": round(time.monotonic() - began, 3),
            "installer": installer.name,
            "left": left,
            "notes": notes,
            "now": now,
        }


def main(arguments: list[str]) -> int:
    """Carry out one verb; what stops it is told as `{"error": …}`."""
    verb, request = arguments[0], json.loads(arguments[1])
    try:
        environment = Environment(request)
        if verb == "capture":
            _tell(environment.captured())
            if request.get("hold"):
                environment.baseline.hold(environment.project)
        elif verb == "restore":
            for step in environment.restored(json.load(sys.stdin)):
                _tell(step)
        else:
            os.nice(NICE)
            watch(environment, _tell, _wait_input)
    except NoPythonError as error:
        _tell({"error": str(error)})
        return 1
    return 0


def watch(
    environment: Environment, tell: Callable[[Json], None], wait: Callable[[float], str | None]
) -> None:
    """Tell what is different, at once and whenever that changes, until `wait` returns None.

    A stamp is taken before the look that it stands for: what changes during the look is seen by
    the next. Of the first look there is none, so there is a second.
    """
    told = environment.captured()
    tell(told)
    stamp: tuple[object, ...] | None = None
    searched, settled = time.monotonic(), True
    while (line := wait(INTERVAL_S)) is not None:
        if line == "hold":
            environment.baseline.hold(environment.project)
            told["holds"] = True
        now, is_another = environment.stamp(), False
        if time.monotonic() - searched > KERNEL_INTERVAL_S:
            searched, is_another = time.monotonic(), environment.is_another()
        if now == stamp and settled and not is_another:
            continue
        # An installation is over when two looks find the same.
        stamp, settled = now, now == stamp
        if settled:
            with suppress(NoPythonError):  # Removed, or in pieces: the next change tells more.
                if (fresh := environment.look_again()) != told:
                    told = fresh
                    tell(told)


def _wait_input(timeout_s: float) -> str | None:
    """Return a line, the empty text if none came in time, None at the end of the input."""
    readable, _, _ = select.select([0], [], [], timeout_s)
    if not readable:
        return ""
    data = os.read(0, 4096)
    return data.decode(errors="replace").strip() if data else None


def _time_of(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None


def _tell(value: Json) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
