"""Journey 2: a machine that is `up`, and a laptop that has its ticket and nothing else."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from tests.end_to_end.borrowed import WAIT_S, Borrowed, Laptop, Tunnel, borrowed_in
from tests.end_to_end.laptop import is_alive, save, wait_content, wait_until
from towline.core.address import WebSocket
from towline.core.ticket import decode, encode
from towline.routes.bridge import open_bridge

SERVERS = [
    pytest.param((), id="sshd", marks=pytest.mark.skipif(
        shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") is None, reason="needs sshd"
    )),
    pytest.param(("--embedded",), id="embedded"),
]  # fmt: skip
BLOB = os.urandom(3 << 20)


# Up


@pytest.mark.parametrize("server", SERVERS)
def test_from_nothing_to_a_live_project_with_one_line(
    machine: Borrowed, laptop: Laptop, server: tuple[str, ...]
) -> None:
    told = machine.up("--name", "box", *server)
    assert told["server"] == ("embedded" if server else "sshd")
    seen = machine.tunnel.connections
    with laptop.linked(told["ticket"]):
        assert (machine.home / "vision/train.py").read_text() == "print('here')\n"
        assert machine.tunnel.connections == seen + 1, "let in and linked by one connection"
    assert not (laptop.home / ".ssh").exists(), "no file of the person's was touched"
    again = laptop.towline("link", "--once", cwd=laptop.project)  # It needs no ticket any more.
    assert again.returncode == 0


def test_a_ticket_lets_an_engine_in_the_background_in_and_is_in_no_file_afterwards(
    machine: Borrowed, laptop: Laptop
) -> None:
    ticket = machine.ticket()
    laptop.towline("link", "-d", ticket, cwd=laptop.project)
    try:
        assert (machine.home / "vision/train.py").read_text() == "print('here')\n"
        left = [path for path in laptop.state.rglob("*") if path.is_file()]
        assert not [path for path in left if ticket.encode() in path.read_bytes()]
        assert not (laptop.state / "machines/box/once").exists()
    finally:
        laptop.towline("stop", cwd=laptop.project)


def test_a_key_of_our_own_that_does_not_open_is_told_while_the_line_stands(
    machine: Borrowed, laptop: Laptop, tmp_path: Path
) -> None:
    ticket = machine.ticket()
    wrapper = tmp_path / "ssh"  # Whatever it is that takes our key out again: it comes before us.
    wrapper.write_text('#!/bin/sh\ncase "$*" in *host_config*) : >"$KEYS" ;; esac\nexec ssh "$@"\n')
    wrapper.chmod(0o755)
    laptop.environment |= {
        "TOWLINE_SSH": str(wrapper), "KEYS": str(machine.place / "authorized_keys")
    }  # fmt: skip
    with laptop.linked(ticket):
        [log] = laptop.state.glob("*.log")
        told = "does not take this laptop's own key"
        wait_until(lambda: told in log.read_text(), "it is told", WAIT_S)
        save(laptop.project / "train.py", "goes on\n")
        wait_content(machine.home / "vision/train.py", "goes on\n")
    del laptop.environment["TOWLINE_SSH"]
    again = machine.up("--invite")["ticket"]
    assert laptop.towline("link", "--once", again, cwd=laptop.project).returncode == 0


def test_a_ticket_that_lets_nobody_in_leaves_no_workspace(
    machine: Borrowed, laptop: Laptop, tmp_path: Path
) -> None:
    ticket = machine.ticket()
    thief = Laptop(tmp_path / "thief")
    thief.towline("enrol", ticket)
    thief.close()
    done = laptop.towline("link", "--once", ticket, cwd=laptop.project, check=False)
    assert done.returncode == 77
    assert "was used already" in done.stderr
    assert not list((laptop.state / "workspaces").glob("*.json"))
    assert not (laptop.state / "machines/box/record.json").exists()


def test_a_ticket_that_lets_nobody_in_costs_a_workspace_of_that_name_nothing(
    machine: Borrowed, laptop: Laptop
) -> None:
    ticket = machine.ticket()
    with laptop.linked(ticket):
        pass
    shutil.rmtree(laptop.state / "machines/box")  # As the hint at a damaged record says.
    [record] = (laptop.state / "workspaces").glob("*.json")
    done = laptop.towline("link", "--once", ticket, cwd=laptop.project, check=False)
    assert (done.returncode, "was used already" in done.stderr) == (77, True)
    assert record.exists()
    assert (laptop.state / f"{record.stem}.sqlite").exists(), "what both sides agreed on"
    assert (laptop.state / f"{record.stem}.history").exists(), "what files were before"


def test_a_second_up_is_the_same_machine_with_the_same_ticket(machine: Borrowed) -> None:
    first = machine.up("--name", "box")
    assert machine.up("--name", "other") == first


def test_an_sshd_that_dies_is_started_again(machine: Borrowed, laptop: Laptop) -> None:
    laptop.towline("enrol", machine.ticket())
    dead = int((machine.place / "sshd.pid").read_text())
    os.kill(dead, signal.SIGKILL)
    reach = ("ssh", "box", "--", "echo in")
    wait_until(lambda: laptop.towline(*reach, check=False).stdout == "in\n", "it is back", 60)
    assert int((machine.place / "sshd.pid").read_text()) != dead


def test_after_the_supervisor_was_killed_up_is_the_same_machine_again(
    machine: Borrowed, laptop: Laptop
) -> None:
    laptop.towline("enrol", machine.ticket())
    status = json.loads((machine.place / "status.json").read_text())
    os.kill(status["pid"], signal.SIGKILL)
    wait_until(lambda: not is_alive(status["pid"]), "the supervisor is dead")
    again = decode(machine.ticket())
    assert (again.machine, again.port) == (status["machine"], status["port"])
    assert laptop.towline("ssh", "box", "--", "echo in").stdout == "in\n"


def test_on_colab_its_terms_come_first(machine: Borrowed) -> None:
    machine.environment["COLAB_RELEASE_TAG"] = "release-colab_20260730"
    done = machine.towline("up", check=False)
    assert done.returncode == 77
    assert "do not allow SSH on its free machines" in done.stderr
    assert not (machine.place / "host_key").exists(), "nothing was begun"
    ticket = decode(machine.up("--i-have-compute-units")["ticket"])
    assert (ticket.alias, ticket.folder) == ("colab", "/content")
    again = machine.towline("up", "--route", "bore", "--i-have-compute-units")
    assert "expect this machine to live until" in again.stderr
    assert "it is up already, by direct" in again.stderr


def test_what_listens_listens_on_loopback_only(machine: Borrowed) -> None:
    machine.up()
    pids = _processes_of(machine) | {int((machine.place / "sshd.pid").read_text())}
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    ours = [line.split()[3] for line in listening.splitlines() if _pid_in(line) in pids]
    assert ours
    assert all(place.startswith("127.0.0.1:") for place in ours), ours


def _processes_of(machine: Borrowed) -> set[int]:
    """Return what runs for this machine: all with its state directory in their environment."""
    mark = f"XDG_STATE_HOME={machine.environment['XDG_STATE_HOME']}".encode()
    found: set[int] = set()
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (directory / "environ").read_bytes().split(b"\0"):
                found.add(int(directory.name))
        except OSError:
            continue
    return found


def _pid_in(line: str) -> int:
    match = re.search(r"pid=(\d+)", line)
    return int(match[1]) if match else 0


def test_down_ends_everything_and_the_next_up_is_the_same_machine(machine: Borrowed) -> None:
    before = decode(machine.ticket())
    sshd = int((machine.place / "sshd.pid").read_text())
    machine.towline("down")
    assert not is_alive(sshd)
    wait_until(lambda: not _processes_of(machine), "nothing of it runs")
    after = decode(machine.ticket())
    assert (after.machine, after.host_key, after.port) == (
        before.machine,
        before.host_key,
        before.port,
    )


@pytest.mark.parametrize("server", SERVERS)
def test_shells_see_the_environment_of_who_called_up(
    machine: Borrowed, laptop: Laptop, server: tuple[str, ...]
) -> None:
    cuda = "/usr/local/nvidia/lib:/usr/lib64-nvidia"
    machine.environment |= {
        "LD_LIBRARY_PATH": cuda,
        "CUDA_VERSION": '12 "8" \\ $HOME',
        "HF_TOKEN": "hidden",
        "JPY_PARENT_PID": "1",
    }
    laptop.towline("enrol", machine.ticket(*server))
    seen = laptop.towline("ssh", "box", "--", "env").stdout.splitlines()
    assert f"LD_LIBRARY_PATH={cuda}" in seen
    assert 'CUDA_VERSION=12 "8" \\ $HOME' in seen
    assert f"PATH={machine.environment['PATH']}" in seen
    assert not [line for line in seen if line.startswith(("HF_TOKEN", "JPY_"))]


@pytest.mark.parametrize("server", SERVERS)
def test_login_shells_keep_the_path_of_who_called_up(
    machine: Borrowed, laptop: Laptop, server: tuple[str, ...]
) -> None:
    """/etc/profile of Debian sets another."""
    machine.environment["PATH"] = f"/opt/cuda/bin:{machine.environment['PATH']}"
    laptop.towline("enrol", machine.ticket(*server))
    ssh = ("ssh", "-F", str(laptop.state / "machines/box/host_config"))
    shown = laptop.run(*ssh, "-tt", "box", given="echo '<'\"$PATH\"'>'; exit\n").stdout
    assert f"<{machine.environment['PATH']}>" in shown
    if os.getuid() == 0:  # As editors look for the environment of a person's shell.
        said = laptop.run(*ssh, "box", "bash -lc 'echo $PATH'").stdout
        assert said == f"{machine.environment['PATH']}\n"
    identity = decode(machine.ticket()).machine
    machine.towline("down")
    assert not list(Path("/etc/profile.d").glob(f"*{identity}*"))


# OpenSSH's own programs


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("over_line", [True, False], ids=["over the line", "by itself"])
def test_ssh_scp_sftp_and_rsync_work_by_name(
    machine: Borrowed, laptop: Laptop, server: tuple[str, ...], *, over_line: bool
) -> None:
    laptop.towline("enrol", machine.ticket(*server))
    laptop.towline("ssh-config")
    if over_line:
        with laptop.linked("box"):
            before = machine.tunnel.connections
            _use_all(machine, laptop)
            assert machine.tunnel.connections == before, "it went past the line"
    else:
        _use_all(machine, laptop)


def _use_all(machine: Borrowed, laptop: Laptop) -> None:
    config = ("-F", str(laptop.config))
    there = machine.home / "there"
    (laptop.home / "blob").write_bytes(BLOB)
    assert laptop.run("ssh", *config, "box", "echo $HOME").stdout == f"{machine.home}\n"
    assert laptop.run("ssh", *config, "-tt", "box", "tty; exit 7", check=False).returncode == 7
    laptop.run("scp", "-q", *config, "blob", f"box:{there}")
    assert there.read_bytes() == BLOB
    laptop.run("sftp", "-q", *config, "-b", "-", "box", given=f"get {there} back\n")
    assert (laptop.home / "back").read_bytes() == BLOB
    if shutil.which("rsync"):
        words = ("rsync", "-a", "-e", f"ssh -F {laptop.config}", f"box:{there}", "synced")
        laptop.run(*words)
        assert (laptop.home / "synced").read_bytes() == BLOB
    _copy_by_another_ssh(laptop, f"box:{there}")


def _copy_by_another_ssh(laptop: Laptop, there: str) -> None:
    ssh = laptop.home / "another-ssh"
    ssh.write_text(f'#!/bin/sh\ntouch {laptop.home}/was-used\nexec ssh "$@"\n')
    ssh.chmod(0o755)
    laptop.environment["TOWLINE_SSH"] = str(ssh)
    laptop.towline("cp", there, "copied")
    del laptop.environment["TOWLINE_SSH"]
    assert (laptop.home / "copied").read_bytes() == BLOB
    assert (laptop.home / "was-used").exists()


def test_several_at_once_share_the_line(machine: Borrowed, laptop: Laptop) -> None:
    laptop.towline("enrol", machine.ticket())
    laptop.towline("ssh-config")
    argv = ["ssh", "-F", str(laptop.config), "box", "cat; echo done"]
    with laptop.linked("box"):
        running = [
            subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=laptop.environment
            )
            for _ in range(4)
        ]
        for process in running:
            assert process.communicate(BLOB, timeout=60)[0] == BLOB + b"done\n"


def test_cp_goes_past_the_sync_into_the_project_there(machine: Borrowed, laptop: Laptop) -> None:
    laptop.towline("enrol", machine.ticket())
    there = machine.home / "else where"
    with laptop.linked(f"box:{there}"):
        (there / "data").mkdir()
        laptop.towline("cp", "train.py", ":data/copy", cwd=laptop.project)
        assert (there / "data/copy").read_text() == "print('here')\n"
        laptop.towline("cp", "-r", f"box:{there}/data", "back")
        assert (laptop.home / "back/copy").read_text() == "print('here')\n"
        assert laptop.towline("ssh", "--", "pwd", cwd=laptop.project).stdout == f"{there}\n"


def test_a_name_that_nobody_knows_is_said_so(laptop: Laptop) -> None:
    done = laptop.towline("proxy", "nowhere", check=False)
    assert done.returncode == 69
    assert "no machine is called 'nowhere'" in done.stderr


def test_ssh_config_keeps_what_is_there_and_can_be_taken_out(
    machine: Borrowed, laptop: Laptop
) -> None:
    laptop.config.parent.mkdir(mode=0o700)
    own = "# mine\nHost old\n    User me\n"
    laptop.config.write_text(own)
    laptop.config.chmod(0o640)
    laptop.towline("enrol", machine.ticket())
    shown = laptop.towline("ssh-config", "--dry-run").stdout
    assert laptop.config.read_text() == own
    assert "+Include" in shown
    laptop.towline("ssh-config")
    laptop.towline("ssh-config")
    text = laptop.config.read_text()
    assert text.count("Include") == 1
    assert text.endswith(own)
    assert laptop.config.stat().st_mode & 0o777 == 0o640
    assert "RemoteCommand" not in laptop.run("ssh", "-G", "-F", str(laptop.config), "box").stdout
    laptop.towline("ssh-config", "--remove")
    assert laptop.config.read_text() == own


def test_where_only_http_passes_ssh_goes_in_web_socket_messages(
    machine: Borrowed, laptop: Laptop
) -> None:
    ticket = decode(machine.ticket())
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_bridge(machine.tunnel.target)) as bridge,
    ):
        address = WebSocket("127.0.0.1", bridge.port, token=bridge.token, secure=False)
        with laptop.linked(encode(dataclasses.replace(ticket, addresses=(address,)))):
            assert (machine.home / "vision/train.py").exists()
            assert laptop.towline("ssh", "box", "--", "echo in").stdout == "in\n"
        laptop.towline("ssh-config")
        (laptop.home / "blob").write_bytes(BLOB)
        there = machine.home / "there"
        laptop.run("scp", "-q", "-F", str(laptop.config), "blob", f"box:{there}")
        assert there.read_bytes() == BLOB
    assert bridge.token not in (machine.place / "log").read_text()


def test_a_link_follows_its_machine_to_a_new_address(
    machine: Borrowed, laptop: Laptop, tmp_path: Path
) -> None:
    with laptop.linked(machine.ticket()):
        machine.towline("down")
        machine.tunnel.close()
        machine.tunnel = Tunnel()
        laptop.towline("enrol", machine.ticket())
        save(laptop.project / "train.py", "print('moved')\n")
        wait_content(machine.home / "vision/train.py", "print('moved')\n", timeout_s=60)
        log = laptop.towline("log", cwd=laptop.project).stdout
        assert "a new life" not in log, "the line resumed: the agent had never ended"
    machine.tunnel.close()


def test_a_shell_over_the_line_survives_a_cut_of_the_way_in(
    machine: Borrowed, laptop: Laptop
) -> None:
    laptop.towline("enrol", machine.ticket())
    laptop.towline("ssh-config")
    argv = ["ssh", "-F", str(laptop.config), "box", "cat"]
    with laptop.linked("box"):
        shell = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=laptop.environment
        )
        assert shell.stdin is not None
        assert shell.stdout is not None
        with shell:
            for number in range(3):
                shell.stdin.write(b"still %d\n" % number)
                shell.stdin.flush()
                assert shell.stdout.readline() == b"still %d\n" % number
                assert machine.tunnel.cut() > 0
            shell.stdin.close()
            assert shell.wait(60) == 0


# Tickets that must not work


def refused(laptop: Laptop, ticket: str) -> str:
    done = laptop.towline("enrol", ticket, check=False)
    assert done.returncode in (2, 77), done
    return done.stderr


@pytest.mark.parametrize("server", SERVERS)
def test_a_stolen_ticket_that_was_used_lets_nobody_in(
    machine: Borrowed, laptop: Laptop, tmp_path: Path, server: tuple[str, ...]
) -> None:
    ticket = machine.ticket(*server)
    laptop.towline("enrol", ticket)
    before = machine.authorized()
    thief = Laptop(tmp_path / "thief")
    assert "was used already" in refused(thief, ticket)
    assert machine.authorized() == before
    assert not (thief.state / "machines/box/record.json").exists()
    thief.close()


@pytest.mark.parametrize("server", SERVERS)
def test_the_one_time_key_runs_nothing_but_enrolment(
    machine: Borrowed, laptop: Laptop, tmp_path: Path, server: tuple[str, ...]
) -> None:
    from towline.machine.keys import one_time_key, private_text

    ticket = decode(machine.ticket(*server))
    assert ticket.secret is not None
    key = tmp_path / "once"
    key.touch(0o600)
    key.write_bytes(private_text(one_time_key(ticket.secret)))
    base = ("-F", "none", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
            "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path}/hosts",
            "-o", "BatchMode=yes", "-p", str(machine.tunnel.port),
            "-l", ticket.user)  # fmt: skip
    stolen = laptop.run("ssh", *base, "127.0.0.1", "cat /etc/hostname", check=False)
    assert stolen.returncode == 1
    assert "sent no key" in stolen.stdout
    forward = ("-o", "ExitOnForwardFailure=yes", "-N", "-R", "127.0.0.1:0:127.0.0.1:1")
    assert laptop.run("ssh", *base, *forward, "127.0.0.1", check=False).returncode == 255
    terminal = laptop.run("ssh", *base, "-tt", "127.0.0.1", check=False)
    assert "PTY allocation request failed" in terminal.stderr
    hostile = 'command="id" ssh-ed25519 AAAA x\nssh-ed25519 AAAA y'
    assert "sent no key" in laptop.run("ssh", *base, "127.0.0.1", given=hostile, check=False).stdout
    ran = tmp_path / "ran"
    no_key = f"no key\nexec touch '{ran}'\n"
    assert "sent no key" in laptop.run("ssh", *base, "127.0.0.1", given=no_key, check=False).stdout
    assert not ran.exists(), "a command was run for who was not let in"
    assert machine.authorized().count("\n") == 1


def test_two_laptops_with_one_ticket_at_once_only_one_gets_in(
    machine: Borrowed, laptop: Laptop, tmp_path: Path
) -> None:
    ticket = machine.ticket()
    other = Laptop(tmp_path / "other")
    argv = [*("env",), *_argv("enrol", ticket)]
    running = [
        subprocess.Popen(argv, env=side.environment, stderr=subprocess.DEVNULL)
        for side in (laptop, other)
    ]
    codes = sorted(process.wait(60) for process in running)
    assert codes == [0, 77]
    assert machine.authorized().count("ssh-ed25519") == 1
    other.close()


def _argv(*words: str) -> list[str]:
    from tests.end_to_end.borrowed import TOWLINE

    return [*TOWLINE, *words]


def test_an_expired_ticket_says_so(machine: Borrowed, laptop: Laptop) -> None:
    ticket = decode(machine.ticket())
    old = encode(dataclasses.replace(ticket, expires=int(time.time()) - 1))
    assert "too old" in refused(laptop, old)


@pytest.mark.parametrize("server", SERVERS)
def test_the_machine_keeps_the_time_itself(
    machine: Borrowed, laptop: Laptop, server: tuple[str, ...]
) -> None:
    """A laptop whose clock is wrong, or that lies, gets in no longer either."""
    ticket = machine.ticket(*server)
    keys = machine.place / "authorized_keys"
    keys.write_text(re.sub(r'expiry-time="\d+"', 'expiry-time="20200101000000"', keys.read_text()))
    assert "too old" in refused(laptop, ticket)


def test_cut_off_and_mistyped_are_told_apart(machine: Borrowed, laptop: Laptop) -> None:
    ticket = machine.ticket()
    assert "cut off" in refused(laptop, ticket[:-3])
    assert "was changed" in refused(laptop, ticket[:-1] + ("A" if ticket[-1] != "A" else "B"))
    assert not (laptop.state / "machines/box").exists()


def test_a_known_laptop_takes_a_new_ticket_without_enrolment(
    machine: Borrowed, laptop: Laptop
) -> None:
    laptop.towline("enrol", machine.ticket())
    again = machine.ticket()
    assert decode(again).secret is None
    before = machine.tunnel.connections
    laptop.towline("enrol", again)
    assert machine.tunnel.connections == before
    assert laptop.towline("ssh", "box", "--", "echo in").stdout == "in\n"


def test_with_a_key_known_beforehand_the_ticket_holds_no_secret(
    machine: Borrowed, laptop: Laptop
) -> None:
    key = laptop.towline("enrol", "--key").stdout
    ticket = machine.ticket("--key", key)
    assert decode(ticket).secret is None
    assert "towline-invitation" not in machine.authorized()
    with laptop.linked(ticket):
        assert (machine.home / "vision/train.py").exists()


def test_another_machine_behind_the_address_is_refused(
    machine: Borrowed, laptop: Laptop, tmp_path: Path
) -> None:
    laptop.towline("enrol", machine.ticket())
    with borrowed_in(tmp_path / "impostor") as impostor:
        impostor.ticket()
        machine.tunnel.target = impostor.tunnel.target
        link = laptop.towline("link", "box", "--once", check=False, cwd=laptop.project)
        assert link.returncode == 77
        assert "is not box: its host key is another one" in link.stderr
        shell = laptop.towline("ssh", "box", "--", "id", check=False)
        assert shell.returncode == 255
        assert "uid" not in shell.stdout


def test_a_swapped_host_key_is_noticed_before_the_secret_is_used(
    machine: Borrowed, laptop: Laptop, tmp_path: Path
) -> None:
    ticket = machine.ticket()
    with borrowed_in(tmp_path / "impostor") as impostor:
        impostor.ticket()
        machine.tunnel.target = impostor.tunnel.target
        assert "its host key is another one" in refused(laptop, ticket)


def test_a_forged_ticket_cannot_change_the_key_of_a_machine_we_know(
    machine: Borrowed, laptop: Laptop
) -> None:
    laptop.towline("enrol", machine.ticket())
    forged = dataclasses.replace(decode(machine.ticket()), host_key=bytes(32))
    assert "another host key than the one that is pinned" in refused(laptop, encode(forged))


def test_a_ticket_cannot_take_a_name_that_the_person_has_given(
    machine: Borrowed, laptop: Laptop
) -> None:
    laptop.config.parent.mkdir(mode=0o700)
    laptop.config.write_text('Host prod "Box" *.example\n    User me\n')
    assert "has a Host of that name" in refused(laptop, machine.ticket())
    assert "towline-invitation" in machine.authorized(), "nothing was used up"


def test_a_new_machine_takes_over_the_name_of_the_last_one(
    machine: Borrowed, laptop: Laptop, tmp_path: Path
) -> None:
    laptop.towline("enrol", machine.ticket())
    with borrowed_in(tmp_path / "next") as following:
        told = laptop.towline("enrol", following.ticket()).stderr
        assert "box is another machine from now on" in told
        assert laptop.towline("ssh", "box", "--", "echo $HOME").stdout == f"{following.home}\n"


def test_a_route_that_cannot_be_had_says_what_it_needs(machine: Borrowed) -> None:
    done = machine.towline("up", "--route", "nonsense", check=False)
    assert done.returncode == 69
    assert "there is no route 'nonsense'" in done.stderr
    done = machine.towline("up", "--route", "direct", check=False)
    assert "TOWLINE_DIRECT_ADDRESS" in done.stderr
    machine.towline("down")


def test_up_does_not_believe_an_address_where_another_machine_answers(
    machine: Borrowed, tmp_path: Path
) -> None:
    with borrowed_in(tmp_path / "other") as other:
        other.ticket()
        address = f"direct.address=127.0.0.1:{other.tunnel.port}"
        done = machine.towline("up", "--route", "direct", "--set", address, check=False)
        assert "is another machine than this one" in done.stderr
        assert not _processes_of(machine)


def test_a_key_that_others_could_read_is_not_used(machine: Borrowed, laptop: Laptop) -> None:
    laptop.towline("enrol", "--key")
    (laptop.state / "machines/laptop_key").chmod(0o644)
    assert "could be read by others" in refused(laptop, machine.ticket())


def test_directories_that_others_could_enter_are_closed_to_them(
    machine: Borrowed, laptop: Laptop
) -> None:
    machine.place.mkdir(parents=True)
    machine.place.chmod(0o777)
    laptop.state.joinpath("machines").mkdir(parents=True)
    laptop.state.joinpath("machines").chmod(0o755)
    laptop.towline("enrol", machine.ticket())
    for directory in (machine.place, laptop.state / "machines", laptop.state / "machines/box"):
        assert directory.stat().st_mode & 0o777 == 0o700
    for file in (*machine.place.iterdir(), *laptop.state.rglob("machines/**/*")):
        assert (
            file.is_dir() or file.suffix in (".pub", ".pid") or file.stat().st_mode & 0o077 == 0
        ), file


def test_the_secret_stands_in_no_process_list_and_no_log(machine: Borrowed) -> None:
    ticket = decode(machine.ticket())
    assert ticket.secret is not None
    told = [path for path in machine.place.iterdir() if path.is_file()]
    named = {path.name for path in told if ticket.secret.hex() in path.read_text()}
    assert named == {"invitation.json"}
    lines = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True)
    assert ticket.secret.hex() not in lines.stdout
