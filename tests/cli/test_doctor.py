"""`towline doctor`: each check with what it finds, and what to do."""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from pathlib import Path

import pytest

from towline import doctor, machines
from towline.doctor import Verdict
from towline.errors import ExitCode
from towline.line.options import SshOptions
from towline.places import Workspaces
from towline.request import NO_SSH_OPTIONS


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A PATH of the test's own. `put(name, script)` adds a program."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv("TOWLINE_SSH")

    def put(name: str, script: str) -> None:
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return put


def by_name(run, *arguments):
    ended = run("doctor", "--json", *arguments)
    checks = [json.loads(line) for line in ended.out.splitlines()]
    return ended.code, {check["name"]: check for check in checks}


def test_a_sound_laptop_is_all_right(run, project):
    code, checks = by_name(run)
    assert {check["verdict"] for check in checks.values()} <= {"ok", "warn"}
    assert code == ExitCode.OK
    assert list(checks) == [
        "registry", "python", "ssh", "git", "configuration", "state", "sockets", "disk",
        "file system", "case", "watches",
    ]  # fmt: skip


def test_it_is_a_line_a_check_with_what_to_do_below(run, project):
    (project / "towline.toml").write_text("nonsense = 1\n")
    ended = run("doctor")
    assert ended.code == ExitCode.FAILED
    lines = [line for line in ended.out.splitlines() if line.startswith("fail")]
    assert len(lines) == 1
    assert lines[0].split()[:2] == ["fail", "configuration"]


def test_without_ssh_it_fails_and_says_what_to_install(run, project, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    code, checks = by_name(run)
    assert code == ExitCode.FAILED
    assert checks["ssh"]["to_do"] == "install the OpenSSH client"
    assert checks["git"]["verdict"] == "warn"


def test_a_broken_registry_is_a_check_not_an_end(run, project):
    (Workspaces().directory / "x.json").write_text("{")
    code, checks = by_name(run)
    assert (code, checks["registry"]["verdict"]) == (ExitCode.FAILED, "fail")
    assert "watches" in checks


def test_the_linked_machine_is_tried_and_its_engine(run, linked, programs):
    programs("ssh", 'shift $(($# - 1)); exec sh -c "$1"')
    _, checks = by_name(run)
    assert checks["machine"]["finding"].startswith("live answered in ")
    assert checks["clock"]["verdict"] == "ok"
    assert checks["machine python"]["verdict"] == "ok"
    assert checks["engine"]["finding"].startswith(f"demo: process {os.getpid()}")


def machine(programs, script):
    programs("ssh", script)
    return list(doctor.check_machine("box", NO_SSH_OPTIONS))


def test_the_machine_is_tried_by_the_ssh_that_link_uses(programs, monkeypatch):
    programs("another", 'shift $(($# - 1)); exec sh -c "$1"')
    monkeypatch.setenv("TOWLINE_SSH", "another")
    assert machine(programs, "exit 255")[0].verdict is Verdict.OK


@pytest.mark.parametrize(
    ("message", "to_do"),
    [
        ("me@box: Permission denied (publickey).", "add your key there or to ssh-agent"),
        ("Host key verification failed.", "log in once by hand"),
        ("ssh: Could not resolve hostname box: no", "is the name right?"),
        ("ssh: connect to host box port 22: Connection refused", "`ssh -v box`"),
    ],
)
def test_why_a_machine_is_out_of_reach_has_a_remedy(message, to_do, programs):
    (check,) = machine(programs, f"echo '{message}' >&2; exit 255")
    assert (check.verdict, check.finding) == (Verdict.FAIL, message)
    assert to_do in check.to_do


@pytest.mark.parametrize(
    ("told", "verdict"),
    [("none", Verdict.FAIL), ("3.9.7", Verdict.FAIL), ("3.10.0", Verdict.OK), ("?", Verdict.FAIL)],
)
def test_the_machine_needs_a_python_of_its_own(told, verdict, programs):
    *_, python = machine(programs, f"date +%s; echo {told}")
    assert python.verdict is verdict


def test_a_clock_that_is_off_is_told_by_how_much(programs):
    _, clock, _ = machine(programs, f"echo {int(time.time()) - 3600}; echo 3.12.1")
    assert clock.verdict is Verdict.WARN
    assert "3600 s behind" in clock.finding or "3599 s behind" in clock.finding


def test_no_machine_is_asked_for_a_password(programs, tmp_path):
    machine(programs, f'echo "$@" > {tmp_path}/asked; exit 255')
    assert "-T -o BatchMode=yes " in (tmp_path / "asked").read_text()


def test_the_file_system_is_that_of_the_longest_mount_point(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "root / ext4 rw 0 0\nhost:/x /home\\040me nfs4 rw 0 0\nd /home\\040me/d xfs rw 0 0\n"
    )
    paths = [tmp_path.__class__(text) for text in ("/srv", "/home me/p", "/home me/d/p")]
    assert [doctor.file_system_of(path, mounts) for path in paths] == ["ext4", "nfs4", "xfs"]
    assert doctor.file_system_of(paths[0], tmp_path / "none") == ""


def test_a_mount_point_may_have_any_name(tmp_path):
    names = ["/été", os.fsdecode(b"/\xff\xfe"), "/a\\b", "/" + "\u2028"]
    told = [os.fsencode(name.replace("\\", "\\134")) for name in names]
    mounts = tmp_path / "mounts"
    mounts.write_bytes(b"".join(b"h:/x %s nfs4 rw 0 0\n" % name for name in (b"/", *told)))
    mounts.write_bytes(mounts.read_bytes().replace(b"/ nfs4", b"/ ext4", 1) + b"cut\n")
    assert [doctor.file_system_of(Path(name) / "p", mounts) for name in names] == ["nfs4"] * 4


def test_a_network_file_system_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "file_system_of", lambda path: "nfs4")
    check = doctor.check_file_system(tmp_path)
    assert (check.verdict, "by looking" in check.to_do) == (Verdict.WARN, True)


