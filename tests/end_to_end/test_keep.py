"""Snapshots while a project is linked: to a real server by sftp, through kills, and back again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.laptop import Laptop, Link, wait_content, wait_until
from tests.end_to_end.sshd import Machine
from tests.snapshots.repositories import KEY, NEEDS_RESTIC, everything_in, furnish
from towline.snapshots import restic

pytestmark = NEEDS_RESTIC

LONG_S = 60.0  # restic makes a key hard to guess before it makes anything else.


def configure(laptop: Laptop, place: str, *more: str) -> None:
    laptop.environment["RESTIC_PASSWORD"] = KEY
    ssh = f'ssh.config = "{laptop.machine.config}"'
    laptop.configure(
        "\n".join([ssh, "[keep]", f'to = "{place}"', 'interval = "1 s"', *more]) + "\n"
    )


def check(place: Path) -> None:
    argv = [restic.program(), "-r", str(place), "check", "--read-data"]
    environment = {**os.environ, "RESTIC_PASSWORD": KEY}
    unlock = [restic.program(), "-r", str(place), "unlock"]
    subprocess.run(unlock, env=environment, check=True, capture_output=True)
    done = subprocess.run(argv, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def wait_holds(link: Link, laptop: Laptop, path: str, after: int = 0) -> None:
    """Wait for a snapshot that holds a path."""
    while True:
        link.wait_for("kept", after=after, timeout_s=LONG_S)
        if laptop.run("snapshots", "latest", path, timeout_s=LONG_S).returncode == 0:
            return
        after = link.mark()


def test_what_happens_on_either_side_is_soon_in_a_snapshot_on_a_server(
    laptop: Laptop, machine: Machine
) -> None:
    configure(laptop, "sftp:machine:keep/repo")
    (machine.home / "keep").mkdir()
    furnish(laptop.project)
    with laptop.linked() as link:
        wait_holds(link, laptop, "train.py")
        first = link.mark()
        (laptop.there / "from the machine").write_text("1")
        wait_holds(link, laptop, "from the machine", first)
        wait_until(lambda: laptop.status()["keeping"] == "", "at rest")
        status = laptop.status()
        assert status["kept_at"] > 0
        quiet = link.mark()
        assert laptop.tell("snapshot", "now")[-1]["snapshot"] == "", "nothing has changed since"
        assert not [event for event in link.events[quiet:] if event["event"] == "kept"]
    listed = laptop.tell("snapshots")
    assert len(listed) == len(link.named("kept"))
    check(machine.home / "keep/repo")

    back = laptop.directory / "back"
    laptop.tell("restore", "--to", str(back))
    assert everything_in(back) == everything_in(laptop.project)
    differences = laptop.tell("snapshots", "--diff", listed[0]["snapshot"][:8], "latest")
    assert {"path": "from the machine", "change": "added"} in differences


def test_a_restore_into_a_live_project_reaches_the_machine_and_keeps_what_was_edited(
    laptop: Laptop,
) -> None:
    configure(laptop, str(laptop.directory / "repo"), 'exclude = ["*.bin"]')
    (laptop.project / "a.py").write_text("X = 1\n")
    (laptop.project / "gone").mkdir()
    (laptop.project / "gone/b").write_text("b")
    (laptop.project / "c.bin").write_text("c")
    with laptop.linked():
        laptop.tell("snapshot", "now")  # Or the engine just did.
        old = laptop.tell("snapshots")[0]["snapshot"]  # One of the same again goes at once.
        (laptop.project / "a.py").write_text("X = 2  # edited\n")
        (laptop.project / "gone/b").unlink()
        (laptop.project / "gone").rmdir()
        wait_content(laptop.there / "a.py", "X = 2  # edited\n")
        (told,) = [e for e in laptop.tell("restore", old) if e["event"] == "restored"]
        (copy,) = told["kept"].values()
        laptop.flush()
        assert (laptop.there / "a.py").read_text() == "X = 1\n"
        assert (laptop.there / "gone/b").read_text() == "b"
        assert (laptop.there / copy).read_text() == "X = 2  # edited\n"
        assert laptop.run("snapshots", old, "c.bin").returncode == 1
        laptop.wait_equal()


def test_a_restore_that_is_interrupted_ends_between_two_files_and_says_what_it_kept(
    laptop: Laptop,
) -> None:
    configure(laptop, str(laptop.directory / "repo"))
    names = [f"{number:04}.txt" for number in range(1500)]
    for name in names:
        (laptop.project / name).write_text("as it was")
    laptop.run("snapshot", "now", timeout_s=60)
    for name in names:
        (laptop.project / name).write_text("edited")
    argv = laptop.argv("restore")
    restore = subprocess.Popen(
        argv, cwd=laptop.project, env=laptop.environment, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: bool(kept_in(laptop.project)), "it has begun")
    restore.send_signal(signal.SIGINT)
    _, told = restore.communicate()
    kept = kept_in(laptop.project)
    assert restore.returncode == 130
    assert "interrupted; " in told
    assert f"kept: {min(kept)[:4]}.txt as it was, as {min(kept)}" in told
    assert 0 < len(kept) < len(names)
    assert {(laptop.project / name).read_text() for name in kept} == {"edited"}
    assert {(laptop.project / name).read_text() for name in names} == {"edited", "as it was"}
    assert not list(laptop.project.glob(".towline/restore-*"))


def kept_in(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*.conflict-before-restore-*")]


@pytest.mark.soak
@pytest.mark.parametrize("victim", ["restic", "the engine", "both"])
def test_after_a_kill_in_the_middle_of_a_snapshot_the_next_link_goes_on(
    laptop: Laptop, victim: str
) -> None:
    place = laptop.directory / "repo"
    configure(laptop, str(place))
    (laptop.project / "a").write_text("a")
    laptop.tell("snapshot", "now")
    (laptop.project / "large").write_bytes(os.urandom(48 << 20))
    before = sizes_in(place)

    link = laptop.start()
    wait_until(lambda: sizes_in(place) > before, "a snapshot has begun", LONG_S)
    for process, line in laptop.processes().items():
        if "restic" in line.split(" ")[0] and victim != "the engine":
            os.kill(process, signal.SIGKILL)
    if victim == "restic":
        link.wait_for("note")
        wait_holds(link, laptop, "large")
        assert link.end() == 0
    else:
        os.kill(link.pid, signal.SIGKILL)
        link.wait_exit()
        with laptop.linked() as again:
            wait_holds(again, laptop, "large")
    wait_until(lambda: not restics(laptop), "no restic is left")
    check(place)
    laptop.tell("restore", "--to", str(laptop.directory / "back"))
    assert everything_in(laptop.directory / "back") == everything_in(laptop.project)


def sizes_in(place: Path) -> int:
    return sum(path.stat().st_size for path in (place / "data").rglob("*") if path.is_file())


def restics(laptop: Laptop) -> list[str]:
    return [line for line in laptop.processes().values() if line.split(" ")[0].endswith("restic")]


def test_a_repository_that_is_gone_is_told_once_and_not_made_anew(laptop: Laptop) -> None:
    drive = laptop.directory / "drive"
    drive.mkdir()
    configure(laptop, str(drive / "repo"))
    (laptop.project / "a").write_text("a")
    laptop.tell("snapshot", "now")
    drive.rename(laptop.directory / "unplugged")
    with laptop.linked() as link:
        note = link.wait_for("note", timeout_s=LONG_S)
        assert "there is no repository" in note["text"]
        (laptop.project / "b").write_text("b")
        wait_content(laptop.there / "b", "b")
        assert "no snapshot" in laptop.status()["keeping"]
        (laptop.directory / "unplugged").rename(drive)
        wait_holds(link, laptop, "b")
        assert len([note for note in link.named("note") if "no snapshot" in note["text"]]) == 1
    assert not (laptop.directory / "unplugged").exists()


def test_without_a_password_or_a_place_it_is_said_what_to_do(laptop: Laptop) -> None:
    none = laptop.run("snapshot", "now")
    assert (none.returncode, "keep.to is not set" in none.stderr) == (78, True)
    configure(laptop, str(laptop.directory / "repo"))
    del laptop.environment["RESTIC_PASSWORD"]
    no_key = laptop.run("snapshot", "now")
    assert (no_key.returncode, "RESTIC_PASSWORD is not set" in no_key.stderr) == (78, True)
    configure(laptop, str(laptop.project / "repo"))
    inside = laptop.run("snapshot", "now")
    assert (inside.returncode, "lies in the project" in inside.stderr) == (78, True)


def test_another_place_gets_a_repository_of_its_own(laptop: Laptop) -> None:
    for place in ("one", "two", "one"):
        configure(laptop, str(laptop.directory / place))
        (laptop.project / "a").write_text(place)
        assert laptop.tell("snapshot", "now")[-1]["snapshot"]
    assert len(laptop.tell("snapshots")) == 2
    for place in ("one", "two"):
        configure(laptop, str(laptop.directory / place))
        (laptop.directory / place).rename(laptop.directory / f"unplugged {place}")
        gone = laptop.run("snapshot", "now")
        assert (gone.returncode, "there is no repository" in gone.stderr) == (69, True)


def test_a_path_that_is_not_in_the_snapshot_is_said(laptop: Laptop) -> None:
    configure(laptop, str(laptop.directory / "repo"))
    (laptop.project / "runs").mkdir()
    (laptop.project / "runs/best.ckpt").write_text("1")
    laptop.tell("snapshot", "now")
    (laptop.project / "runs/best.ckpt").unlink()
    mistyped = laptop.run("restore", "runs/bset.ckpt", "./x/../runs/best.ckpt")
    assert mistyped.returncode == 1
    assert "runs/bset.ckpt: it is not in the snapshot" in mistyped.stderr
    assert (laptop.project / "runs/best.ckpt").read_text() == "1"
    (laptop.project / "runs/best.ckpt").unlink()
    assert laptop.run("restore", ".").returncode == 0
    assert (laptop.project / "runs/best.ckpt").read_text() == "1"


def test_what_a_repository_holds_damaged_is_named_and_the_rest_comes_back(laptop: Laptop) -> None:
    place = laptop.directory / "repo"
    configure(laptop, str(place))
    (laptop.project / "train.py").write_text("1")
    laptop.tell("snapshot", "now")
    (laptop.project / "model").write_bytes(os.urandom(6 << 20))
    laptop.tell("snapshot", "now")
    pack = max((place / "data").rglob("*"), key=lambda path: path.stat().st_size)
    pack.chmod(0o600)
    with pack.open("r+b") as file:
        file.seek(100_000)
        file.write(b"no data at all")
    for name in ("train.py", "model"):
        (laptop.project / name).unlink()
    done = laptop.run("restore", timeout_s=LONG_S)
    assert (done.returncode, "not restored: model: " in done.stderr) == (1, True), done.stderr
    assert (laptop.project / "train.py").read_text() == "1"
    assert not (laptop.project / "model").exists()
    asked = laptop.run("restore", "model", timeout_s=LONG_S)
    assert (asked.returncode, "not in the snapshot" in asked.stderr) == (1, False)


def test_two_folders_of_one_name_do_not_forget_each_other_s_snapshots(laptop: Laptop) -> None:
    place = laptop.directory / "repo"
    few = "retention = { last = 1, hourly = 0, daily = 0, weekly = 0 }"
    configure(laptop, str(place), few)
    other = laptop.directory / "elsewhere" / laptop.project.name
    shutil.copytree(laptop.project, other)
    (laptop.project / "a").write_text("mine")
    laptop.tell("snapshot", "now")
    for text in ("the other's", "the other's, later"):
        (other / "a").write_text(text)
        laptop.tell("snapshot", "now", "--project", str(other))
    mine, *others = laptop.tell("snapshots")
    assert mine["folder"] == str(laptop.project)
    assert {each["folder"] for each in others} == {str(other)}
    (laptop.project / "a").unlink()
    assert laptop.run("restore").returncode == 0
    assert (laptop.project / "a").read_text() == "mine"
