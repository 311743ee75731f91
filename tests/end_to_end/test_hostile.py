"""Another program in the agent's place: the engine ends with one clear line and stays small."""

from __future__ import annotations

import sys
import time

import pytest

from tests.end_to_end.laptop import Laptop, is_alive, memory_peak, save

MEMORY_MAX = 200 << 20  # Bytes. An engine that does nothing has some 60 MB.
ENDS_S = 60.0

# Run as `PYTHON -c QUESTION` for its version, then as the agent. The nonce is the last argument of
# that; the bundle that is sent is read by nobody.
PRELUDE = f"""\
#!{sys.executable}
import os, struct, sys
if sys.argv[1] == "-c":
    print(312)
    raise SystemExit
nonce = sys.argv[-1].encode()
def say(data):
    while data:
        data = data[os.write(1, data):]
def ready():
    say(b"TOWLINE " + nonce + b" READY\\n")
"""

NOISE = """\
while True:
    say(b"welcome to this machine\\n" * 1000)
"""
ENDLESS_LINE = """\
say(b"TOWLINE " + nonce + b" ")
while True:
    say(b"x" * 65536)
"""
GARBAGE = """\
ready()
while True:
    say(os.urandom(65536))
"""
ZEROS = """\
ready()
while True:
    say(bytes(65536))
"""
ONES = """\
ready()
while True:
    say(b"\\xff" * 65536)
"""
GONE = """\
ready()
"""
FAILED = """\
say(b"TOWLINE " + nonce + b" FAILED the stars are wrong\\n")
"""
"""Each ends by itself, or would go on for ever."""

HOSTILE = {
    "noise": (NOISE, 69, "something else"),
    "endless_line": (ENDLESS_LINE, 69, ""),
    "garbage": (GARBAGE, 65, ""),
    "zeros": (ZEROS, 65, ""),
    "ones": (ONES, 65, ""),
    "failed": (FAILED, 69, "the stars are wrong"),
    "gone": (GONE, 69, ""),
}


@pytest.mark.parametrize("program", HOSTILE)
def test_what_is_no_agent_ends_the_link(laptop: Laptop, program: str) -> None:
    source, code, words = HOSTILE[program]
    save(laptop.project / "a.py", "a\n")
    link = start_with(laptop, source)
    peak = 0
    ends_at = time.monotonic() + ENDS_S
    while is_alive(link.pid) and time.monotonic() < ends_at:
        try:
            peak = max(peak, memory_peak(link.pid))
        except (OSError, StopIteration):
            break
        time.sleep(0.01)
    assert link.wait_exit() == code, link.story()
    errors = [line for line in link.stderr.splitlines() if not line.startswith("hint:")]
    assert len(errors) == 1, link.story()
    assert words in errors[0]
    print(f"{program}: {errors[0]} ({peak >> 20} MiB)")
    assert peak < MEMORY_MAX
    assert laptop.processes() == {}


def start_with(laptop: Laptop, source: str):
    fake = laptop.machine.home / "python"
    fake.write_text(PRELUDE + source)
    fake.chmod(0o755)
    laptop.configure(f'python = "{fake}"\n')
    return laptop.start()
