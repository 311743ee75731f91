"""`towline link` in real processes: in front, behind, once, and all the ways it can fail."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import time

import pytest

from towline.control import is_running
from towline.core.address import Tcp
from towline.core.ticket import SECRET_SIZE, Ticket, encode
from towline.errors import ExitCode
from towline.line.options import SshOptions
from towline.places import Workspaces


@pytest.fixture
def stopped_at_the_end():
    yield
    from towline.cli.stop import ensure_stopped

    for binding in Workspaces():
        ensure_stopped(binding)


def events(text: str) -> list[str]:
    return [json.loads(line)["event"] for line in text.splitlines()]


def test_json_is_events_on_standard_output_and_nothing_else(finish):
    ended = finish("link", "once", "--once", "--json")
    assert ended.code == ExitCode.OK, ended.err
    assert events(ended.out) == ["ready", "revision", "stopped"]
    assert ended.err == ""


def test_without_a_terminal_it_is_a_line_an_event_on_standard_error(finish):
    ended = finish("link", "once", "--once")
    assert ended.out == ""
    lines = [line.partition(" ")[2] for line in ended.err.splitlines()]
    assert lines == [
        "connecting: once:~/demo",
        "first sync: once:~/demo",
        "live at ~/demo: 12 files, 3.4 MB in 1.2 s, a new machine",
        "left out: data/big.bin (1.2 GB): is larger than 100 MB",
        "to include one, add a line such as `!/data/big.bin` to .towlineignore",
        "revision 2: 1 change in 48 ms: a.py",
        "stopped: asked to",
    ]


def test_what_happened_is_in_the_log_afterwards(finish, run):
    finish("link", "once", "--once")
    assert events(run("log", "--json").out) == ["ready", "revision", "stopped"]
    assert run("log", "-n", "1").out.endswith("  stopped: asked to\n")
    row = json.loads(run("links", "list", "--json").out)
    assert (row["last_state"], row["running"]) == ("live", False)


def test_a_second_run_needs_no_destination_and_keeps_the_options(finish, project):
    finish("link", "once:/data/x", "--once", "-p", "2200", "-o", "A=1", "-o", "B=2", "-i", "key")
    assert finish("link", "--once").code == ExitCode.OK
    (binding,) = Workspaces()
    assert (binding.destination, binding.project) == ("once", project)
    assert binding.ssh == SshOptions(
        port=2200, identity=str(project / "key"), options=("A=1", "B=2")
    )


def test_the_destination_may_stand_in_the_configuration(finish, project):
    (project / "towline.toml").write_text('machine = "once:/there"\nname = "called so"\n')
    assert finish("link", "--once").code == ExitCode.OK
    (binding,) = Workspaces()
    assert (binding.destination, binding.name) == ("once", "called-so")


def test_no_destination_at_all_is_wrong_usage(run, project):
    ended = run("link")
    assert ended.code == ExitCode.USAGE
    assert "hint: run `towline link DEST`" in ended.err


def test_a_home_directory_is_not_linked_by_accident(run, homes, monkeypatch):
    monkeypatch.chdir(homes)
    assert run("link", "box").code == ExitCode.USAGE
    assert list(Workspaces()) == []


def test_a_wrong_configuration_is_an_error_before_anything_is_done(run, project):
    (project / "towline.toml").write_text("sizemax = 1\n")
    ended = run("link", "box")
    assert ended.code == ExitCode.CONFIG
    assert ended.err.startswith("error: towline.toml:1: ")
    assert list(Workspaces()) == []


def test_an_error_of_the_engine_is_one_line_a_hint_and_its_exit_code(finish):
    ended = finish("link", "away")
    assert ended.code == ExitCode.UNAVAILABLE
    assert ended.err == "error: away cannot be reached\nhint: is it on?\n"


def test_detached_it_returns_once_live_and_goes_on(finish, project, stopped_at_the_end):
    ended = finish("link", "live", "--detach")
    assert ended.code == ExitCode.OK, ended.err
    assert "live at ~/demo: 12 files" in ended.err
    assert "demo: goes on in the background (process " in ended.err
    (binding,) = Workspaces()
    assert is_running(binding)
    again = finish("link", "--detach")
    assert (again.code, again.out) == (ExitCode.OK, "")
    assert again.err.startswith("demo: linked already, by process ")
    assert not list(binding.places.socket.parent.glob("*.request"))


def test_in_front_a_second_engine_is_refused_with_the_number_of_the_first(
    finish, stopped_at_the_end
):
    finish("link", "live", "--detach")
    ended = finish("link")
    assert ended.code == ExitCode.TRY_AGAIN
    assert "error: this workspace is linked already, by process " in ended.err
    assert "`towline stop` ends it" in ended.err


def test_detached_a_failure_appears_in_front(finish):
    ended = finish("link", "away", "--detach", "--json")
    assert ended.code == ExitCode.UNAVAILABLE
    assert ended.err == "error: away cannot be reached\nhint: is it on?\n"
    assert events(ended.out) == ["error"]


def test_detached_a_bug_says_where_its_traceback_is(finish, run):
    ended = finish("link", "crash", "--detach")
    assert ended.code == ExitCode.FAILED
    assert "error: the engine ended before it was live" in ended.err
    assert "RuntimeError: a bug" in run("log").out


def test_detached_a_plan_that_is_held_is_as_far_as_it_gets(finish, stopped_at_the_end):
    assert finish("link", "held", "-d").code == ExitCode.OK


def wait_for_line(process: subprocess.Popen, text: str) -> None:
    while text not in (line := process.stderr.readline()):
        assert line, "it ended before"


@pytest.mark.skipif(os.name == "nt", reason="needs the signals of a Unix")
@pytest.mark.parametrize("detach", [[], ["--detach"]])
def test_ctrl_c_is_130_without_a_traceback_and_leaves_nothing(detach, start):
    process = start("link", "slow", *detach, start_new_session=True)
    wait_for_line(process, "first sync")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "Traceback" not in err
    (binding,) = Workspaces()
    assert not is_running(binding)


def test_several_are_started_and_stopped_at_once(run, finish, project, stopped_at_the_end):
    for name in ("one", "two"):
        (project.parent / name).mkdir()
        Workspaces().ensure(project.parent / name, "live")
    Workspaces().ensure(project, "away")
    started = finish("links", "start")
    assert started.code == ExitCode.UNAVAILABLE
    assert "error: demo: away cannot be reached" in started.err
    assert [row.split()[:2] for row in run("links").out.splitlines()] == [
        ["demo", "not"],
        ["one", "live"],
        ["two", "live"],
    ]
    assert run("links", "stop").err.count(": stopped\n") == 2


@pytest.mark.parametrize("command", ["log -n 9999", "link live --json"])
def test_who_stops_reading_is_no_error(command, start, finish):
    finish("link", "once", "--once")
    (binding,) = Workspaces()
    with binding.places.log.open("a") as log:
        log.write("x" * 100 + "\n" * 10_000)
    process = start(*command.split())
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (ExitCode.OK, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_under_its_output_ends_nothing(start, run):
    with open("/dev/full", "w") as full:
        process = start("link", "once", "--once", "--json", stdout=full)
        _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert events(run("log", "--json").out) == ["ready", "revision", "stopped"]


def test_what_is_asked_travels_whole_to_the_background(project):
    from towline.request import LinkRequest

    request = LinkRequest(
        workspace_id="0" * 16,
        name="demo",
        project=project,
        destination="me@box",
        machine_path="/x",
        ssh=SshOptions("f", 22, "k", "hop", ("A=1",)),
        once=True,
        overrides={"compression": "none"},
    )
    assert LinkRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


def test_a_project_that_is_gone_keeps_the_others_from_nothing(finish, project, stopped_at_the_end):
    gone = project.parent / "away-on-a-disk"
    gone.mkdir()
    lost = Workspaces().ensure(gone, "live", name="a-first-one")
    gone.rmdir()
    Workspaces().ensure(project, "live")
    started = finish("links", "start")
    assert started.code == ExitCode.CONFIG
    assert "error: a-first-one: no engine can be started in" in started.err
    assert "demo: goes on in the background" in started.err
    assert not lost.places.socket.with_suffix(".request").exists()


@pytest.mark.parametrize(("machine", "is_kept"), [("once", True), ("away", False)])
def test_a_ticket_that_let_nobody_in_costs_a_workspace_only_if_it_was_never_linked(
    machine, is_kept, finish
):
    """What was linked has a past, whatever became of what was known of its machine."""
    place, secret = (Tcp("a.example", 1),), bytes(SECRET_SIZE)
    expires = int(time.time()) + 600
    ticket = Ticket(machine, "00" * 8, bytes(32), place, "me", secret=secret, expires=expires)
    finish("link", encode(ticket), "--once")
    assert [known.destination for known in Workspaces()] == [machine] * is_kept


def test_a_host_that_was_mistyped_is_not_the_one_that_is_meant_later(finish, project):
    assert finish("link", "once", "--once").code == ExitCode.OK
    assert finish("link", "away").code == ExitCode.UNAVAILABLE
    assert finish("link", "--once").code == ExitCode.OK
    assert finish("link", "away").code == ExitCode.UNAVAILABLE, "also the second time"
    assert [known.destination for known in Workspaces().of_project(project)] == ["once", "away"]


def test_of_several_the_machine_that_is_linked_is_where_ssh_and_doctor_go(
    run, linked, project, monkeypatch
):
    from towline import doctor
    from towline.there import linked_here

    Workspaces().save(
        dataclasses.replace(Workspaces().ensure(project, "other"), linked=time.time())
    )
    assert linked_here() == linked
    tried = []
    monkeypatch.setattr(doctor, "check_machine", lambda host, _: tried.append(host) or ())
    run("doctor")
    assert tried == [linked.destination]
