"""`towline service`: what it writes, what it runs, what it leaves to the person."""

from __future__ import annotations

import json

import pytest

from towline.errors import ExitCode
from towline.places import Workspaces

NAME = "towline-demo.service"


@pytest.fixture
def file(homes, project):
    Workspaces().ensure(project, "box")
    return homes / "config" / "systemd" / "user" / NAME


@pytest.fixture
def systemctl(tmp_path, monkeypatch):
    """A systemctl that notes what it is asked; `fails` makes it say no."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def install(fails: bool = False):
        program = programs / "systemctl"
        end = "echo no bus >&2; exit 1" if fails else ""
        program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n{end}\n')
        program.chmod(0o755)
        return tmp_path / "asked"

    return install


def test_print_writes_nothing_and_runs_nothing(run, file, systemctl):
    asked = systemctl()
    ended = run("service", "install", "--print")
    assert ended.code == ExitCode.OK
    assert "ExecStart=" in ended.out
    assert ended.err.splitlines() == [
        f"would write: {file}",
        "would run: systemctl --user daemon-reload",
        f"would run: systemctl --user enable --now {NAME}",
    ]
    assert not file.exists()
    assert not asked.exists()
    assert not next(iter(Workspaces())).at_login


def test_install_and_remove_say_all_they_do(run, file, systemctl):
    asked = systemctl()
    assert run("service", "install").err.splitlines() == [
        f"written: {file}",
        "run: systemctl --user daemon-reload",
        f"run: systemctl --user enable --now {NAME}",
    ]
    assert run("service", "status").out == f"demo\t{file}\n"
    assert next(iter(Workspaces())).at_login
    assert run("service", "remove").err.splitlines()[-1] == f"removed: {file}"
    assert not file.exists()
    assert not next(iter(Workspaces())).at_login
    assert asked.read_text().splitlines() == [
        "--user daemon-reload",
        f"--user enable --now {NAME}",
        f"--user disable --now {NAME}",
        "--user daemon-reload",
    ]


def test_without_systemctl_the_person_is_told_what_to_run(run, file, systemctl):
    ended = run("service", "install")
    assert ended.code == ExitCode.OK
    assert file.exists()
    assert ended.err.splitlines()[1] == (
        "there is no systemctl here; run it yourself when you are logged in:"
        " systemctl --user daemon-reload"
    )


def test_what_systemctl_complains_about_is_passed_on(run, file, systemctl):
    systemctl(fails=True)
    assert "systemctl: no bus; run it yourself" in run("service", "install").err


def test_removing_what_is_not_there_is_no_error(run, file, systemctl):
    ended = run("service", "remove")
    assert (ended.code, ended.err) == (ExitCode.OK, f"{file} was not there\n")
    assert run("service", "status").err == "no workspace is started at login\n"


def test_json_holds_file_content_and_commands(run, file, systemctl):
    plan = json.loads(run("service", "install", "--print", "--json").out)
    assert plan["file"] == str(file)
    assert plan["install"][0] == ["systemctl", "--user", "daemon-reload"]
    assert plan["content"].startswith("[Unit]\n")
