"""Another program in the agent's place: the engine ends with one clear line and stays small."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import towline
from tests.end_to_end.laptop import Laptop, Link, is_alive, memory_peak, save, wait_until

MEMORY_MAX = 200 << 20  # Bytes. An engine that does nothing has some 60 MB.
ENDS_S = 60.0
SOURCES = Path(towline.__file__).parents[1]

# Run as `PYTHON … -c QUESTION` for its version, then as the agent. The nonce is the last argument
# of that; the bundle that is sent is read by nobody.
PRELUDE = f"""\
#!{sys.executable}
import os, struct, sys
if "attach" not in sys.argv:
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


# An agent that speaks the protocol as it should, up to what each of the programs below does.
SPEAKER = f"""\
sys.path.insert(0, {str(SOURCES)!r})
import json, select, time
from towline.core.entry import Directory, File, Symlink
from towline.core.wire.frames import HEADER, Hello, Kind, parse_hello
from towline.core.wire.line import Line
from towline.core.wire.events import Message as Arrived, Opened
from towline.core.wire.messages import *
from towline.core.wire.messages import decode, encode
ready()
arrived = b""
while len(arrived) < 16:
    arrived += os.read(0, 65536)
bundle_size = 16 + 32 + int.from_bytes(arrived[8:16], "big")  # Two sizes, its digest, itself.
while len(arrived) < bundle_size or (parsed := parse_hello(arrived[bundle_size:])) is None:
    arrived += os.read(0, 65536)
hello = parsed[0]
line = Line(hello.line_id, initiator=False, software="hostile", now=time.monotonic())
line.attach(time.monotonic())
line.receive_bytes(arrived[bundle_size:], time.monotonic())
lanes = {{}}
def flush():
    while data := line.bytes_to_send(time.monotonic()):
        say(data)
def pump(wait=0.0):
    flush()
    if select.select([0], [], [], wait)[0]:
        data = os.read(0, 65536)
        if not data:
            raise SystemExit
        line.receive_bytes(data, time.monotonic())
    line.handle_timer(time.monotonic())
    while event := line.next_event():
        if isinstance(event, Opened):
            lanes[json.loads(event.greeting)["lane"]] = event.channel
        flush()
        if isinstance(event, Arrived):
            line.consumed(event.channel, len(event.data))
            yield decode(event.data)
def send(message, lane="sync"):
    packed = encode(message)
    while line.sendable(lanes[lane]) < len(packed):
        list(pump(1.0))
    line.send(lanes[lane], packed)
    list(pump())
def wait_for(kind):
    while True:
        for message in pump(1.0):
            if isinstance(message, kind):
                return message
def rest():
    while True:
        list(pump(1.0))
def begun():
    send(Begun("/proj", "hostile", "0" * 32, True))
def unchecked(kind, *header):
    line.send(lanes["sync"], encode(kind).replace(b"INNOCENT", header[0]))
    rest()
FILE = File(bytes(16), False, 5)
"""

OTHER_VERSION = """\
import struct
ready()
say(struct.pack(">8sHH", b"towline ", 7, 2) + b"{}")
os.read(0, 1)
import signal
signal.pause()
"""
OVERSIZED_FRAME = """\
list(pump(1.0))
say(HEADER.pack(Kind.DATA, 0, 1, 65535) + bytes(65535))
rest()
"""
UNKNOWN_KIND = """\
list(pump(1.0))
say(HEADER.pack(99, 0, 1, 0))
rest()
"""
NOT_ASKED_FOR = """\
wait_for(Begin)
begun()
begun()
rest()
"""
FOR_THE_MACHINE = """\
wait_for(Begin)
send(Settle(1))
rest()
"""
OUTSIDE = """\
wait_for(Begin)
begun()
unchecked(TreePart((("INNOCENT", FILE),)), b"../../xy")
"""
OWN_DIRECTORY = """\
wait_for(Begin)
begun()
unchecked(TreePart((("INNOCENT", FILE),)), b".towline")
"""
ENDLESS_TREE = """\
wait_for(Begin)
begun()
number = 0
while True:
    rows = []
    for _ in range(1000):
        number += 1
        rows.append((f"{number}-" + "x" * 200, FILE))
    send(TreePart(tuple(rows)))
"""
ENDLESS_FLUSHES = """\
wait_for(Begin)
begun()
number = 0
while True:
    number += 1
    send(Flush(number, 60.0))
"""
ENDLESS_PROBLEMS = """\
from towline.core.problem import Problem, ProblemKind
wait_for(Begin)
begun()
send(TreeEnd())
number = 0
while True:
    problems = []
    for _ in range(100):
        number += 1
        problems.append(Problem(f"p{number}-" + "x" * 200, ProblemKind.UNREADABLE, "x" * 1000))
    send(Observed((), (), tuple(problems)))
"""
DEEP_TREE = """\
wait_for(Begin)
begun()
send(TreePart((("/".join("a" * 2000), FILE),)))
send(TreeEnd())
rest()
"""

