"""Is a job's log complete after many cuts, how far behind is it, and how fast does it come?

    python -m bench.joblog                        # 1 GB, 20 cuts; all of it
    python -m bench.joblog --megabytes 40 --cuts 3 --only torture
    python -m bench.joblog --write                # and into docs/guide-run.md

The engine, ssh, sshd, the agent and the job are real, on loopback. *Torture*: `towline run` of a
job that writes a known stream, while ssh's connections, the agent and the engine are killed at
random bytes; what arrived must be the stream, byte for byte. *Lag*: from a job's writing of a line
to the line in the output of `towline logs -f`, beside `ssh machine tail -f` of a job like it; and
*far*, behind a round trip of 100 ms. *Speed*: `towline logs` of a log that is there, beside `ssh
machine cat`. Exits with 1 if a stream differs.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from random import Random

from lab.wan import wan
from lab.wan import why_not as why_no_wan
from tests.end_to_end.laptop import Laptop, Link, is_alive, laptop_in, save, wait_until
from tests.end_to_end.sshd import Machine, machine_in

GUIDE = Path(__file__).parents[1] / "docs/guide-run.md"
BEGIN, END = "<!-- joblog: begin -->", "<!-- joblog: end -->"
PART = 1 << 16
KINDS = ("ssh", "ssh", "ssh", "agent", "engine")  # A network is lost more often than a process.
LINES = 200  # For the lag.
LONG_S = 120.0
FAR_MS = 100  # Round trip of the second lag.
WRITER = """\
import hashlib, os, sys
block, written = b"", 0
while written < int(sys.argv[1]):
    block = hashlib.sha512(block).digest().hex().encode() * 512
    written += os.write(1, block)
"""
STAMPER = """\
import os, sys, time
os.write(1, b"ready\\n")
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
while True:
    time.sleep(0.02)
    os.write(1, b"%d\\n" % time.monotonic_ns())
