"""What content passed through is used for the next: the system is not asked for it anew."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

NEEDS_GNU = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"),
    reason="a C library that is not GNU's",
)
PROGRAM = """\
import resource, sys
from towline.disk.memory import keep_blocks

if sys.argv[1] == "keep":
    keep_blocks()
pieces = [bytes(1 << 14)] * 16

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(25):
        held = [b"".join(pieces + [b"x"]) for _ in range(8)]
        held.clear()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
print(faults())
"""


def faults(how: str) -> int:
    argv = [sys.executable, "-c", PROGRAM, how]
    return int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


@NEEDS_GNU
def test_a_piece_of_content_does_not_ask_the_system_for_its_pages() -> None:
    assert faults("let go") > 200 * 10, "the C library keeps them by itself"
    assert faults("keep") < 200


THREADS = """\
import threading
from pathlib import Path
from towline.disk.memory import keep_blocks

keep_blocks()
ended, done, kept = threading.Event(), threading.Semaphore(0), []

def work():
    blocks = [bytes(2000) for _ in range(10_000)]
    kept.append(blocks[-1])  # What follows the free ones stays.
    del blocks
    done.release()
    ended.wait()

def held():
    work = threading.Thread(target=globals()["work"])
    work.start()
    done.acquire()
    return int(Path("/proc/self/statm").read_text().split()[1])

first, *_, last = [held() for _ in range(4)]
ended.set()
print(last - first)
"""


@NEEDS_GNU
def test_what_one_thread_has_freed_another_uses_again() -> None:
    argv = [sys.executable, "-c", THREADS]
    more = int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    assert more < 10_000 * 2000 // 4096 // 2, "each thread has a heap of its own"