SPEAKING = {
    "other_version": (OTHER_VERSION, 65, "version 7"),
    "oversized_frame": (SPEAKER + OVERSIZED_FRAME, 65, "65535"),
    "unknown_kind": (SPEAKER + UNKNOWN_KIND, 65, "kind 99"),
    "not_asked_for": (SPEAKER + NOT_ASKED_FOR, 65, "not asked for"),
    "for_the_machine": (SPEAKER + FOR_THE_MACHINE, 65, "Settle"),
    "outside": (SPEAKER + OUTSIDE, 65, ""),
    "own_directory": (SPEAKER + OWN_DIRECTORY, 65, ""),
    "endless_flushes": (SPEAKER + ENDLESS_FLUSHES, 65, "flushes"),
    "deep_tree": (SPEAKER + DEEP_TREE, 65, ""),
}


@pytest.mark.parametrize("program", [*HOSTILE, *SPEAKING])
def test_what_is_no_agent_ends_the_link(laptop: Laptop, program: str) -> None:
    source, code, words = (HOSTILE | SPEAKING)[program]
    save(laptop.project / "a.py", "a\n")
    link = start_with(laptop, source)
    peak = 0
    ends_at = time.monotonic() + ENDS_S
    while is_alive(link.pid) and time.monotonic() < ends_at:
        try:
            peak = max(peak, memory_peak(link.pid))
        except (OSError, StopIteration):
            break
        time.sleep(0.01)  # How often it is looked at; nothing is waited for.
    assert link.wait_exit() == code, link.story()
    assert peak < MEMORY_MAX
    errors = [line for line in link.stderr.splitlines() if not line.startswith("hint:")]
    assert len(errors) == 1, link.story()
    assert words in errors[0]
    print(f"{program}: {errors[0]} ({peak >> 20} MiB)")
    assert laptop.processes() == {}


@pytest.mark.soak
def test_an_endless_tree_ends_at_a_bound(laptop: Laptop) -> None:
    link = start_with(laptop, SPEAKER + ENDLESS_TREE)
    peak = 0
    while is_alive(link.pid):
        with suppress(OSError, StopIteration):  # It ends meanwhile.
            peak = max(peak, memory_peak(link.pid))
        time.sleep(0.1)  # How often it is looked at; nothing is waited for.
    assert link.wait_exit() == 65, link.story()
    print(f"endless tree: {peak >> 20} MiB")
    assert peak < 1 << 30


def test_endless_problems_are_not_kept(laptop: Laptop) -> None:
    link = start_with(laptop, SPEAKER + ENDLESS_PROBLEMS)
    wait_until(lambda: len(link.named("problem")) >= 10_000, "as many as are told")
    before = memory_peak(link.pid)
    assert laptop.status()["problems"] == 10_000
    assert memory_peak(link.pid) - before < 20 << 20
    assert link.end() == 0


def start_with(laptop: Laptop, source: str) -> Link:
    fake = laptop.machine.home / "python"
    fake.write_text(PRELUDE + source)
    fake.chmod(0o755)
    laptop.configure(f'python = "{fake}"\n')
    return laptop.start()
