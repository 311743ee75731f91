"""A run of the benchmarks as a person starts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import arrival
from bench.ground import listing
from tests.end_to_end import sshd

ROOT = Path(__file__).parents[2]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_it_says_what_it_can_measure() -> None:
    done = bench("--list")
    assert done.returncode == 0
    assert "towline, floor, tar" in done.stdout
    assert "save, burst, rename" in done.stdout


def test_an_unknown_workload_is_named() -> None:
    done = bench("--only", "nothing")
    assert done.returncode == 2
    assert "none of first: django" in done.stderr


def test_a_listing_leaves_out_what_peers_keep_for_themselves(tmp_path: Path) -> None:
    (tmp_path / "a/.towline").mkdir(parents=True)
    (tmp_path / "a/b").write_text("123")
    assert {path: size for path, (_, size) in listing(tmp_path).items()} == {"a": 0, "a/b": 3}


def test_an_arrival_is_that_of_the_content_and_not_of_its_size(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("new")
    assert arrival.of_content(tmp_path / "a", b"old", 0.01) == arrival.NEVER
    assert arrival.of_content(tmp_path / "a", b"new", 0.01) < arrival.NEVER


@pytest.mark.soak
def test_saves_are_measured_on_loopback() -> None:
    if reason := sshd.why_not():
        pytest.skip(f"machine: {reason}")
    done = bench("--quick", "--only", "save", "--peers", "towline,floor", "--places", "loopback")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith(("| towline", "| floor"))]
    assert len(rows) == 2, done.stdout + done.stderr
    assert "never" not in done.stdout
