"""Whose processor time a first copy costs: what is added up, and divided."""

from __future__ import annotations

import os
import subprocess
import sys

from bench import sample
from bench.shares import Copy, apart, head, median, row


def test_medians_are_taken_each_on_its_own() -> None:
    copies = [Copy(took, {"engine": used}) for took, used in ((3.0, 1.0), (1.0, 3.0), (2.0, 2.5))]
    assert median(copies) == Copy(2.0, {"engine": 2.5})


def test_all_that_worked_together_is_divided_by_the_processors() -> None:
    used = {"engine": 1.0, "agent": 0.5, "ssh, both ends": 0.5}
    cells = row("Django", Copy(4.0, used), "tar.zst 1 s").strip("| ").split(" | ")
    titles = head()[0].strip("| ").split(" | ")
    told = dict(zip(titles, cells, strict=True))
    assert (told["all there"], told["together"]) == ("4 s", "2 s")
    assert told[titles[-2]] == sample.seconds(2.0 / (os.cpu_count() or 1))
    assert told["reference"] == "tar.zst 1 s"


def test_a_process_is_ssh_by_its_name_and_one_that_has_ended_is_nobody() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert apart([os.getpid(), ended.pid]) == {"ssh": [], "python": [os.getpid()]}
