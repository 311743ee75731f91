"""The machine that end-to-end tests link to is what it claims to be."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from lab.pythons import Python, find_pythons
from lab.wan import Link, wan
from tests.end_to_end.sshd import Machine, machine_in

MachineOver = Callable[[Link], AbstractContextManager[Machine]]


def sleeps(machine: Machine) -> bool:
    """Whether `sleep 600` runs there, be it still in the hands of the shell that starts it."""
    return any("sleep 600" in command for command in machine.processes().values())


def test_commands_start_in_a_home_of_their_own(machine: Machine) -> None:
    output = machine.ssh('pwd; echo "$HOME"; echo ~; echo over there > note').stdout
    assert output.split() == [str(machine.home)] * 3
    assert (machine.home / "note").read_text() == "over there\n"


def test_python3_is_the_python_of_the_tests(machine: Machine) -> None:
    question = "import sys; print(*sys.version_info[:3])"
    answer = machine.ssh(f"python3 -I -S -c '{question}'").stdout
    assert answer.split() == [str(part) for part in sys.version_info[:3]]


@pytest.mark.parametrize("python", find_pythons(minimum=(3, 10)), ids=str)
def test_python3_can_be_another_one(machine: Machine, tmp_path: Path, python: Python) -> None:
    del machine  # Only for its skip.
    with machine_in(tmp_path / "other", python=python.path) as other:
        assert f"Python {python}" in other.ssh("python3 -V").stdout


def test_exit_codes_and_binary_streams_come_through(machine: Machine) -> None:
    assert machine.ssh("exit 7", check=False).returncode == 7
    blob = os.urandom(1 << 20)
    echoed = subprocess.run(machine.argv("cat"), input=blob, capture_output=True, check=True)
    assert echoed.stdout == blob


def test_sftp_lands_in_the_home(machine: Machine) -> None:
    argv = ["sftp", "-q", "-F", machine.config, "-b", "-", machine.name]
    subprocess.run(argv, input=b"mkdir made\n", check=True, capture_output=True)
    assert (machine.home / "made").is_dir()


def test_a_wrong_host_key_is_refused(machine: Machine) -> None:
    known_hosts = machine.directory / "known_hosts"
    user_key = ["ssh-keygen", "-y", "-f", machine.directory / "user_key"]
    other_key = subprocess.run(user_key, capture_output=True, text=True, check=True).stdout
    known_hosts.write_text(f"{machine.name} {other_key}")
    refused = machine.ssh("true", check=False)
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_killed_connections_end_ssh_and_spare_the_command(machine: Machine) -> None:
    with subprocess.Popen(
        machine.argv("echo here; exec sleep 600"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as ssh:
        assert ssh.stdout is not None
        assert ssh.stdout.readline() == b"here\n"
        assert machine.kill_connections() > 0
        assert ssh.wait() == 255
    assert sleeps(machine)
    assert machine.ssh("echo again").stdout == "again\n"


def test_a_stopped_machine_runs_nothing_and_can_start_again(machine: Machine) -> None:
    port = machine.port
    machine.ssh("setsid sleep 600 >/dev/null 2>&1 </dev/null &")
    assert sleeps(machine)
    machine.stop()
    assert machine.processes() == {}
    assert machine.ssh("true", check=False).returncode == 255
    machine.start()
    assert machine.port == port
    assert machine.ssh("echo back").stdout == "back\n"


def test_behind_a_link_ssh_comes_through_from_anywhere(machine_over: MachineOver) -> None:
    with wan(rtt_ms=10) as link, machine_over(link) as machine:
        before = link.status()["up"]["bytes"]
        assert machine.ssh("echo $SSH_CONNECTION").stdout.split()[0] == link.near_address
        assert link.status()["up"]["bytes"] > before


def test_a_cut_link_is_silent_and_then_goes_on(machine_over: MachineOver) -> None:
    with (
        wan(rtt_ms=10) as link,
        machine_over(link) as machine,
        subprocess.Popen(
            machine.argv("cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        ) as ssh,
    ):
        assert ssh.stdin is not None
        assert ssh.stdout is not None
        ssh.stdin.write(b"before\n")
        assert ssh.stdout.readline() == b"before\n"
        link.set(cut="on")
        ssh.stdin.write(b"after\n")
        while link.status()["up"]["cut_drops"] == 0:
            assert ssh.poll() is None
        link.set(cut="off")
        assert ssh.stdout.readline() == b"after\n"
        ssh.stdin.close()
        assert ssh.wait() == 0
