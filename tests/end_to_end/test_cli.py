"""The command line as a person uses it, with the real engine and a real sshd."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.sshd import Machine
from towline.cli.stop import ensure_stopped
from towline.disk.lock import lock_root
from towline.places import Workspaces

Towline = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def towline(homes: Path, tmp_path: Path) -> Iterator[Towline]:
    """Run `towline …` in the project folder `demo`, to its end. What it left running is stopped."""
    project = tmp_path / "demo"
    (project / "src").mkdir(parents=True)
    (project / "src" / "a.py").write_text("x = 1\n")

    def towline(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "towline", *arguments],
            cwd=project,
            env=dict(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    yield towline
    for binding in Workspaces():
        ensure_stopped(binding)


def test_a_day_with_it(towline: Towline, machine: Machine, tmp_path: Path) -> None:
    there = machine.home / "demo" / "src" / "a.py"
    linked = towline("link", "-F", str(machine.config), machine.name, "--detach")
    assert linked.returncode == 0, linked.stderr
    assert there.read_text() == "x = 1\n"
    (tmp_path / "demo" / "src" / "a.py").write_text("x = 22\n")
    flushed = towline("flush", "--json")
    assert flushed.returncode == 0, flushed.stderr
    assert there.read_text() == "x = 22\n"
    status = json.loads(towline("status", "--json").stdout)
    assert (status["state"], status["revision"]) == (
        "live",
        json.loads(flushed.stdout)["revision"],
    )
    explained = towline("explain", "src/a.py", ".git")
    assert [line.split(": ")[1] for line in explained.stdout.splitlines()] == [
        "synced",
        "not synced",
    ]
    events = [json.loads(line)["event"] for line in towline("log", "--json").stdout.splitlines()]
    assert {"ready", "revision"} <= set(events)
    assert towline("stop").returncode == 0
    assert towline("flush").returncode == 69
    there.write_text("x = 333\n")
    mistyped = towline("link", "-F", str(machine.config), "-o", "HostName=none.invalid", "machin")
    assert mistyped.returncode == 69
    again = towline("link", "--once", "--json")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "demo" / "src" / "a.py").read_text() == "x = 333\n"


def test_a_machine_that_is_not_there_is_one_line_also_in_the_background(
    towline: Towline, machine: Machine
) -> None:
    machine.stop()
    for mode in ([], ["--detach"]):
        ended = towline("link", "-F", str(machine.config), machine.name, *mode)
        assert ended.returncode == 69
        errors = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1
        assert "Connection refused" in errors[0]
        assert "Traceback" not in ended.stderr


CONFIGURED = """\
machine = "machine"
path = "~/elsewhere/code"
[ssh]
config = "{config}"
"""


def test_what_is_configured_of_the_way_counts_for_ssh_cp_and_doctor_too(
    towline: Towline, machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "demo/towline.toml").write_text(CONFIGURED.format(config=machine.config))
    assert towline("link", "--once").returncode == 0
    folder = machine.home / "elsewhere/code"
    assert towline("ssh", "--", "pwd").stdout == f"{folder}\n"
    copied = towline("cp", "src/a.py", ":b.py")
    assert copied.returncode == 0, copied.stderr
    assert (folder / "b.py").exists()
    asked = towline("doctor")
    assert asked.returncode == 0, asked.stdout


def test_a_host_with_a_command_of_its_own_is_entered_all_the_same(
    towline: Towline, machine: Machine
) -> None:
    more = "Host machine\n    RemoteCommand tmux new -A\n    RequestTTY force\n"
    machine.config.write_text(machine.config.read_text().replace("Host machine\n", more))
    linked = towline("link", "--once", "-F", str(machine.config), machine.name)
    assert linked.returncode == 0, linked.stderr
    asked = towline("ssh", "--", "echo in")
    assert (asked.stdout, asked.returncode) == ("in\n", 0), asked.stderr
    asked = towline("doctor")
    assert asked.returncode == 0, asked.stdout
    assert "ok    clock" in asked.stdout


def test_what_was_stopped_has_ended(towline: Towline, machine: Machine, tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"demo/src/{number}").write_text(f"{number}")
    linked = towline("link", "-F", str(machine.config), machine.name, "--detach")
    assert linked.returncode == 0, linked.stderr
    [binding] = Workspaces()
    ensure_stopped(binding)
    os.close(lock_root(tmp_path / "demo"))  # Or `towline stop && towline link` would be refused.
    assert not list(binding.places.state.parent.glob("*.sqlite-wal")), "all is in the state"


def test_who_has_hangups_ignored_is_not_ended_by_one(
    towline: Towline, machine: Machine, tmp_path: Path
) -> None:
    words = f"link -F {machine.config} {machine.name} --json"
    engine = subprocess.Popen(
        ["sh", "-c", f"trap '' HUP; exec {sys.executable} -P -m towline {words}"],
        cwd=tmp_path / "demo",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert engine.stdout
    with engine, engine.stdout:
        try:
            assert any('"ready"' in line for line in engine.stdout)
            engine.send_signal(signal.SIGHUP)
            assert towline("flush").returncode == 0, "it goes on, and takes what came before"
        finally:
            engine.terminate()
