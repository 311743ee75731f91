"""The real ssh over a long way: how soon a save is seen, and a network that is gone for a while.

The times are measured and printed; nothing is judged by them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median

from lab.wan import Link as Wan
from lab.wan import wan
from tests.end_to_end.laptop import laptop_in, read, save, wait_content
from tests.end_to_end.sshd import Machine

RTT_MS = 100.0
SAVES = 20
CUT_S = 5.0

MachineOver = Callable[[Wan], AbstractContextManager[Machine]]


def test_a_save_is_seen_after_one_way(machine_over: MachineOver, short_path: Path) -> None:
    with (
        wan(rtt_ms=RTT_MS) as way,
        machine_over(way) as machine,
        laptop_in(short_path / "laptop", machine) as laptop,
    ):
        save(laptop.project / "a.py", "a\n")
        with laptop.linked() as link:
            print(f"ready after {link.wait_for('ready')['seconds'] * 1000:.0f} ms")
            there = [_seen(laptop.project / "a.py", laptop.there / "a.py", n) for n in range(SAVES)]
            back = [_seen(laptop.there / "a.py", laptop.project / "a.py", -n) for n in range(SAVES)]
            flushes = []
            for number in range(5):
                save(laptop.project / "a.py", f"flushed {number}\n")
                flushes.append(laptop.flush()["ms"])
            print(f"rtt {laptop.status()['rtt_ms']} ms")
            print_taken("seen there", there)
            print_taken("seen back", back)
            print_taken("flush", flushes)
        laptop.assert_equal()


def print_taken(what: str, taken_ms: list[float]) -> None:
    middle = median(taken_ms)
    print(f"{what}: median {middle:.1f} ms, {middle / RTT_MS:.2f} RTT, max {max(taken_ms):.1f}")


def _seen(source: Path, target: Path, number: int) -> float:
    """Return the milliseconds until a save is seen on the other side."""
    content = f"{number} {time.monotonic_ns()}\n"
    save(source, content)
    return wait_content(target, content) * 1000


def test_edits_made_while_the_network_is_gone_arrive(
    machine_over: MachineOver, short_path: Path
) -> None:
    with (
        wan(rtt_ms=RTT_MS) as way,
        machine_over(way) as machine,
        laptop_in(short_path / "laptop", machine) as laptop,
    ):
        save(laptop.project / "a.py", "a\n")
        with laptop.linked() as link:
            agent = laptop.agent()
            way.set(cut="on")
            ends_at = time.monotonic() + CUT_S
            number = 0
            while time.monotonic() < ends_at:
                save(laptop.project / f"here{number % 10}.py", f"{number}\n")
                save(laptop.there / f"there{number % 10}.py", f"{number}\n")
                number += 1
                time.sleep(0.05)  # The pace of the saves; nothing is waited for.
            assert read(laptop.there / "here0.py") is None
            way.set(cut="off")
            began = time.monotonic()
            laptop.flush()
            laptop.wait_equal()
            print(f"{number} saves on each side, alike {time.monotonic() - began:.2f} s after")
            for event in link.named("disconnected") + link.named("resumed"):
                print(event)
            assert laptop.agent() == agent
            assert not any(event["new_life"] for event in link.named("resumed"))
            assert link.named("conflict") == []
        laptop.assert_equal()
