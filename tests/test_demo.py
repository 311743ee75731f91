"""The demo as a person starts it: every step goes as it should, and nothing is left of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from towline.demo.steps import STEPS
from towline.errors import ExitCode

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="needs OpenSSH's client")

TOWLINE = [sys.executable, "-P", "-m", "towline"]
WAIT_S = 60


@pytest.fixture
def surroundings() -> Iterator[dict[str, str]]:
    """A temporary directory and a home to look at afterwards; short, for there will be sockets."""
    with tempfile.TemporaryDirectory(prefix="td-", dir="/tmp") as directory:
        home = Path(directory) / "home"
        home.mkdir()
        own = {"HOME": str(home), "TMPDIR": directory, "COLUMNS": "80"}
        yield {"PATH": os.environ["PATH"], **own}


def left_behind(surroundings: dict[str, str]) -> list[str]:
    """Return what lies in the home and the temporary directory, and what runs from there."""
    directory = surroundings["TMPDIR"]
    files = [str(path) for path in Path(directory).rglob("*") if path.name != "home"]
    return files + [process for process in processes() if directory in process]


def processes() -> Iterator[str]:
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (
                (directory / name).read_bytes().decode(errors="replace")
                for name in ("cmdline", "environ")
            )
        except OSError:
            continue
        yield f"{directory.name}: {command} {environment}"


def demo(surroundings: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TOWLINE, "demo", *words],
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def test_every_step_goes_as_it_should_and_nothing_is_left(surroundings: dict[str, str]) -> None:
    done = demo(surroundings, "--json")
    *steps, end = [json.loads(line) for line in done.stdout.splitlines()]
    assert [step for step in steps if not step["ok"]] == []
    assert [step["step"] for step in steps] == [name for name, _, _ in STEPS]
    assert all(step.keys() == {"step", "ms", "ok", "detail"} for step in steps)
    assert end["done"] is True
    assert end["steps"] == len(STEPS)
    assert (done.returncode, done.stderr) == (0, "")
    assert left_behind(surroundings) == []


def test_without_a_terminal_it_prints_plain_lines(surroundings: dict[str, str]) -> None:
    done = demo(surroundings)
    lines = done.stdout.splitlines()
    assert len(lines) == len(STEPS) + 1, done.stdout + done.stderr
    assert "\x1b" not in done.stdout
    assert all(title in line for line, (_, title, _) in zip(lines, STEPS, strict=False))


@pytest.mark.parametrize("after", ["machine", "link", "edit", "cut"])
def test_ctrl_c_leaves_nothing_behind(surroundings: dict[str, str], after: str) -> None:
    with subprocess.Popen(
        [*TOWLINE, "demo", "--json"], env=surroundings, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        while json.loads(running.stdout.readline())["step"] != after:
            pass
        running.send_signal(signal.SIGINT)
        assert running.wait(WAIT_S) == ExitCode.INTERRUPTED
    assert left_behind(surroundings) == []


def test_without_ssh_it_says_so(surroundings: dict[str, str], tmp_path: Path) -> None:
    done = demo({**surroundings, "PATH": str(tmp_path)})
    assert done.returncode == ExitCode.UNAVAILABLE
    assert "no ssh" in done.stderr
    assert "hint:" in done.stderr


def test_a_step_that_fails_says_what_was_expected_and_seen(
    surroundings: dict[str, str], tmp_path: Path
) -> None:
    """An `ssh` that cannot connect stands for all that may go wrong."""
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho 'Permission denied (publickey).' >&2\nexit 255\n")
    ssh.chmod(0o755)
    path = f"{tmp_path}:{surroundings['PATH']}"
    done = demo({**surroundings, "PATH": path}, "--json")
    machine, link, end = [json.loads(line) for line in done.stdout.splitlines()]
    assert machine["ok"] is True
    assert link["ok"] is False
    assert "expected the event 'ready'" in link["detail"]
    assert "Permission denied" in link["detail"]
    assert end["done"] is False
    assert done.returncode == ExitCode.FAILED
    assert left_behind(surroundings) == []
