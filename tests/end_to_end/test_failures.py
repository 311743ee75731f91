"""What cannot be linked ends with one clear line and the documented exit code."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.end_to_end.laptop import Laptop, Link, save

TRACEBACK = "Traceback"


def assert_fails(link: Link, code: int, *words: str) -> None:
    """It ended with this code and one line of error, which holds all these words."""
    assert link.wait_exit() == code, link.story()
    assert TRACEBACK not in link.stderr, link.story()
    lines = [line for line in link.stderr.splitlines() if not line.startswith("hint:")]
    assert len(lines) == 1, link.story()
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]
    assert link.events[-1]["event"] == "error"
    assert link.events[-1]["exit_code"] == code


@pytest.fixture(autouse=True)
def project(laptop: Laptop) -> Path:
    save(laptop.project / "a.py", "a\n")
    return laptop.project


def test_a_host_that_nobody_knows(laptop: Laptop) -> None:
    assert_fails(laptop.start("nowhere.invalid"), 69, "nowhere.invalid")
    assert laptop.processes() == {}


def test_a_port_where_nobody_listens(laptop: Laptop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = taken.getsockname()[1]
    assert_fails(laptop.start("-p", str(free), "machine"), 69, "refused")


def test_a_key_that_is_not_let_in(laptop: Laptop) -> None:
    (laptop.machine.directory / "authorized_keys").write_text("")
    assert_fails(laptop.start(), 77, "Permission denied")


def test_a_machine_with_another_key(laptop: Laptop) -> None:
    other = (laptop.machine.directory / "authorized_keys").read_text()
    (laptop.machine.directory / "known_hosts").write_text(f"machine {other}")
    assert_fails(laptop.start(), 77, "error: WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!")


def test_a_machine_without_python(laptop: Laptop) -> None:
    """Its PATH is empty, and a chroot would need root: the places looked at are asked to be old."""
    machine = laptop.machine
    old = machine.directory / "bin/old"
    old.write_text("#!/bin/sh\necho 206\n")
    old.chmod(0o755)
    login = machine.directory / "login"
    # The command is what the real one would be, had this machine only an old Python.
    login.write_text(
        login.read_text().replace(
            'exec "$SHELL" -c "$SSH_ORIGINAL_COMMAND"',
            'exec "$SHELL" -c "$(printf %s "$SSH_ORIGINAL_COMMAND" | sed \'s:for p in '
            f'"$c" .* ; do \\[:for p in {old} ; do [:\')"',
        )
    )
    assert_fails(laptop.start(), 69, "no Python 3.10", "2.6")


def test_a_configured_python_that_is_not_there_is_passed_over(laptop: Laptop) -> None:
    laptop.configure('python = "/nowhere/python3"\n')
    with laptop.linked():
        laptop.assert_equal()


def test_a_folder_that_cannot_be_made_on_the_machine(laptop: Laptop) -> None:
    (laptop.machine.home / "file").touch()
    assert_fails(laptop.start("machine:file/proj"), 77, "file/proj")


def test_a_home_is_too_wide_to_be_kept_in_step(laptop: Laptop) -> None:
    assert_fails(laptop.start("machine:~"), 77, "too wide")


def test_a_second_project_for_the_same_folder_of_the_machine(laptop: Laptop) -> None:
    other = laptop.directory / "other"
    other.mkdir()
    with laptop.linked():
        second = laptop.start("--project", str(other), "machine:proj")
        assert_fails(second, 77, "another workspace")


def test_no_destination_at_all(laptop: Laptop) -> None:
    done = laptop.run("link", "--json")
    assert done.returncode == 2
    assert "no destination is known" in done.stderr


def test_a_wrong_configuration_names_file_line_and_key(laptop: Laptop) -> None:
    laptop.configure('\ndebounce = "5 apples"\n')
    assert_fails(laptop.start(), 78, "towline.toml:2", "debounce")


def test_a_computer_without_ssh(laptop: Laptop) -> None:
    laptop.environment["TOWLINE_SSH"] = "/nowhere/ssh"
    assert_fails(laptop.start(), 69, "/nowhere/ssh")


UNFIT = "secret.env\n" + "data/0000000000.bin\n" * 60_000


@pytest.mark.parametrize(
    ("content", "files", "said"),
    [(UNFIT, 1, "models/0/.gitignore"), (UNFIT[:900_000], 5, "exceed")],
)
def test_ignore_files_that_cannot_be_used_let_nothing_go(
    laptop: Laptop, content: str, files: int, said: str
) -> None:
    for number in range(files):
        save(laptop.project / f"models/{number}/.gitignore", content)
        save(laptop.project / f"models/{number}/secret.env", "KEY=1")
    assert_fails(laptop.start(), 78, "left out", said)
    assert not (laptop.there / "models").exists()


def test_an_ignore_file_that_becomes_unfit_leaves_the_rules_as_they_were(laptop: Laptop) -> None:
    save(laptop.project / ".gitignore", "*.env\n")
    with laptop.linked() as link:
        save(laptop.project / ".gitignore", UNFIT)
        note = link.wait_for("note")["text"]
        assert note.startswith("what is left out stays as it was")
        save(laptop.project / "secret.env", "KEY=1")
        laptop.flush()
        assert not (laptop.there / "secret.env").exists()


def test_a_project_folder_that_is_moved_away_is_not_taken_for_an_emptied_one(
    laptop: Laptop,
) -> None:
    for name in ("a.py", "b.py", "c.py"):
        save(laptop.project / name, name)
    elsewhere = laptop.directory / "elsewhere"
    with laptop.linked() as link:
        laptop.project.rename(elsewhere)
        reason = link.wait_for("held")["reason"]
        assert reason == "the folder on the laptop is not where it was"
        save(elsewhere / "a.py", "saved meanwhile")
        elsewhere.rename(laptop.project)
        laptop.flush()
        laptop.assert_equal()
        assert (laptop.there / "a.py").read_text() == "saved meanwhile"
        assert (laptop.there / "c.py").read_text() == "c.py"
        assert laptop.status()["state"] == "live"
