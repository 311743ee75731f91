"""What happens to the connection meanwhile: slow, lossy, cut one way or both, stalled, killed."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from random import Random

from lab.wan import Cut, Link
from tests.end_to_end.laptop import Laptop

FAIR = {"rtt_ms": 30.0, "jitter_ms": 0.0, "loss_percent": 0.0, "rate_mbit": 100.0}
CUT_MEAN_S, CUT_MAX_S = 3.0, 20.0
STALL_MAX_S = 9.0

Later = tuple[float, Callable[[], None]]  # In so many seconds, undo it so.


class Weather:
    def __init__(self, link: Link, laptop: Laptop, chance: Random) -> None:
        self.done: Counter[str] = Counter()
        self._link = link
        self._laptop = laptop
        self._chance = chance

    def clear(self) -> None:
        """From now on everything goes well."""
        self._link.set(cut="off", **FAIR)

    def change(self) -> Later | None:
        """Let something happen."""
        events: dict[Callable[[], Later | None], int] = {
            self._other_network: 6,
            self._cut: 5,
            self._stalled_ssh: 2,
            self._killed_ssh: 3,
            self._dropped_by_the_server: 2,
            self._stalled_agent: 1,
        }
        (event,) = self._chance.choices(list(events), list(events.values()))
        self.done[event.__name__.strip("_").replace("_", " ")] += 1
        return event()

    def _other_network(self) -> None:
        chance = self._chance
        self._link.set(
            rtt_ms=chance.choice((2.0, 20.0, 100.0, 300.0)),
            jitter_ms=chance.choice((0.0, 0.0, 20.0)),
            loss_percent=chance.choice((0.0, 0.0, 0.5, 3.0)),
            rate_mbit=chance.choice((2.0, 20.0, 100.0)),
        )

    def _cut(self) -> Later:
        ways: tuple[Cut, ...] = ("on", "on", "up", "down")
        self._link.set(cut=self._chance.choice(ways))
        for_s = min(CUT_MAX_S, self._chance.expovariate(1 / CUT_MEAN_S))
        return for_s, lambda: self._link.set(cut="off")

    def _stalled_ssh(self) -> Later:
        return self._stall(self._laptop.ssh_clients())

    def _stalled_agent(self) -> Later:
        return self._stall(self._laptop.agents())

    def _killed_ssh(self) -> None:
        _signal(self._laptop.ssh_clients(), signal.SIGKILL)

    def _dropped_by_the_server(self) -> None:
        self._laptop.machine.kill_connections()

    def _stall(self, pids: list[int]) -> Later:
        _signal(pids, signal.SIGSTOP)
        for_s = self._chance.uniform(0.5, STALL_MAX_S)
        return for_s, lambda: _signal(pids, signal.SIGCONT)


def _signal(pids: Iterable[int], what: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, what)
