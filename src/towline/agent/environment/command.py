"""`environment capture|hold|restore` of the bundle, as the laptop starts them: JSON in, JSON out.

`capture` prints what is different from the image, and the files that are others after the next
installation. `hold` notes that this is in the lock file now, without another look. `restore` reads
a lock file's content, puts it back and tells each step. Nothing stays running: for what changes
there are the agent's `stamps`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from towline.agent.environment import personal
from towline.agent.environment.baseline import Baseline, hold
from towline.agent.environment.inventory import AUTOMATIC, DPKG
from towline.agent.environment.python import (
    NoPythonError,
    Python,
    find_python,
    inventory_of,
)
from towline.agent.environment.restore import Installer, install_system_packages, restore

Json = dict[str, Any]
NICE = 10  # Behind what the machine was borrowed for.


class Environment:
    """The user's environment on this machine, for one project.

    `last` in the request is what an earlier look has found: its Python is meant still, where no
    kernel runs that says otherwise.
    """

    def __init__(self, request: Json) -> None:
        self._request = request
        self.project = os.path.expanduser(request["project"])
        last = request.get("last")
        self._look(last and Python(last["executable"], {**os.environ, **last["variables"]}))

    def _look(self, now: Python | None) -> None:
        self.python: Python = find_python(self._request["python"], self.project, now)
        self.found: Json = inventory_of(self.python)
        self.baseline = Baseline(self.found)

    def captured(self) -> Json:
        dotfiles = self._request["dotfiles"]
        named = (self._request["variables"], dotfiles)
        return {
            "executable": self.python.executable,
            "new": self.baseline.is_new,
            "record": self.baseline.name,
            "holds": self.baseline.holds(self.project),
            "files": [
                *(*self.found["paths"], DPKG, AUTOMATIC),
                *(os.path.expanduser(f"~/{name.removeprefix('~/')}") for name in dotfiles),
            ],
            **self.baseline.delta(self.found, self.project),
            **personal.capture(self.python.variables, *named),
        }

    def look_again(self) -> Json:
        self._look(self.python)
        return self.captured()

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
    if verb == "hold":  # Before the answer: whoever has that hangs up.
        hold(request["record"], os.path.expanduser(request["project"]))
        _tell({})
        return 0
    try:
        if request.get("behind"):
            os.nice(NICE)
        environment = Environment(request)
        if verb == "capture":
            _tell(environment.captured())
        else:
            for step in environment.restored(json.load(sys.stdin)):
                _tell(step)
    except NoPythonError as error:
        _tell({"error": str(error)})
        return 1
    return 0


def _tell(value: Json) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()
