"""What was freed goes back to the system, also from between what stays."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import pytest

from towline.engine import memory

PROGRAM = """\
from pathlib import Path
from towline.engine import memory

def held():
    return int(Path("/proc/self/statm").read_text().split()[1])

blocks = [bytes(2000) for _ in range(20_000)]
kept = blocks[::100]
full = held()
del blocks
freed = held()
memory.give_back()
print(full, freed, held(), len(kept))
"""


@pytest.mark.skipif(memory._trim is None, reason="needs GNU's C library")
def test_what_was_freed_between_what_stays_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    full, freed, after, _ = map(int, done.stdout.split())
    took = 20_000 * 2000 // 4096
    assert full - freed < took // 4, "the C library gave it back by itself"
    assert full - after > took // 2


class Ring:
    def __init__(self) -> None:
        self.itself = self


def test_what_is_young_and_holds_itself_is_freed_and_what_is_old_not_looked_at() -> None:
    gc.disable()
    try:
        old = Ring()
        gc.collect()
        young, refs = Ring(), [weakref.ref(old)]
        refs.append(weakref.ref(young))
        del old, young
        memory.free_cycles()
        assert [ref() is None for ref in refs] == [False, True]
    finally:
        gc.enable()
