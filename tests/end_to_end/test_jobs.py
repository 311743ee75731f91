"""Jobs on a real machine: their output and end come back, whatever dies in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.end_to_end import borrowed
from tests.end_to_end.laptop import (
    WAIT_S,
    Event,
    Laptop,
    is_alive,
    read,
    save,
    wait_content,
    wait_until,
)
from tests.end_to_end.sshd import Machine
from tests.end_to_end.test_across import binding_of
from tests.end_to_end.test_deadlines import ask_agent
from tests.end_to_end.test_full_disk import small_disk
from tests.terminal import Terminal
from towline import jobs

LINES = 2000  # Between two gates of `GATED`: more than a pipe holds.
GATED = textwrap.dedent("""\
    import sys
    for gate in range(4):
        if gate:
            open(f"gate-{gate}").close()
        for number in range(2000):
            print(f"{gate} {number} of those that come once and in order")
    sys.exit(5)
    """)
ALL_LINES = [
    f"{gate} {number} of those that come once and in order"
    for gate in range(4)
    for number in range(LINES)
]


class Command:
    """A command on the laptop that goes on; its output is in files."""

    def __init__(self, laptop: Laptop, *arguments: str) -> None:
        self.out = laptop.directory / "command.out"
        self.err = laptop.directory / "command.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                laptop.argv(*arguments),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=laptop.project,
                env=laptop.environment,
            )

    def wait_line(self, line: str) -> None:
        wanted = f"{line}\n".encode()
        wait_until(lambda: wanted in self.out.read_bytes(), f"{line!r}; {self.err.read_text()}")

    def wait_said(self, text: str) -> None:
        wait_until(lambda: text in self.err.read_text(), f"{text!r} said")

    def wait_exit(self) -> int:
        return self.process.wait(WAIT_S)


def job_of(laptop: Laptop, number: int) -> Event:
    return next(job for job in laptop.tell("jobs") if job["job"] == number)


def make_gates(laptop: Laptop) -> None:
    """Named pipes on the machine: who opens one waits until the other end is opened, too."""
    for number in (1, 2, 3):
        os.mkfifo(laptop.there / f"gate-{number}")


def open_gate(laptop: Laptop, number: int) -> None:
    (laptop.there / f"gate-{number}").write_bytes(b"")


def test_output_and_exit_code_are_the_job_s(laptop: Laptop, machine: Machine) -> None:
    (machine.home / ".profile").write_text("export FROM_LOGIN=yes\n")
    with laptop.linked():
        save(laptop.project / "a.py", "import sys; print('saved'); sys.exit(7)\n")
        done = laptop.run("run", "--", "python3", "a.py")  # Flushed first: it is there.
        assert (done.returncode, done.stdout) == (7, "saved\n")

        line = "echo $FROM_LOGIN $GIVEN $TOWLINE_JOB; pwd; echo wrong >&2; kill -9 $$"
        done = laptop.run("run", "--name", "second", "--env", "GIVEN=a b", "--", line)
        assert done.returncode == 137
        assert done.stdout.splitlines() == ["yes a b 2", str(laptop.there), "wrong"]

        done = laptop.run("run", "--", "no-such-program")
        assert done.returncode == 127
        assert "no-such-program" in done.stdout

        assert laptop.run("logs", "second", "-n", "1").stdout == "wrong\n"
        assert laptop.run("wait", "1").returncode == 7
        told = [(job["job"], job["name"], job["state"], job["code"]) for job in laptop.tell("jobs")]
        assert told == [
            (1, "", "failed", 7),
            (2, "second", "failed", 137),
            (3, "", "failed", 127),
        ]
        assert job_of(laptop, 1)["revision"] >= 1


def test_a_detached_job_is_listed_and_can_be_ended(laptop: Laptop) -> None:
    with laptop.linked():
        source = "from signal import *; signal(15, SIG_IGN); print('on'); pause()"
        done = laptop.run("run", "--detach", "--", "python3", "-c", source)
        assert (done.returncode, done.stdout) == (0, "1\n")
        assert "towline cancel 1" in done.stderr
        wait_until(lambda: laptop.run("logs", "1").stdout == "on\n", "it began")
        job = job_of(laptop, 1)
        assert job["state"] == "running"
        assert job["processes"] == 1
        assert job["memory"] > 1 << 20
        done = laptop.run("cancel", "--now", "1")  # It ignores the request.
        assert done.stdout == "job 1: cancelled\n"
        assert laptop.run("wait", "1").returncode == 137


def test_no_line_is_lost_or_doubled_when_all_between_is_killed(
    laptop: Laptop, machine: Machine
) -> None:
    save(laptop.project / "job.py", GATED)
    (laptop.project / ".towlineignore").write_text("gate-*\n")
    link = laptop.start()
    link.wait_for("ready")
    make_gates(laptop)
    command = Command(laptop, "run", "--", "python3", "job.py")
    command.wait_line(ALL_LINES[LINES - 1])

    assert machine.kill_connections()  # ssh.
    open_gate(laptop, 1)
    command.wait_line(ALL_LINES[2 * LINES - 1])

    os.kill(laptop.agent(), signal.SIGKILL)
    open_gate(laptop, 2)
    command.wait_line(ALL_LINES[3 * LINES - 1])

    link.kill()
    open_gate(laptop, 3)
    command.wait_said("so will this")
    with laptop.linked():
        assert command.wait_exit() == 5
        assert command.out.read_text().splitlines() == ALL_LINES
        assert laptop.run("logs", "1").stdout.splitlines() == ALL_LINES


def test_a_job_goes_on_while_nothing_of_ours_runs(laptop: Laptop) -> None:
    save(laptop.project / "job.py", GATED)
    (laptop.project / ".towlineignore").write_text("gate-*\n")
    link = laptop.start()
    link.wait_for("ready")
    make_gates(laptop)
    assert laptop.run("run", "--detach", "--", "python3", "job.py").returncode == 0
    agent = laptop.agent()
    laptop.run("stop")
    link.wait_exit()
    os.kill(agent, signal.SIGKILL)
    for gate in (1, 2, 3):
        open_gate(laptop, gate)
    with laptop.linked():
        assert laptop.run("wait").returncode == 5
        assert laptop.run("logs", "1").stdout.splitlines() == ALL_LINES


def test_a_large_log_comes_whole_through_cuts(laptop: Laptop, machine: Machine) -> None:
    """Three cuts in some 40 MB; `python -m bench.joblog` has a gigabyte and twenty."""
    source = "import os\nfor n in range(640): os.write(1, (b'%d ' % n) * 16384)"
    with laptop.linked() as link:
        command = Command(laptop, "run", "--", "python3", "-c", source)
        for part in (1, 2, 3):
            size = part * (8 << 20)
            wait_until(lambda size=size: command.out.stat().st_size > size, "it flows")
            assert machine.kill_connections()
        assert command.wait_exit() == 0
        assert command.out.read_bytes() == b"".join(b"%d " % n * 16384 for n in range(640))
        assert link.named("resumed")


def test_ctrl_c_leaves_the_job_and_a_second_one_ends_it(laptop: Laptop) -> None:
    with laptop.linked():
        command = Command(laptop, "run", "--", "echo begun; exec sleep 99")
        command.wait_line("begun")
        command.process.send_signal(signal.SIGINT)
        command.wait_said("job 1 goes on: `towline attach 1` comes back to it")
        assert command.wait_exit() == 130
        assert job_of(laptop, 1)["state"] == "running"

        command = Command(laptop, "attach")
        command.wait_line("begun")
        command.process.send_signal(signal.SIGINT)
        command.wait_said("Ctrl-C again cancels")
        command.process.send_signal(signal.SIGINT)
        assert command.wait_exit() == 130
        command.wait_said("job 1: cancelled")
        assert job_of(laptop, 1)["state"] == "cancelled"


def terminal_for(laptop: Laptop, *arguments: str) -> Terminal:
    environment = {**laptop.environment, "TERM": "xterm"}
    return Terminal(laptop.argv(*arguments), laptop.project, environment)


def test_a_job_in_a_terminal_has_this_one(laptop: Laptop) -> None:
    with laptop.linked():
        words = ("run", "--tty", "--", "stty size; PS1='# ' exec sh")
        with terminal_for(laptop, *words) as terminal:
            terminal.wait_shown("33 101")
            terminal.type("echo $((6*7)) one\n")
            terminal.wait_shown("42 one")
            terminal.type("(echo $((6*7)) runs; exec sleep 99)\n")
            terminal.wait_shown("42 runs")  # The shell itself has let go of the terminal.
            terminal.type("\x03")  # For the job: its shell goes on.
            terminal.wait_shown(r"\^C")
            terminal.type("echo $((6*7)) two\n")
            terminal.wait_shown("42 two")
            terminal.type("\r~.")
            assert terminal.wait_exit() == 130
            assert b"job 1 goes on" in terminal.shown

        with terminal_for(laptop, "attach") as terminal:
            terminal.wait_shown("42 two")
            terminal.type("exit 9\n")
            assert terminal.wait_exit() == 9
        done = laptop.run("run", "--tty", "--", "sh")
        assert done.returncode == 2
        assert "needs a terminal" in done.stderr


def test_held_code_is_not_reached_by_edits(laptop: Laptop) -> None:
    save(laptop.project / "mod.py", "VALUE = 'old'\n")
    save(laptop.project / "notes.txt", "as saved\n")
    save(
        laptop.project / "job.py",
        """\