def test_too_few_watches_name_the_setting(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "count_directories", lambda project: 10**9)
    check = doctor.check_watches(tmp_path)
    assert check.verdict is Verdict.WARN
    assert check.to_do == "sudo sysctl fs.inotify.max_user_watches=4000000000"


def test_directories_are_counted(tmp_path):
    for name in ("a", "a/b", "c"):
        (tmp_path / name).mkdir()
    assert doctor.count_directories(tmp_path) >= 4


@pytest.mark.skipif(
    os.geteuid() == 0, reason="needs a user who is not root: root may write everywhere"
)
def test_a_state_directory_without_room_is_told(homes):
    (homes / "state").mkdir(exist_ok=True)
    (homes / "state").chmod(stat.S_IRUSR)
    assert doctor.check_state_directory().verdict is Verdict.FAIL


def test_a_machine_that_came_by_a_ticket_is_tried_by_its_name(run, project, monkeypatch):
    tried = []
    monkeypatch.setattr(doctor, "check_machine", lambda *way: tried.append(way) or ())
    known = machines.keep(
        machines.Machine("colab", "5" * 16, "ab" * 32, ("tcp://10.0.0.1:22",), "me")
    )
    run("doctor", "colab")
    assert tried == [("colab", known.ssh_options())]


LOGIN_SHELLS = [path for name in ("sh", "fish", "tcsh") if (path := shutil.which(name))]


@pytest.mark.parametrize("shell", LOGIN_SHELLS)
def test_what_login_files_print_is_not_taken_for_an_answer(shell, programs):
    script = f'shift $(($# - 1)); echo "Welcome"; exec {shell} -c "$1"'
    verdicts = [check.verdict for check in machine(programs, script)]
    assert verdicts == [Verdict.OK, Verdict.OK, Verdict.OK]


def test_the_machine_that_is_configured_is_tried_before_it_was_ever_linked(
    run, project, monkeypatch
):
    tried = []
    monkeypatch.setattr(doctor, "check_machine", lambda *way: tried.append(way) or ())
    (project / "towline.toml").write_text('machine = "me@box:/data"\nssh.port = 2200\n')
    run("doctor")
    assert tried == [("me@box", SshOptions(port=2200))]
