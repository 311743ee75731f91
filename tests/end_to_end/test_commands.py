"""The commands, against a real machine."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from tests.end_to_end.laptop import (
    Laptop,
    conflict_copies,
    is_alive,
    read,
    save,
    wait_content,
    wait_gone,
    wait_until,
)


def test_a_folder_is_live_both_ways_while_it_is_linked(laptop: Laptop) -> None:
    save(laptop.project / "pkg/run.py", "print(1)\n")
    (laptop.project / "pkg/run.py").chmod(0o755)
    (laptop.project / "link").symlink_to("pkg/run.py")
    with laptop.linked() as link:
        ready = link.wait_for("ready")
        assert ready["machine_path"] == str(laptop.there)
        assert ready["files"] == 2
        assert ready["new_machine"]
        laptop.assert_equal()

        mark = link.mark()
        save(laptop.project / "new/deep.py", "x = 1\n")
        wait_content(laptop.there / "new/deep.py", "x = 1\n")
        revision = link.wait_for("revision", after=mark)
        assert "new/deep.py" in revision["paths"]
        assert laptop.flush()["revision"] >= revision["number"]

        save(laptop.there / "results/log.txt", "from there\n")
        wait_content(laptop.project / "results/log.txt", "from there\n")
        link.wait_for("received", after=mark)

        (laptop.project / "new/deep.py").unlink()
        wait_gone(laptop.there / "new/deep.py")
        laptop.flush()
        laptop.wait_equal()
    assert link.events[-1]["event"] == "stopped"
    assert laptop.processes() == {}
    laptop.assert_equal()


def test_status_flush_links_log_and_stop_tell_of_a_live_folder(laptop: Laptop) -> None:
    save(laptop.project / "a.py", "a\n")
    link = laptop.start()
    link.wait_for("ready")
    wait_until(lambda: laptop.status()["state"] == "live", "the state is live")
    status = laptop.status()
    assert status["project"] == str(laptop.project)
    assert status["machine_path"] == str(laptop.there)
    assert (status["behind_files"], status["conflicts"], status["problems"]) == (0, 0, 0)
    assert "live" in laptop.run("status").stdout

    save(laptop.project / "a.py", "b\n")
    flushed = laptop.flush()
    assert read(laptop.there / "a.py") == b"b\n"
    assert laptop.status()["revision"] == flushed["revision"]
    assert f"revision {flushed['revision']} in" in laptop.run("flush").stdout

    (row,) = laptop.tell("links", "list")
    assert (row["name"], row["running"], row["pid"], row["state"]) == (
        "proj", True, link.pid, "live",
    )  # fmt: skip
    assert [entry["event"] for entry in laptop.tell("log")].count("ready") == 1

    done = laptop.run("stop")
    assert (done.returncode, done.stderr) == (0, "proj: stopped\n")
    assert link.wait_exit() == 0
    assert link.events[-1] == {"event": "stopped", "reason": "asked to"}
    assert laptop.run("status").returncode == 69
    assert laptop.run("flush").returncode == 69
    assert laptop.tell("links", "list")[0]["running"] is False
    assert laptop.tell("stop") == [{"workspace": "proj", "was_running": False}]
    assert laptop.tell("log")[-1]["event"] == "stopped"


def test_both_versions_of_a_conflict_live_on_and_are_listed(laptop: Laptop) -> None:
    save(laptop.project / "a.py", "ancestor\n")
    with laptop.linked():
        pass
    save(laptop.project / "a.py", "laptop\n")
    save(laptop.there / "a.py", "machine\n")
    with laptop.linked() as link:
        kept = link.wait_for("conflict", path="a.py")
        laptop.flush()
        wait_until(lambda: len(conflict_copies(laptop.project)) == 1, "the copy is here, too")
        laptop.wait_equal()
        (copy,) = conflict_copies(laptop.there)
        assert copy.name == kept["copy"]
        assert {read(laptop.project / "a.py"), read(copy)} == {b"laptop\n", b"machine\n"}
        (listed,) = laptop.tell("conflicts")
        assert (listed["path"], listed["copy"]) == ("a.py", kept["copy"])
        assert kept["copy"] in laptop.run("conflicts").stdout
        assert laptop.status()["conflicts"] == 1
    laptop.assert_equal()


def test_a_deletion_yields_to_an_edit(laptop: Laptop) -> None:
    save(laptop.project / "a.py", "ancestor\n")
    save(laptop.project / "b.py", "ancestor\n")
    with laptop.linked():
        pass
    (laptop.project / "a.py").unlink()
    save(laptop.there / "a.py", "edited there\n")
    save(laptop.project / "b.py", "edited here\n")
    (laptop.there / "b.py").unlink()
    with laptop.linked():
        wait_content(laptop.project / "a.py", "edited there\n")
        wait_content(laptop.there / "b.py", "edited here\n")
    laptop.assert_equal()


def test_explain_names_the_rule_and_its_line(laptop: Laptop) -> None:
    save(laptop.project / ".gitignore", "# left out\n*.log\n")
    save(laptop.project / "a.py", "a\n")
    save(laptop.project / "big.log", "left out\n")
    with laptop.linked():
        (synced,) = laptop.tell("explain", "a.py")
        assert synced["synced"]
        done = laptop.run("explain", "big.log", "--json")
        assert done.returncode == 1
        left_out = json.loads(done.stdout)
        assert (left_out["pattern"], left_out["line"]) == ("*.log", 2)
        assert left_out["source"].endswith(".gitignore")
        assert not (laptop.there / "big.log").exists()

        save(laptop.project / ".gitignore", "# nothing\n")
        wait_content(laptop.there / "big.log", "left out\n")


def test_config_and_doctor_find_nothing_wrong(laptop: Laptop) -> None:
    laptop.configure('debounce = "5 ms"\n[directions]\npull = ["results/"]\n')
    told = {setting["key"]: setting for setting in laptop.tell("config")}
    assert told["debounce"]["origin"] == "towline.toml:1"
    save(laptop.project / "a.py", "a\n")
    with laptop.linked():
        checks = laptop.tell("doctor")
        assert {check["verdict"] for check in checks} <= {"ok", "warn"}, checks
        save(laptop.project / "results/mine.txt", "laptop\n")
        save(laptop.there / "results/theirs.txt", "machine\n")
        wait_content(laptop.project / "results/theirs.txt", "machine\n")
        laptop.flush()
        assert not (laptop.there / "results/mine.txt").exists()
        assert read(laptop.project / "results/mine.txt") == b"laptop\n"


def test_detached_it_goes_on_until_stopped(laptop: Laptop) -> None:
    save(laptop.project / "a.py", "a\n")
    done = laptop.run("link", "-F", laptop.machine.config, "--detach", "machine")
    assert done.returncode == 0, done.stderr
    assert read(laptop.there / "a.py") == b"a\n"
    (row,) = laptop.tell("links", "list")
    assert is_alive(row["pid"])
    save(laptop.project / "a.py", "b\n")
    laptop.flush()
    assert read(laptop.there / "a.py") == b"b\n"
    again = laptop.run("link", "--detach")
    assert again.returncode == 0
    assert "linked already" in again.stderr
    assert laptop.run("stop").returncode == 0
    wait_until(lambda: not is_alive(row["pid"]), "the engine has ended")
    assert laptop.processes() == {}


def test_once_leaves_when_both_sides_are_alike(laptop: Laptop) -> None:
    for number in range(300):
        save(laptop.project / f"pkg{number % 7}/m{number}.py", f"n = {number}\n")
    save(laptop.there / "there.txt", "was there\n")
    link = laptop.start("--once", "machine")
    assert link.wait_exit() == 0, link.story()
    assert [event["event"] for event in link.events][-1] == "stopped"
    laptop.assert_equal()
    assert read(laptop.project / "there.txt") == b"was there\n"
    assert laptop.processes() == {}


def test_a_second_run_needs_no_destination(laptop: Laptop) -> None:
    save(laptop.project / "a.py", "a\n")
    with laptop.linked("machine:elsewhere/copy"):
        assert read(laptop.machine.home / "elsewhere/copy/a.py") == b"a\n"
    save(laptop.project / "a.py", "b\n")
    done = laptop.run("link", "--once")
    assert done.returncode == 0, done.stderr
    assert read(laptop.machine.home / "elsewhere/copy/a.py") == b"b\n"
    assert not laptop.there.exists()


def test_a_destination_of_user_host_port_key_and_options(laptop: Laptop) -> None:
    machine = laptop.machine
    save(laptop.project / "a.py", "a\n")
    user = machine.ssh("id -un").stdout.strip()
    # An empty configuration: all that is needed stands on the command line.
    (laptop.directory / "empty").touch()
    link = laptop.start(
        "-F", str(laptop.directory / "empty"), "-p", str(machine.port),
        "-i", str(machine.directory / "user_key"), "-o", "IdentitiesOnly=yes",
        "-o", "IdentityAgent=none", "-o", f"UserKnownHostsFile={machine.directory}/known_hosts",
        "-o", "HostKeyAlias=machine", f"{user}@{machine.address}:/{machine.home}/named",
    )  # fmt: skip
    link.wait_for("ready")
    assert read(machine.home / "named/a.py") == b"a\n"
    assert link.end() == 0


def test_a_second_engine_for_the_same_folder_is_refused(laptop: Laptop) -> None:
    save(laptop.project / "a.py", "a\n")
    with laptop.linked():
        second = laptop.start()
        assert second.wait_exit() != 0
        assert len([line for line in second.stderr.splitlines() if line.startswith("error:")]) == 1
        assert "Traceback" not in second.stderr
        save(laptop.project / "a.py", "b\n")
        laptop.flush()
        assert read(laptop.there / "a.py") == b"b\n"


def test_several_folders_of_one_project_on_one_line(laptop: Laptop) -> None:
    laptop.configure(
        '[[sync]]\nsource = "src"\ndestination = "~/code"\n'
        '[[sync]]\nsource = "data"\ndestination = "~/sets"\ndirection = "push"\n'
    )
    save(laptop.project / "src/a.py", "a\n")
    save(laptop.project / "data/d.bin", "d\n")
    link = laptop.start()
    wait_content(laptop.machine.home / "code/a.py", "a\n")
    wait_content(laptop.machine.home / "sets/d.bin", "d\n")
    save(laptop.machine.home / "code/b.py", "b\n")
    wait_content(laptop.project / "src/b.py", "b\n")
    laptop.flush()
    assert len(laptop.agents()) == 1
    assert link.end() == 0


def test_a_flush_that_cannot_be_done_says_so_in_time(laptop: Laptop) -> None:
    save(laptop.project / "a.py", "a\n")
    with laptop.linked() as link:
        laptop.machine.stop()
        link.wait_for("disconnected")
        save(laptop.project / "a.py", "b\n")
        began = time.monotonic()
        done = laptop.run("flush", "--timeout", "0.5")
        assert done.returncode == 75
        assert "not connected" in done.stderr
        assert time.monotonic() - began < 10
        assert laptop.status()["state"] == "disconnected"
        laptop.machine.start()


def test_an_emptied_project_stops_and_asks(laptop: Laptop) -> None:
    for number in range(50):
        save(laptop.project / f"m{number}.py", f"n = {number}\n")
    with laptop.linked():
        pass
    for path in laptop.there.glob("*.py"):
        path.unlink()
    link = laptop.start()
    held = link.wait_for("held")
    assert held["reason"]
    assert len(list(laptop.project.glob("*.py"))) == 50
    assert laptop.status()["state"] == "held"
    assert laptop.run("refuse").returncode == 0
    wait_until(lambda: len(list(laptop.there.glob("*.py"))) == 50, "the files are there again")
    link.wait_for("ready")
    assert link.end() == 0
    laptop.assert_equal()


def test_a_machine_that_lost_everything_gets_everything(laptop: Laptop, tmp_path: Path) -> None:
    for number in range(20):
        save(laptop.project / f"m{number}.py", f"n = {number}\n")
    with laptop.linked():
        pass
    for pid in laptop.agents():
        os.kill(pid, 9)
    laptop.there.rename(tmp_path / "gone")
    with laptop.linked() as link:
        assert link.wait_for("ready")["new_machine"]
        laptop.assert_equal()
    assert len(list(laptop.project.glob("*.py"))) == 20