import os
open("began", "w").close()
open("checkpoints/go").close()
import mod
print(mod.VALUE, open("notes.txt").read().strip())
open("notes.txt", "a").write("by the job\\n")
os.makedirs("out/deep")
open("out/deep/result.txt", "w").write("result\\n")
open("checkpoints/1.ckpt", "w").write("weights\\n")
""",
    )
    (laptop.project / ".gitignore").write_text("checkpoints/\n")
    with laptop.linked():
        (laptop.there / "checkpoints").mkdir()
        os.mkfifo(laptop.there / "checkpoints/go")
        done = laptop.run("run", "--detach", "--hold-code", "--", "python3", "job.py")
        assert done.returncode == 0, done.stderr
        held = Path(job_of(laptop, 1)["folder"])
        wait_until(lambda: (held / "began").exists(), "it began")
        save(laptop.project / "mod.py", "VALUE = 'new'\n")
        save(laptop.project / "notes.txt", "edited\n")
        laptop.flush()
        assert read(laptop.there / "mod.py") == b"VALUE = 'new'\n"
        (laptop.there / "checkpoints/go").write_bytes(b"")

        done = laptop.run("wait")
        assert done.returncode == 0
        assert laptop.run("logs", "1").stdout == "old as saved\n"
        # What it made is where it would have been without a copy, and here; its edit is kept.
        wait_content(laptop.project / "out/deep/result.txt", "result\n")
        assert read(laptop.there / "checkpoints/1.ckpt") == b"weights\n"
        assert read(laptop.there / "notes.txt") == b"edited\n"
        assert "kept there" in done.stderr
        assert read(held / "notes.txt") == b"as saved\nby the job\n"
        wait_content(laptop.project / "began", "")


def test_a_full_disk_holds_the_job_up_and_loses_nothing(laptop: Laptop, machine: Machine) -> None:
    kept = machine.home / ".local/state/towline"
    with small_disk(kept), laptop.linked():
        (kept / "filler").write_bytes(bytes(5 << 20))
        source = "import os\nfor n in range(96): os.write(1, (b'%d ' % n) * 16384)"
        command = Command(laptop, "run", "--", "python3", "-c", source)
        command.wait_said("the disk of the machine is full")
        (kept / "filler").unlink()
        assert command.wait_exit() == 0
        assert command.out.read_bytes() == b"".join(b"%d " % n * 16384 for n in range(96))


def test_the_end_of_the_machine_is_told_to_those_who_listen(laptop: Laptop) -> None:
    listening = (
        "import json, os, signal\n"
        "def hear(*_): print(json.load(open(os.environ['TOWLINE_DEADLINE_FILE']))['why'])\n"
        "signal.signal(signal.SIGUSR1, hear)\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    with laptop.linked():
        laptop.run("run", "--detach", "--", "sleep", "99")
        laptop.run("run", "--detach", "--on-deadline", "none", "--", "sleep", "99")
        laptop.run("run", "--detach", "--on-deadline", "term", "--", "sleep", "99")
        command = Command(laptop, "run", "--", "python3", "-c", listening)
        command.wait_line("ready")
        ask_agent(laptop, verb="ends", in_s=240, why="twelve hours are over")
        assert command.wait_exit() == 0
        command.wait_line("twelve hours are over")
        assert laptop.run("wait", "3").returncode == 128 + signal.SIGTERM
        assert [job["state"] for job in laptop.tell("jobs")[:2]] == ["running", "running"]
        assert 200 < laptop.tell("top", "-n", "1")[0]["deadline"]["at"] - time.time() < 240
        assert "left (twelve hours are over)" in laptop.run("top").stdout


def test_a_job_is_begun_again_on_a_new_machine(
    laptop: Laptop, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "echo resume=$TOWLINE_RESUME; exec sleep 99"
    laptop.configure("environment = {restore = false}\n")  # Else the engine is the first to ask.
    with laptop.linked():
        laptop.run("run", "--detach", "--resume-on-new-machine", "--name", "train", "--", line)
        done = laptop.run("run", "--resume-on-new-machine", "--", "true")  # Seen to be over.
        assert done.returncode == 0
        binding = binding_of(laptop, monkeypatch)
        assert jobs.to_resume(binding) == []
        assert [job["resumes"] for job in laptop.tell("jobs")] == [True, False]
    machine.stop()
    subprocess.run(["rm", "-rf", machine.home / ".local", machine.home / ".cache", laptop.there])
    machine.start()
    with laptop.linked():
        (kept,) = jobs.to_resume(binding)
        assert kept.asked.name == "train"
        job = jobs.resume(binding, kept, laptop.flush()["revision"])
        again = jobs.resume(binding, kept, 0)  # Asked for twice, begun once.
        assert again.number == job.number == 1
        assert jobs.to_resume(binding) == []
        wait_until(
            lambda: laptop.run("logs", "train").stdout == "resume=1\n",
            "begun",
        )
        laptop.run("cancel", "--now", "train")
        assert jobs.to_resume(binding) == []


def test_top_shows_the_machine(laptop: Laptop, machine: Machine) -> None:
    """The GPU is a stand-in: a script that says what NVIDIA's program is documented to say."""
    stand_in = machine.python_path.parent / "nvidia-smi"
    stand_in.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "if '--query-gpu' in sys.argv[1]:\n"
        "    print('0, Stand-in GPU, 87, 1024, 81559, 54, [N/A]')\n"
    )
    stand_in.chmod(0o755)
    with laptop.linked():
        laptop.run("run", "--detach", "--", "sleep", "99")
        first, second = laptop.tell("top", "-n", "2", "--interval", "0.1")
        assert second["at"] > first["at"]
        assert second["gpus"][0]["memory_used"] == 1 << 30
        assert second["cpu"]["percent"] is not None
        assert 0 < second["memory"]["used"] < second["memory"]["total"]
        assert second["sync"]["state"] == "live"
        assert [job["job"] for job in second["jobs"]] == [1]
        shown = laptop.run("top").stdout
        assert "GPU 0" in shown
        assert "Stand-in GPU" in shown
        with terminal_for(laptop, "top") as terminal:
            terminal.wait_shown("Stand-in GPU")
            terminal.wait_shown("█")
            terminal.process.send_signal(signal.SIGINT)
            assert terminal.wait_exit() == 130


