"""A supervisor and its command: the end, the log, orders; each with real processes."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.agent.jobs.conftest import WORKSPACE, Jobs
from tests.end_to_end.laptop import wait_until
from towline.agent.jobs import orders
from towline.agent.jobs.family import descendants
from towline.agent.jobs.record import REQUEST, REQUEST_MAX, RUNNING, Request, write_record
from towline.agent.jobs.shelf import JOBS_KEPT, Job, NoJobError, Shelf
from towline.agent.jobs.supervise import GRACE_S, Supervisor
from towline.agent.jobs.verbs import job_main
from towline.agent.lifetime import boot_id


@pytest.mark.parametrize(
    ("line", "code", "state"),
    [
        ("true", 0, "done"),
        ("exit 5", 5, "failed"),
        ("kill -9 $$", 137, "failed"),
        ("kill -TERM $$", 143, "failed"),
    ],
)
def test_the_end_is_the_command_s(jobs: Jobs, line: str, code: int, state: str) -> None:
    ended = jobs.wait(jobs.sh(line))
    assert (ended["code"], ended["state"]) == (code, state)


def test_output_and_errors_are_one_log_in_order(jobs: Jobs) -> None:
    lines = [f"echo {n} >&{1 + n % 2}" for n in range(50)]
    job = jobs.sh("; ".join(lines))
    jobs.wait(job)
    assert jobs.log(job).split() == [b"%d" % n for n in range(50)]


def test_what_cannot_be_started_says_so(jobs: Jobs) -> None:
    job = jobs.start("/no/such/program")
    ended = jobs.wait(job)
    assert ended["code"] == 127
    assert ended["reason"] == "/no/such/program: No such file or directory"
    assert b"cannot be started" in jobs.log(job)


def test_what_runs_already_outlives_a_disk_that_cannot_take_its_record(jobs: Jobs) -> None:
    """A directory in the record's place stands for a full disk."""
    shelf = Shelf(WORKSPACE)
    with shelf.locked():
        job = shelf.take_up(shelf.stage(), _request_of_now("echo on; exit 3"))
    Path(job.file(f"{RUNNING}.new")).mkdir()
    jobs.start("true", key="k")  # The job of this key.
    ended = jobs.wait(job)
    assert (ended["state"], ended["code"]) == ("failed", 3)
    assert jobs.log(job) == b"on\n"


def test_one_key_is_one_job(jobs: Jobs) -> None:
    first = jobs.sh("echo once; exec sleep 99")
    again = jobs.sh("echo once; exec sleep 99")
    other = jobs.start("true", key="other")
    assert (first.number, again.number, other.number) == (1, 1, 2)
    wait_until(lambda: jobs.log(first) == b"once\n", "it began once")


def test_what_the_command_leaves_behind_goes_on_and_belongs_to_nobody(jobs: Jobs) -> None:
    job = jobs.sh("setsid sleep 99 & echo $! > left; echo done")
    assert jobs.wait(job)["state"] == "done"  # Not when the sleep is over.
    left = int((jobs.folder / "left").read_text())
    os.kill(left, 9)


def test_cancel_reaches_what_has_left_its_group(jobs: Jobs) -> None:
    job = jobs.sh("setsid setsid sleep 99 & trap '' TERM; echo on; sleep 98")
    wait_until(lambda: jobs.log(job) == b"on\n", "it began")
    running = job.running
    assert running is not None
    wait_until(lambda: len(descendants(running.supervisor)) >= 2, "both run")
    family = descendants(running.supervisor)
    assert jobs.run("cancel", WORKSPACE, "1", "--now", "yes").returncode == 0
    assert jobs.wait(job)["state"] == "cancelled"
    wait_until(lambda: not any(map(_lives, family)), "all are gone")


def test_what_is_left_of_a_cancelled_job_has_time_to_end(jobs: Jobs) -> None:
    child = "trap 'echo saved > checkpoint; exit' TERM; echo on; while :; do sleep 0.05; done"
    job = jobs.sh(f'sh -c "{child}" & wait')
    wait_until(lambda: jobs.log(job) == b"on\n", "it began")
    jobs.run("cancel", WORKSPACE, "1")
    assert jobs.wait(job)["state"] == "cancelled"
    assert (jobs.folder / "checkpoint").read_text() == "saved\n"


def test_what_is_left_behind_and_talks_does_not_keep_a_job_from_its_end(jobs: Jobs) -> None:
    job = jobs.sh("yes & echo $! > left; exit 3")
    assert jobs.wait(job)["code"] == 3
    left = int((jobs.folder / "left").read_text())
    wait_until(lambda: not _lives(left), "it has no reader any more")


def _request_of_now(line: str) -> Request:
    here = {"host": os.uname().nodename, "boot": boot_id()}
    return Request("k", ("sh", "-c", line), "/", created=time.time(), **here)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_terminal_takes_what_is_typed_and_its_size(jobs: Jobs) -> None:
    job = jobs.sh("read line; stty size; echo got $line", tty=[24, 80])
    told = orders.order(orders.SIZE, orders.WINDOW.pack(40, 120))
    orders.tell(job.file("orders"), told + orders.order(orders.INPUT, b"words\r"))
    assert jobs.wait(job)["code"] == 0
    assert jobs.log(job).endswith(b"40 120\r\ngot words\r\n")


