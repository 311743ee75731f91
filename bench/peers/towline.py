"""towline as a person runs it: `towline link --json`."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from bench.ground import Ground
from bench.peers.base import Processes, environment, missing

EVENT_POLL_S = 0.0005


class Towline:
    name = "towline"
    copies_only = False

    def why_not(self) -> str | None:
        return missing("ssh")

    def start(self, ground: Ground) -> Link:
        return Link(ground)


class Link(Processes):
    """A running link. It can be stopped and started again; its agent stays meanwhile."""

    def __init__(self, ground: Ground) -> None:
        self._events = ground.state / "events"
        super().__init__(ground, [])
        self.environment = {
            **environment(ground),
            "TOWLINE_SIZE_MAX": "",  # By default it leaves out what is over 100 MB, and says so.
            "XDG_RUNTIME_DIR": str(ground.state / "run"),
        }
        (ground.state / "run").mkdir(mode=0o700)
        self.begin()

    def begin(self) -> None:
        """Link, from nothing or again."""
        ground = self._ground
        destination = f"{ground.machine.name}:{ground.far}"
        config = str(ground.machine.config)
        argv = [*LAUNCH, "link", "--json", "-F", config, destination]
        with self._events.open("wb") as events, (ground.state / "log").open("ab") as log:
            self._processes = [
                subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=events,
                    stderr=log,
                    cwd=ground.near,
                    env=self.environment,
                    start_new_session=True,
                )
            ]

    def end(self) -> None:
        """End the engine; the agent lives on."""
        (process,) = self._processes
        process.terminate()
        process.wait()

    def wait_for(self, name: str, timeout_s: float) -> dict[str, Any]:
        """Return the first event of this name. Raises `TimeoutError`."""
        ends_at = time.perf_counter() + timeout_s
        while time.perf_counter() < ends_at:
            for line in self._events.read_text().splitlines(keepends=True):
                if line.endswith("\n") and (event := json.loads(line))["event"] == name:
                    return dict(event)
            time.sleep(EVENT_POLL_S)
        raise TimeoutError(f"no {name}:\n{self._events.read_text()[-2000:]}")

    def connections(self) -> int:
        return self._events.read_bytes().count(b'"resumed"') + 1

    def socket(self) -> str:
        """Return the path of the engine's control socket."""
        (found,) = (self._ground.state / "run").rglob("*.sock")
        return str(found)


LAUNCH = [sys.executable, "-P", "-m", "towline"]