def test_a_supervisor_that_is_killed_takes_its_job_along(laptop: Laptop) -> None:
    """Nothing would read its output any more; and it would hold the GPU, known to nobody."""
    with laptop.linked():
        laptop.run("run", "--detach", "--", "exec sleep 99")
        records = json.loads((Path(job_of(laptop, 1)["directory"]) / "running.json").read_text())
        os.kill(records["supervisor"], signal.SIGKILL)
        assert laptop.run("wait").returncode == 69
        wait_until(lambda: not is_alive(records["pid"]), "the command ended")
        assert job_of(laptop, 1)["state"] == "lost"


@pytest.mark.skipif(borrowed.why_not() is not None, reason=borrowed.why_not() or "")
def test_on_a_machine_of_a_ticket_a_job_has_the_kernel_s_environment(tmp_path: Path) -> None:
    with borrowed.borrowed_in(tmp_path / "machine") as machine:
        machine.environment["LD_LIBRARY_PATH"] = "/usr/lib64-nvidia"
        laptop = borrowed.Laptop(tmp_path / "laptop")
        with laptop.linked(machine.ticket()):
            done = laptop.towline("run", "--", "echo $LD_LIBRARY_PATH; pwd", cwd=laptop.project)
            assert done.stdout.splitlines() == ["/usr/lib64-nvidia", str(machine.home / "vision")]
        laptop.close()