def test_a_signal_that_does_not_exist_ends_nothing(jobs: Jobs) -> None:
    job = jobs.sh("while [ ! -e go ]; do sleep 0.05; done; exit 3")
    for number in (200, signal.SIGCONT):
        orders.tell(job.file("orders"), orders.order(orders.SIGNAL, bytes([number])))
    (jobs.folder / "go").touch()
    ended = jobs.wait(job)
    assert (ended["state"], ended["code"]) == ("failed", 3)


def test_who_was_waited_for_is_not_killed_by_its_number(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be somebody else's by now: what the job left has ten seconds."""
    killed: list[int] = []
    monkeypatch.setattr("os.kill", lambda pid, _: killed.append(pid))
    shelf = Shelf(WORKSPACE)
    with shelf.locked():
        supervisor: Any = Supervisor(shelf.take_up(shelf.stage(), _request_of_now("true")))
    supervisor._cancelled_at = time.monotonic() - GRACE_S
    supervisor._code = 143
    supervisor._press(SimpleNamespace(pid=os.getppid()))
    assert os.getppid() not in killed


def test_cancel_is_heard_by_a_job_that_is_about_to_begin(jobs: Jobs) -> None:
    shelf = Shelf(WORKSPACE)
    with shelf.locked():
        job = shelf.take_up(shelf.stage(), _request_of_now("exec sleep 99"))
    with ThreadPoolExecutor() as threads:
        cancelling = threads.submit(jobs.run, "cancel", WORKSPACE, "1")
        time.sleep(0.5)
        jobs.start("true", key="k")  # The job of this key.
        assert cancelling.result().returncode == 0
    assert jobs.wait(job)["state"] == "cancelled"


def test_a_job_that_ends_as_it_is_cancelled_stays_as_it_was(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs.wait(jobs.start("true"))
    states = iter(["running"])
    state = Job.state
    monkeypatch.setattr(Job, "state", lambda job: (next(states, None) or state(job)[0], ""))
    assert job_main(["cancel", WORKSPACE, "1"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "done"


def test_an_order_to_a_job_that_is_over_is_refused(jobs: Jobs) -> None:
    job = jobs.start("true")
    jobs.wait(job)
    wait_until(lambda: not job.is_supervised(), "its supervisor has left")
    with pytest.raises(orders.NobodyError):
        orders.tell(job.file("orders"), orders.order(orders.CANCEL))


def test_after_another_boot_a_job_is_lost(jobs: Jobs) -> None:
    request = Request("k", ("true",), "/", created=time.time(), host=os.uname().nodename)
    stage = Shelf(WORKSPACE)
    with stage.locked():
        job = stage.take_up(stage.stage(), request)
    assert job.state() == ("lost", "the machine was started anew")
    write_record(job.file(REQUEST), Request("k", ("true",), "/", host="another"))
    assert job.state()[0] == "elsewhere"


def test_a_start_that_was_killed_leaves_nothing(jobs: Jobs) -> None:
    shelf = Shelf(WORKSPACE)
    with shelf.locked():
        half = Path(shelf.stage())
        (half / "job.json").write_text('{"key"')
        assert shelf.jobs() == []
        shelf.stage()
    assert sorted(os.listdir(shelf.path)) == [".new-" + str(os.getpid()), "lock"]
    job = jobs.start("true")
    assert job.number == 1
    jobs.wait(job)


def test_old_records_go_and_those_that_run_stay(jobs: Jobs) -> None:
    shelf = Shelf(WORKSPACE)
    running = jobs.start("sleep", "99")
    for number in range(JOBS_KEPT + 5):
        with shelf.locked():
            job = shelf.take_up(shelf.stage(), Request(f"k{number}", ("true",), "/", boot="old"))
        Path(job.file("ended.json")).write_text(json.dumps({"code": 0, "ended": 1.0}))
    shelf.clear()
    numbers = [job.number for job in shelf.jobs()]
    assert len(numbers) == JOBS_KEPT + 1
    assert numbers[0] == running.number
    assert numbers[-1] == JOBS_KEPT + 6


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"key": "k", "argv": [], "cwd": "/"},
        {"key": "k", "argv": ["a\0b"], "cwd": "/"},
        {"key": "k", "argv": ["a"], "cwd": "/", "name": "12"},
        {"key": "k", "argv": ["a"], "cwd": "/", "on_deadline": "SIGNONE"},
        {"key": "k", "argv": ["a"], "cwd": "/", "no such": 1},
        {"key": "k", "argv": ["a"], "cwd": "/no/such/folder"},
        [],
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_no_job(jobs: Jobs, asked: object) -> None:
    done = jobs.run("start", WORKSPACE, given=json.dumps(asked).encode())
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]
    assert Shelf(WORKSPACE).jobs() == []


def test_the_largest_request_is_a_job_that_is_seen(jobs: Jobs) -> None:
    asked: Any = {"key": "k", "cwd": str(jobs.folder), "argv": ["true", *["x" * 1000] * 1040, ""]}
    asked["argv"][-1] = "x" * (REQUEST_MAX - len(json.dumps(asked)))
    done = jobs.run("start", WORKSPACE, given=json.dumps(asked).encode())
    assert done.returncode == 0, done.stderr
    assert jobs.wait(Shelf(WORKSPACE).find("k"))["state"] == "done"


@pytest.mark.parametrize("workspace", ["", "../other", ".", "a/b"])
def test_a_workspace_is_one_name(jobs: Jobs, workspace: str) -> None:
    with pytest.raises(NoJobError):
        Shelf(workspace)
