"""The commands that ask an engine, against one behind a real socket."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from towline.errors import ExitCode
from towline.places import Workspaces

ASKING = ["status", "flush", "conflicts", "problems", "accept", "refuse", "explain a.py"]


@pytest.mark.parametrize("command", [*ASKING, "log", "stop", "service install"])
def test_where_nothing_is_linked_every_command_says_so_and_what_to_do(command, run, project):
    ended = run(*command.split())
    assert ended.code == ExitCode.UNAVAILABLE
    assert ended.out == ""
    assert ended.err.splitlines()[0].startswith("error: towline is not linked here")
    assert "run `towline link" in ended.err.splitlines()[1]


@pytest.mark.parametrize("command", ASKING)
def test_without_an_engine_every_command_says_how_to_start_one(command, run, project):
    Workspaces().ensure(project, "live")
    ended = run(*command.split(), "--json")
    assert ended.code == ExitCode.UNAVAILABLE
    assert ended.err == (
        "error: towline is not linked here: no engine runs for demo\n"
        f"hint: run `towline link` in {project}\n"
    )
    told = json.loads(ended.out)
    assert (told["event"], told["exit_code"]) == ("error", ExitCode.UNAVAILABLE)


def test_status_is_a_fact_a_line(run, linked):
    lines = run("status").out.splitlines()
    facts = dict(line.split(maxsplit=1) for line in lines)
    assert facts["workspace"] == "demo"
    assert facts["state"].startswith("live for ")
    assert facts["there"] == "live:~/demo, 41 ms away"
    assert facts["conflicts"] == "1 (see `towline conflicts`)"
    assert facts["behind"] == "nothing"


def test_status_as_json_is_the_documented_status(run, linked):
    status = json.loads(run("status", "--json").out)
    assert (status["state"], status["revision"]) == ("live", 2)


def test_a_command_works_from_a_directory_inside_the_project(run, linked, project, monkeypatch):
    inside = project / "src" / "deep"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert run("status", "--json").code == ExitCode.OK


def test_flush_prints_the_revision(run, linked):
    assert run("flush").out == "revision 2 in 42 ms\n"
    assert json.loads(run("flush", "--json").out) == {"revision": 2, "ms": 41.5}


def test_flush_that_cannot_says_since_when(run, linked):
    ended = run("flush", "--timeout", "0")
    assert ended.code == ExitCode.TRY_AGAIN
    assert ended.err.startswith("error: not flushed: disconnected since ")


def test_conflicts_and_problems_are_listed(run, linked):
    assert run("conflicts").out == "a.py\ta.conflict-machine.py\tmachine\n"
    assert json.loads(run("conflicts", "--json").out)["path"] == "a.py"
    assert run("problems").out.startswith("laptop\ts.sock\tis neither")


def test_explain_names_the_rule_and_answers_by_its_exit_code(run, linked, project):
    assert run("explain", "a.py").out == "a.py: synced: no rule is against it\n"
    ended = run("explain", "a.py", str(project / "b.log"))
    assert ended.out.splitlines()[1] == "b.log: not synced: ignored (.gitignore:3: *.log)"
    assert ended.code == ExitCode.FAILED


def test_explain_of_a_path_elsewhere_is_wrong_usage(run, linked):
    ended = run("explain", "/etc/passwd")
    assert ended.code == ExitCode.USAGE
    assert "is not in the project" in ended.err


def test_accept_and_refuse_tell_what_came_of_it(run, linked):
    assert run("accept").err == "the held plan is carried out\n"
    ended = run("refuse")
    assert (ended.code, ended.err.splitlines()[0]) == (ExitCode.FAILED, "error: nothing is held")


def test_stop_returns_when_the_engine_has_ended(run, linked):
    assert run("stop").err == "demo: stopped\n"
    assert run("stop").err == "demo: was not running\n"
    assert run("stop", "--json").code == ExitCode.OK


def test_links_lists_all_with_what_their_engine_says(run, linked, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    Workspaces().ensure(other, "box", machine_path="/data/other")
    rows = [json.loads(line) for line in run("links", "list", "--json").out.splitlines()]
    assert [(row["name"], row["state"], row["running"]) for row in rows] == [
        ("demo", "live", True),
        ("other", "not running", False),
    ]
    assert "box:/data/other" in run("links").out


def test_links_forget_refuses_while_the_engine_runs(run, linked):
    ended = run("links", "forget", "demo")
    assert ended.code == ExitCode.USAGE
    assert "error: demo: its engine runs" in ended.err
    run("links", "stop")
    assert run("links", "forget", "demo").code == ExitCode.OK
    assert list(Workspaces()) == []


def test_links_says_which_one_failed_and_goes_on_with_the_others(run, linked):
    ended = run("links", "stop", "demo", "nothing")
    assert ended.code == ExitCode.UNAVAILABLE
    assert "no workspace is called 'nothing'" in ended.err


def test_two_engines_for_one_project_must_be_told_apart(run, linked, project, engine_module):
    Workspaces().ensure(project, "other")
    assert json.loads(run("status", "--json").out)["workspace"] == "demo"  # The one that runs.


def test_a_record_that_is_broken_is_named(run, project):
    Workspaces().ensure(project, "live")
    record = next((Workspaces().directory).glob("*.json"))
    record.write_text('{"id": 3')
    ended = run("status")
    assert ended.code == ExitCode.CONFIG
    assert str(record) in ended.err
    assert "hint: remove the file" in ended.err


@pytest.mark.parametrize(
    "command", ["nonsense", "flush --timeout soon", "explain", "link -p 0 x", "link -- -oA=1"]
)
def test_wrong_usage_is_two(command, run, project):
    ended = run(*command.split())
    assert ended.code == ExitCode.USAGE
    assert "Error: " in ended.err or ended.err.startswith("error: ")


def test_version(run):
    assert json.loads(run("version", "--json").out)["towline"] in run("--version").out


def test_the_shell_completes_commands(start, environment):
    environment |= {
        "_TOWLINE_COMPLETE": "bash_complete", "COMP_WORDS": "towline st", "COMP_CWORD": "1"
    }  # fmt: skip
    out, _ = start().communicate(timeout=30)
    assert out.split() == ["plain,status", "plain,stop"]


def test_a_command_that_asks_loads_no_event_loop_and_no_display(linked, environment, project):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "towline", "status"],
        env=environment,
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "towline.control" in loaded
    assert not loaded & {
        "anyio",
        "asyncio",
        "rich",
        "asyncssh",
        "platformdirs",
        "towline.workspace",
    }


@pytest.mark.parametrize("command", ["status", "link", "ssh", "config", "doctor"])
def test_a_current_directory_that_is_gone_is_one_line(command, project, environment):
    script = 'mkdir gone; cd gone; rmdir ../gone; exec "$@"'
    ended = subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-P", "-m", "towline", command],
        env=environment,
        cwd=project,
        capture_output=True,
        text=True,
    )
    assert ended.stderr == "error: the current directory is not there any more\n"
    assert ended.returncode == ExitCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        ("ssh://me@box:2222", ["-P", "2222", "--", "./a", "me@box:demo/b"]),
        ("root@2001:db8::1", ["--", "./a", "root@[2001:db8::1]:demo/b"]),
        ("::1", ["--", "./a", "[::1]:demo/b"]),
        ("ssh://[::1]:22", ["-P", "22", "--", "./a", "[::1]:demo/b"]),
    ],
)
def test_scp_is_given_a_host_as_it_takes_one(destination, words, run, project, monkeypatch):
    Workspaces().ensure(project, destination)
    told = []
    monkeypatch.delenv("TOWLINE_SSH")
    monkeypatch.setattr("towline.cli.cp.run_in_place", lambda argv: told.extend(argv) or 0)
    assert run("cp", "a", ":b").code == ExitCode.OK
    assert told == ["scp", *words]


@pytest.mark.parametrize("command", ["setup", "fetch", "status"])
def test_git_in_a_project_that_is_gone_is_one_line(command, run, project):
    gone = project / "gone"
    Workspaces().ensure(gone, "box")
    ended = run("git", command, "--name", "gone")
    assert ended.err == f"error: the project {gone} is not there any more\n"
    assert ended.code == ExitCode.UNAVAILABLE


def test_a_broken_record_ends_no_command_about_another_project(run, linked, project):
    (Workspaces().directory / "0123456789abcdef.json").write_text("")
    assert run("status").code == ExitCode.OK
    listed = run("links")
    assert (listed.code, listed.out.split()[:2]) == (ExitCode.CONFIG, ["demo", "live"])
    assert "0123456789abcdef.json cannot be read" in listed.err
    elsewhere = run("status", "--project", str(project.parent))
    assert elsewhere.code == ExitCode.CONFIG
    assert "hint: remove the file and link that project again" in elsewhere.err


def test_cp_names_the_folder_as_the_machine_has_it(run, linked, monkeypatch):
    """The home of the shells there need not be the one in which sftp begins."""
    told = []
    status = {"machine_path": "/home/ana/demo"}
    monkeypatch.delenv("TOWLINE_SSH")
    monkeypatch.setattr("towline.cli.cp.ask", lambda *_: status)
    monkeypatch.setattr("towline.cli.cp.run_in_place", lambda argv: told.extend(argv) or 0)
    assert run("cp", "a", ":b").code == ExitCode.OK
    assert told[-1] == "live:/home/ana/demo/b"
