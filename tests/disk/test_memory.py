"""What content passed through is used for the next: the system is not asked for it anew."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

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


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"),
    reason="a C library that is not GNU's",
)
def test_a_piece_of_content_does_not_ask_the_system_for_its_pages() -> None:
    assert faults("let go") > 200 * 10, "the C library keeps them by itself"
    assert faults("keep") < 200
