"""Both sides write the same file at the same time: nothing that was written last is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.laptop import Laptop, conflict_copies, read, save, wait_until
from towline.disk.rename import exchange

SAVES = 200
INTERVAL_S = 0.01

# Each writer ends with a last word, which must live on somewhere.
APPENDS = """\
import sys, time
for number in range(int(sys.argv[2])):
    with open(sys.argv[1], "a") as file:
        file.write(f"machine {number}\\n")
    time.sleep(float(sys.argv[3]))
"""
REWRITES = """\
import sys, time
for number in range(int(sys.argv[2])):
    with open(sys.argv[1], "w") as file:
        file.write(f"machine {number}\\n")
    time.sleep(float(sys.argv[3]))
"""
HOLDS_OPEN = """\
import sys, time
with open(sys.argv[1], "a") as file:
    for number in range(int(sys.argv[2])):
        file.write(f"machine {number}\\n")
        file.flush()
        time.sleep(float(sys.argv[3]))
"""


@contextmanager
def writer(source: str, path: Path) -> Iterator[None]:
    """A program on the machine that writes while this lasts, and to its end."""
    argv = [sys.executable, "-c", source, str(path), str(SAVES), str(INTERVAL_S)]
    with subprocess.Popen(argv) as process:
        yield
    assert process.returncode == 0


def swap(path: Path, content: str) -> bytes:
    """Save a file in one step; return exactly what it took the place of."""
    beside = path.with_name(f"{path.name}.saving~")
    beside.write_text(content)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        exchange(directory, beside.name, directory, path.name)
    finally:
        os.close(directory)
    replaced = beside.read_bytes()
    beside.unlink()
    return replaced


@pytest.mark.parametrize(
    "source", [APPENDS, REWRITES, HOLDS_OPEN], ids=["appends", "rewrites", "holds_open"]
)
def test_what_either_side_wrote_last_lives_on(laptop: Laptop, source: str) -> None:
    save(laptop.project / "shared.log", "ancestor\n")
    laptop.configure('ignore = ["*.saving~"]\n')
    overwritten: list[bytes] = []  # What had arrived on the laptop, and was replaced by its user.
    with laptop.linked() as link:
        with writer(source, laptop.there / "shared.log"):
            for number in range(SAVES):
                overwritten.append(swap(laptop.project / "shared.log", f"laptop {number}\n"))
                time.sleep(INTERVAL_S)  # The pace of the saves; nothing is waited for.
        # The machine's program has ended: from here on nobody there overwrites what arrives.
        overwritten.append(swap(laptop.project / "shared.log", f"laptop {SAVES}\n"))
        laptop.flush()
        laptop.wait_equal()
        wait_until(lambda: laptop.status()["behind_files"] == 0, "nothing is under way")
        everything = [laptop.project / "shared.log", *conflict_copies(laptop.project)]
        contents = [read(path) or b"" for path in everything] + overwritten
        for last in (f"laptop {SAVES}\n", f"machine {SAVES - 1}\n"):
            assert any(last.encode() in content for content in contents), (last, link.story())
        print(f"{len(everything) - 1} conflict copies, {len(link.named('conflict'))} told")
        if source != REWRITES:  # What was appended is nowhere cut short.
            together = b"".join(contents)
            lost = [n for n in range(SAVES) if f"machine {n}\n".encode() not in together]
            print(f"{len(lost)} of the machine's lines are in no file")
            assert lost == []
