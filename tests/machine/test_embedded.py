"""OpenSSH's own clients against the embedded server."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import asyncssh
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.terminal import Terminal
from towline.machine import embedded
from towline.machine.embedded import Machine, embedded_machine

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="needs OpenSSH's client")

WAIT_S = 20.0
BLOB = os.urandom(1 << 20) * 5


@pytest.fixture
def portal() -> Iterator[BlockingPortal]:
    """The event loop of the server, in a thread of its own."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def machine(portal: BlockingPortal, tmp_path: Path) -> Iterator[Machine]:
    directory = tmp_path / "m"
    directory.mkdir(mode=0o700)
    with portal.wrap_async_context_manager(embedded_machine(directory)) as machine:
        yield machine


def argv(machine: Machine, *words: str) -> list[str]:
    return ["ssh", "-F", str(machine.ssh_config), *words]


def ssh(machine: Machine, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        argv(machine, *words), input=given, capture_output=True, timeout=WAIT_S, check=False
    )


def eventually(holds: Callable[[], bool]) -> bool:
    ends_at = time.monotonic() + WAIT_S
    while not holds() and time.monotonic() < ends_at:
        time.sleep(0.01)
    return holds()


def is_gone(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return status == "Z"


# Commands


def test_a_command_runs_in_the_machines_own_home(machine: Machine) -> None:
    done = ssh(machine, "machine", 'pwd; echo "$HOME"; echo aside >&2; exit 7')
    assert done.returncode == 7
    assert done.stdout.decode().split() == [str(machine.home)] * 2
    assert done.stderr == b"aside\n"


def test_the_servers_environment_is_not_the_commands(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    seen = {line.split("=")[0] for line in ssh(machine, "machine", "env").stdout.decode().split()}
    assert {"HOME", "PATH", "SHELL", "USER"} <= seen
    assert "SECRET_OF_THE_SERVER" not in seen


def test_bytes_arrive_as_they_are_in_both_directions(machine: Machine) -> None:
    assert ssh(machine, "machine", "cat", given=BLOB).stdout == BLOB


def test_the_tail_of_a_long_output_comes_before_the_exit_status(machine: Machine) -> None:
    (machine.home / "blob").write_bytes(BLOB)
    done = ssh(machine, "machine", "cat blob; cat blob >&2; exit 3")
    assert (done.returncode, done.stdout == BLOB, done.stderr == BLOB) == (3, True, True)


def test_a_command_that_reads_nothing_ends_all_the_same(machine: Machine) -> None:
    assert ssh(machine, "machine", "exec 0<&-; echo done", given=BLOB).stdout == b"done\n"


def test_a_command_ended_by_a_signal_is_told_apart(machine: Machine) -> None:
    done = ssh(machine, "-v", "machine", "kill -TERM $$")
    assert done.returncode == 255
    assert b"exit-signal" in done.stderr


def test_many_commands_share_one_connection(machine: Machine, tmp_path: Path) -> None:
    control = ("-o", f"ControlPath={tmp_path}/c", "-o", "ControlMaster=auto")
    subprocess.run(argv(machine, *control, "-fN", "machine"), check=True, timeout=WAIT_S)
    try:
        words = [argv(machine, *control, "machine", f"cat >/dev/null; echo {n}") for n in range(8)]
        running = [
            subprocess.Popen(one, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for one in words
        ]
        said = [one.communicate(BLOB, timeout=WAIT_S)[0].decode().strip() for one in running]
        assert said == [str(n) for n in range(8)]
    finally:
        subprocess.run(
            argv(machine, *control, "-O", "exit", "machine"), capture_output=True, check=True
        )


def test_two_connections_at_once_do_not_wait_for_each_other(machine: Machine) -> None:
    os.mkfifo(machine.home / "meeting")
    words = argv(machine, "machine", "echo hello > meeting")
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as writing:
        assert ssh(machine, "machine", "cat meeting").stdout == b"hello\n"
    assert writing.returncode == 0


# Files


def test_scp_says_that_it_worked(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(BLOB)
    for protocol in ((), ("-O",)):
        copy = ["scp", "-q", *protocol, "-F", str(machine.ssh_config)]
        back = tmp_path / "back"
        subprocess.run([*copy, tmp_path / "there", "machine:x"], check=True, timeout=WAIT_S)
        subprocess.run([*copy, "machine:x", back], check=True, timeout=WAIT_S)
        assert (machine.home / "x").read_bytes() == back.read_bytes() == BLOB


def test_sftp_begins_in_the_home(machine: Machine) -> None:
    (machine.home / "file").touch()
    done = subprocess.run(
        ["sftp", "-q", "-F", str(machine.ssh_config), "-b", "-", "machine"],
        input=b"pwd\nls\nrename file other\n",
        capture_output=True,
        timeout=WAIT_S,
        check=True,
    )
    assert f"directory: {machine.home}\n".encode() in done.stdout
    assert [path.name for path in machine.home.iterdir()] == ["other"]


# Terminals


@pytest.fixture
def terminal(machine: Machine) -> Iterator[Terminal]:
    with Terminal(argv(machine, "-tt", "machine")) as terminal:
        terminal.wait_shown(r"[$#] ")
        yield terminal


def test_a_terminal_has_the_size_of_the_persons(terminal: Terminal) -> None:
    terminal.type("stty size; tty\n")
    terminal.wait_shown(r"33 101\r\n")
    terminal.wait_shown(r"/dev/\w+")


def test_ctrl_c_ends_what_runs_on_a_terminal_and_nothing_else(terminal: Terminal) -> None:
    terminal.type("sh -c 'echo run''ning; exec sleep 1000'\n")
    terminal.wait_shown("running")  # Told by what is to be ended, so it has the terminal.
    terminal.type("\x03")
    terminal.wait_shown(r"[$#] ")
    terminal.type("echo still h''ere; exit 5\n")
    terminal.wait_shown("still here")
    assert terminal.wait_exit() == 5


UNDER_A_DEAF_SERVER = """
import signal, sys
from pathlib import Path
import anyio
from towline.machine.embedded import embedded_machine

async def main():
    async with embedded_machine(Path(sys.argv[1])) as machine:
        argv = ["ssh", "-F", machine.ssh_config, "-tt", "machine", "echo up; exec sleep 1000"]
        ssh = await anyio.open_process(argv, stderr=None)
        await ssh.stdout.receive()
        await ssh.stdin.send(b"\\x03")
        await ssh.wait()

signal.signal(signal.SIGINT, signal.SIG_IGN)
anyio.run(main)
"""


def test_ctrl_c_works_though_the_server_ignores_it(tmp_path: Path) -> None:
    """As where a server was started with `&` by a shell without job control."""
    argv = [sys.executable, "-c", UNDER_A_DEAF_SERVER, tmp_path]
    subprocess.run(argv, capture_output=True, timeout=WAIT_S, check=True)


def test_the_end_of_input_ends_a_shell_on_a_terminal(machine: Machine) -> None:
    done = ssh(machine, "-tt", "machine", given=b"echo from a script\n")
    assert b"from a script\r\n" in done.stdout
    assert done.returncode == 0


# Who may come in


def test_another_key_does_not_let_in(machine: Machine, tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    config = tmp_path / "ssh_config"
    own = machine.ssh_config.read_text()
    config.write_text(re.sub(r"IdentityFile .*", f"IdentityFile {other}", own))
    done = subprocess.run(["ssh", "-F", config, "machine", "true"], capture_output=True)
    assert done.returncode == 255
    assert b"Permission denied (publickey)" in done.stderr


def test_the_key_lets_nobody_else_in(machine: Machine) -> None:
    done = ssh(machine, "-l", "somebody-else", "machine", "true")
    assert done.returncode == 255
    assert b"Permission denied (publickey)" in done.stderr


def test_a_password_is_not_asked_for(machine: Machine) -> None:
    wanted = "PreferredAuthentications=password,keyboard-interactive"
    done = ssh(machine, "-o", wanted, "-o", "BatchMode=no", "machine", "true")
    assert done.returncode == 255
    assert b"Permission denied (publickey)" in done.stderr


def test_a_forward_leads_to_the_machine_and_nowhere_else(machine: Machine) -> None:
    here = ssh(machine, "-W", f"127.0.0.1:{machine.port}", "machine")
    assert here.stdout.startswith(b"SSH-2.0-")
    elsewhere = ssh(machine, "-W", "192.0.2.1:22", "machine")
    assert elsewhere.returncode == 255
    assert b"open failed" in elsewhere.stderr


def test_an_unknown_subsystem_is_refused(machine: Machine) -> None:
    assert ssh(machine, "-s", "machine", "netconf").returncode == 1


@pytest.mark.parametrize("limit", ["CONNECTIONS_MAX", "COMMANDS_MAX"])
def test_there_is_a_limit_to_what_runs_at_once(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(embedded, limit, 1)
    words = argv(machine, "machine", "echo up; cat")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"up\n"
        assert ssh(machine, "machine", "true").returncode != 0
        first.communicate(timeout=WAIT_S)
    assert ssh(machine, "machine", "true").returncode == 0


# When the connection goes


def test_what_ran_is_ended_with_its_connection(machine: Machine, portal: BlockingPortal) -> None:
    command = "sleep 1000 & echo $! > child; echo $$ > shell; wait"
    with subprocess.Popen(argv(machine, "machine", command), stderr=subprocess.PIPE) as running:
        files = [machine.home / name for name in ("child", "shell")]
        assert eventually(lambda: all(file.exists() and file.read_text() for file in files))
        assert portal.call(machine.cut_connections) == 1
        assert running.wait(WAIT_S) == 255
    for file in files:
        assert eventually(lambda file=file: is_gone(int(file.read_text())))


def test_what_ignores_the_hangup_is_killed(machine: Machine, portal: BlockingPortal) -> None:
    command = "trap '' HUP; echo $$ > shell; while :; do sleep 0.1; done"
    with subprocess.Popen(argv(machine, "machine", command), stderr=subprocess.PIPE):
        file = machine.home / "shell"
        assert eventually(lambda: file.exists() and bool(file.read_text()))
        portal.call(machine.cut_connections)
        assert eventually(lambda: is_gone(int(file.read_text())))


def test_what_detached_itself_lives_on(machine: Machine, portal: BlockingPortal) -> None:
    ssh(
        machine,
        "machine",
        "setsid sh -c 'echo $$ > own; exec sleep 1000' >/dev/null 2>&1 </dev/null &",
    )
    file = machine.home / "own"
    assert eventually(lambda: file.exists() and bool(file.read_text()))
    process = int(file.read_text())
    try:
        portal.call(machine.cut_connections)
        assert ssh(machine, "machine", f"kill -0 {process}").returncode == 0
    finally:
        os.kill(process, 9)


def test_a_blocked_machine_cannot_be_reached_until_it_is_back(
    machine: Machine, portal: BlockingPortal
) -> None:
    portal.call(machine.block)
    refused = ssh(machine, "machine", "true")
    assert refused.returncode == 255
    assert b"Connection closed" in refused.stderr or b"reset" in refused.stderr
    portal.call(machine.unblock)
    assert ssh(machine, "machine", "true").returncode == 0


def test_the_end_of_the_server_ends_what_runs(portal: BlockingPortal, tmp_path: Path) -> None:
    with portal.wrap_async_context_manager(embedded_machine(tmp_path)) as machine:
        command = "echo $$ > shell; exec sleep 1000"
        running = subprocess.Popen(argv(machine, "machine", command), stderr=subprocess.PIPE)
        file = machine.home / "shell"
        assert eventually(lambda: file.exists() and bool(file.read_text()))
    assert is_gone(int(file.read_text()))
    with running:
        assert running.wait(WAIT_S) == 255


# One command's failure is its own


def still_serves(machine: Machine) -> bool:
    return ssh(machine, "machine", "echo on").stdout == b"on\n"


def connect(machine: Machine) -> AbstractAsyncContextManager[asyncssh.SSHClientConnection]:
    key = str(machine.ssh_config.with_name("user_key"))
    return asyncssh.connect("127.0.0.1", machine.port, username=machine.user, client_keys=[key],
                            known_hosts=None, config=None, agent_path=None)  # fmt: skip


def test_a_command_ended_by_a_signal_without_a_name(machine: Machine) -> None:
    assert ssh(machine, "machine", "kill -40 $$").returncode == 255
    assert still_serves(machine)


def test_a_terminal_that_is_too_wide(machine: Machine) -> None:
    async def main() -> None:
        async with connect(machine) as connection:
            done = await connection.run("stty size", term_type="xterm", term_size=(70_000, 24))
            assert str(done.stdout).split() == ["24", "65535"]

    asyncio.run(main())
    assert still_serves(machine)


def test_a_command_that_cannot_be_started_when_nobody_waits_for_it(machine: Machine) -> None:
    machine.home.rmdir()

    async def main() -> None:
        async with connect(machine) as connection:
            for _ in range(20):
                (await connection.create_process("true")).close()

    asyncio.run(main())
    machine.home.mkdir()
    assert still_serves(machine)