"""


_told: list[str] = []


def tell(line: str) -> None:
    print(line, flush=True)
    _told.append(line)


def write_told() -> None:
    """Put the figures into the guide, between its marks."""
    text = GUIDE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    figures = "\n".join(_told)
    GUIDE.write_text(f"{before}{BEGIN}\n```\n{figures}\n```\n{END}{after}", "utf-8")


class Torture:
    """A job that writes, a command that follows it, and what is done to them meanwhile."""

    def __init__(self, laptop: Laptop, machine: Machine, seed: int) -> None:
        self._laptop = laptop
        self._machine = machine
        self._chance = Random(seed)  # noqa: S311 - nothing secret.
        self._link = _linked(laptop)
        self.killed = dict.fromkeys(KINDS, 0)

    def run(self, size: int, cuts: int) -> bool:
        out = self._laptop.directory / "followed"
        save(self._laptop.project / "writer.py", WRITER)
        with out.open("wb") as into:
            argv = self._laptop.argv("run", "--", "python3", "writer.py", str(size))
            following = subprocess.Popen(
                argv, stdout=into, cwd=self._laptop.project, env=self._laptop.environment
            )
        began = time.monotonic()
        for at in sorted(self._chance.randrange(size) for _ in range(cuts)):
            wait_until(
                lambda at=at: out.stat().st_size >= at or following.poll() is not None,
                f"{at} bytes arrive",
                LONG_S,
            )
            self._kill(self._chance.choice(KINDS))
        code = following.wait(LONG_S)
        seconds = time.monotonic() - began
        (log,) = self._machine.home.glob(".local/state/towline/jobs/*/1/log")
        alike = _digest(out) == _digest(log) and code == 0
        killed = ", ".join(f"{count} × {kind}" for kind, count in self.killed.items() if count)
        tell(f"torture: {out.stat().st_size:,} of {log.stat().st_size:,} bytes in {seconds:.1f} s,")
        tell(f"         killed {killed}: {'identical' if alike else 'DIFFERENT'}, exit code {code}")
        out.unlink()
        log.unlink()
        self._link.end()
        return alike

    def _kill(self, kind: str) -> None:
        self.killed[kind] += 1
        if kind == "ssh":
            self._machine.kill_connections()
        elif kind == "agent":
            for pid in self._laptop.agents():
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda pid=pid: not is_alive(pid), "the agent is gone")
        else:
            self._link.kill()
            self._link = _linked(self._laptop)


def lag(laptop: Laptop, machine: Machine) -> bool:
    """Print the delay of lines by either way, one after the other."""
    link = _linked(laptop)
    save(laptop.project / "stamper.py", STAMPER)
    for name in ("towline logs -f", "ssh tail -f", "towline logs -f", "ssh tail -f"):
        done = laptop.run("run", "--detach", "--", "python3", "stamper.py", "go", timeout_s=LONG_S)
        number = done.stdout.strip()
        (log,) = machine.home.glob(f".local/state/towline/jobs/*/{number}/log")
        follow = laptop.argv("logs", "-f", number)
        argv = follow if name.startswith("towline") else machine.argv(f"tail -c +1 -f {log}")
        delays = sorted(_delays(laptop, argv))
        (laptop.there / "go").unlink()
        laptop.run("cancel", "--now", number, timeout_s=LONG_S)
        p50, p95 = statistics.median(delays), delays[int(len(delays) * 0.95)]
        tell(f"lag:     {name:<16} {p50:.2f} ms p50, {p95:.2f} ms p95, {len(delays)} lines")
    tell(f"         round trip of the Line: {laptop.status()['rtt_ms']} ms")
    link.end()
    return True


def throughput(laptop: Laptop, machine: Machine, size: int) -> bool:
    link = _linked(laptop)
    save(laptop.project / "writer.py", WRITER)
    laptop.run("run", "--detach", "--name", "big", "--", "python3", "writer.py", str(size))
    laptop.run("wait", "big", timeout_s=LONG_S)
    logs = machine.home.glob(".local/state/towline/jobs/*/*/log")
    log = max(logs, key=lambda path: path.stat().st_size)
    ways = {"towline logs": laptop.argv("logs", "big"), "ssh cat": machine.argv(f"cat {log}")}
    for name, argv in ways.items():
        began = time.monotonic()
        done = subprocess.Popen(
            argv, stdout=subprocess.PIPE, cwd=laptop.project, env=laptop.environment
        )
        assert done.stdout is not None
        read = 0
        while part := done.stdout.read(PART):
            read += len(part)
        done.wait()
        seconds = time.monotonic() - began
        tell(f"speed:   {name:<16} {read / seconds / 1e6:.0f} MB/s ({read:,} bytes)")
    log.unlink()
    link.end()
    return True


def _delays(laptop: Laptop, argv: list[str]) -> list[float]:
    """Return the milliseconds from each line's own time to its arrival."""
    reading = subprocess.Popen(
        argv, stdout=subprocess.PIPE, cwd=laptop.project, env=laptop.environment
    )
    assert reading.stdout is not None
    assert reading.stdout.readline() == b"ready\n"
    (laptop.there / "go").touch()
    delays = [
        (time.monotonic_ns() - int(line)) / 1e6
        for line, _ in zip(reading.stdout, range(LINES), strict=False)
    ]
    reading.kill()
    reading.wait()
    return delays


def _linked(laptop: Laptop) -> Link:
    link = laptop.start()
    link.wait_for("ready", timeout_s=LONG_S)
    return link


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench.joblog", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="into docs/guide-run.md")
    parser.add_argument("--only", choices=["torture", "lag", "far", "speed"])
    given = parser.parse_args(arguments)
    size = given.megabytes << 20
    alike = True
    parts: dict[str, Callable[[Laptop, Machine], bool]] = {
        "torture": lambda at, to: Torture(at, to, given.seed).run(size, given.cuts),
        "lag": lag,
        "far": lag,
        "speed": lambda at, to: throughput(at, to, size),
    }
    if reason := why_no_wan():
        print(f"far: left out: {reason}")
        del parts["far"]
    with tempfile.TemporaryDirectory(prefix="joblog-") as directory:
        for name, part in parts.items():
            if given.only in (None, name):
                alike = _in_a_world(Path(directory) / name, part, far=name == "far") and alike
    if given.write:
        write_told()
    return 0 if alike else 1


def _in_a_world(directory: Path, part: Callable[[Laptop, Machine], bool], *, far: bool) -> bool:
    directory.mkdir()
    with (
        wan(rtt_ms=FAR_MS) if far else nullcontext() as link,
        machine_in(directory / "m", link=link) as machine,
        laptop_in(directory / "l", machine) as laptop,
    ):
        return part(laptop, machine)


if __name__ == "__main__":
    sys.exit(main())
