"""The trap of `.pyc`: equal size, same second, and yet the new code runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.end_to_end.laptop import Laptop, save

SAVES = 6

LIVE = """\
import importlib, sys
import module
for line in sys.stdin:
    print(importlib.reload(module).VALUE, flush=True)
"""


@contextmanager
def live_process(laptop: Laptop) -> Iterator[subprocess.Popen[str]]:
    """A process on the machine that reloads the module whenever it is asked to."""
    with subprocess.Popen(
        [sys.executable, "-c", LIVE],
        cwd=laptop.there,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def reloaded(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    return process.stdout.readline().strip()


def fresh(laptop: Laptop) -> str:
    argv = [sys.executable, "-c", "import module; print(module.VALUE)"]
    done = subprocess.run(argv, cwd=laptop.there, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_equal_size_saves_within_a_second_are_all_seen(laptop: Laptop) -> None:
    save(laptop.project / "module.py", "VALUE = 0\n")
    with laptop.linked(), live_process(laptop) as process:
        assert reloaded(process) == "0"
        for value in range(1, SAVES + 1):
            save(laptop.project / "module.py", f"VALUE = {value}\n")
            laptop.flush()
            assert reloaded(process) == str(value)
            assert fresh(laptop) == str(value)
        for value in range(1, SAVES + 1):  # Without anything slow between the saves.
            save(laptop.project / "module.py", f"VALUE = {value}\n")
        laptop.flush()
        assert (reloaded(process), fresh(laptop)) == (str(SAVES), str(SAVES))
    assert not list(laptop.project.rglob("*.pyc")), "caches are not synced"
