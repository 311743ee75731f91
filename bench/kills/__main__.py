"""A machine killed without warning, again and again, while a training script writes there.

    python -m bench.kills --kills 50 --full 5 --json kills.json
    python -m bench.kills --from kills.json --write     # the table in docs/performance.md

The engine, ssh, sshd and the agent are the real ones, 100 ms and 100 Mbit/s apart. Most kills meet
checkpoints of 10 MB every second, some 200 MB every 20 s: the same share of the link. After each
kill the laptop's folder is compared with what the script had finished. Exits with 1 if a half file
stands under its name, if a mark came before what it names, or if `status` promised too much.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from bench import page
from bench.ground import fast_directory
from bench.kills.ledger import Finding, Ledger, look
from lab.wan import Link as Wan
from lab.wan import wan
from lab.wan import why_not as why_no_wan
from tests.end_to_end.laptop import Laptop, laptop_in, save
from tests.end_to_end.sshd import Machine, machine_in
from tests.end_to_end.sshd import why_not as why_no_machine

DOCS = Path(__file__).parents[2] / "docs"
RTT_MS, RATE_MBIT = 100, 100
SMALL, FULL = (10_000_000, 1.0), (200_000_000, 20.0)  # Bytes, and seconds from one to the next.
LIVE_WITHIN_S = 60.0
LAST_BYTES_S = 0.5  # For what had reached the laptop when the machine died.
PROBE_SIZE = 25_000_000


@dataclass
class Kills:
    """What happened at one size of checkpoint."""

    size: int
    every_s: float
    bandwidth: float  # Bytes a second that one ssh gets through the same link.
    findings: list[Finding] = field(default_factory=list[Finding])

    @property
    def bound_s(self) -> float:
        return self.size / self.bandwidth + 2 * RTT_MS / 1000

    @property
    def is_well(self) -> bool:
        return all(not (one.half or one.early_marks or one.false_promises) for one in self.findings)


class Round:
    """One machine and one laptop; the machine dies many times."""

    def __init__(self, way: Wan, machine: Machine, laptop: Laptop, kills: Kills) -> None:
        self._way = way
        self._machine = machine
        self._laptop = laptop
        self._kills = kills
        self._ledger = Ledger(machine.directory / "ledger")

    def run(self, count: int, chance: Random) -> None:
        mark = 0
        link = self._laptop.start()
        for number in range(count):
            link.wait_for("ready", after=mark, timeout_s=LIVE_WITHIN_S)
            mark = link.mark()
            began_at = time.time()
            script = self._train()
            time.sleep(chance.uniform(1.2, 3.2) * self._kills.every_s)
            finding = self._kill(began_at)
            script.wait()
            self._kills.findings.append(finding)
            print(number + 1, json.dumps(dataclasses.asdict(finding)), flush=True)
            self._way.set(cut="off")
            self._machine.start()
        assert link.end() == 0, link.story()
        assert "Traceback" not in link.stderr, link.story()

    def _train(self) -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("trainer.py")
        size, every_s = str(self._kills.size), str(self._kills.every_s)
        return subprocess.Popen(
            [sys.executable, str(script), self._laptop.there, self._ledger.path, size, every_s],
            env={"PATH": os.environ["PATH"], "HOME": str(self._machine.home)},
            start_new_session=True,  # It dies with the machine, by its HOME.
        )

    def _kill(self, began_at: float) -> Finding:
        died_at = time.time()
        self._way.set(cut="on")
        self._machine.stop()
        time.sleep(LAST_BYTES_S)
        safe_at = self._laptop.status()["safe_at"] or 0.0
        self._ledger.note_left(self._laptop.there)
        rows, left = self._ledger.rows(), self._ledger.left
        due_at = died_at - self._kills.bound_s
        here, there = self._laptop.project, self._laptop.there
        return look(here, there, rows, left, began_at, died_at, due_at, safe_at)


def measure(kills: Kills, count: int, seed: int) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="twk-", dir=fast_directory()) as made,
        wan(rtt_ms=RTT_MS, rate_mbit=RATE_MBIT, seed=seed) as way,
        machine_in(Path(made, "m"), link=way) as machine,
        laptop_in(Path(made, "laptop"), machine) as laptop,
    ):
        kills.bandwidth = bandwidth(machine)
        laptop.configure('size_max = "1 GB"\n')
        save(laptop.project / "train.py", "# What the script on the machine stands for.\n")
        Round(way, machine, laptop, kills).run(count, Random(seed))  # noqa: S311


def bandwidth(machine: Machine) -> float:
    """Return the bytes a second that a plain ssh brings through this link, once it is under way."""
    argv = machine.argv(f"head -c {PROBE_SIZE} /dev/urandom")
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        left, began = PROBE_SIZE, 0.0
        while piece := process.stdout.read1(1 << 16):
            left -= len(piece)
            if not began and left < PROBE_SIZE // 2:
                began, counted = time.monotonic(), left
        return counted / (time.monotonic() - began)


def table(all_kills: Sequence[Kills]) -> str:
    head = [f"{kills.size / 1e6:.0f} MB every {kills.every_s:g} s" for kills in all_kills]
    rows = {
        "kills": [len(kills.findings) for kills in all_kills],
        "checkpoints finished": [sum(f.finished for f in k.findings) for k in all_kills],
        "half files under a final name": [sum(len(f.half) for f in k.findings) for k in all_kills],
        "marks before what they name": [
            sum(len(f.early_marks) for f in k.findings) for k in all_kills
        ],
        "not there, though `status` had said so": [
            sum(len(f.false_promises) for f in k.findings) for k in all_kills
        ],
        "bandwidth of one ssh": [f"{kills.bandwidth / 1e6:.1f} MB/s" for kills in all_kills],
        "size ÷ bandwidth + 2 RTT": [f"{kills.bound_s:.2f} s" for kills in all_kills],
        "settled longer ago, and there": [_there(kills) for kills in all_kills],
        "from settled to safe, p50 (p95)": [_delays(kills) for kills in all_kills],
        "last line of the log, age at the kill, p50 (worst)": [_log(k) for k in all_kills],
    }
    lines = [f"| | {' | '.join(head)} |", f"|---|{'---|' * len(head)}"]
    lines += [f"| {name} | {' | '.join(map(str, cells))} |" for name, cells in rows.items()]
    return "\n".join(lines)


def _there(kills: Kills) -> str:
    due = sum(one.due for one in kills.findings)
    missing = sum(len(one.missing) for one in kills.findings)
    return f"{due - missing} of {due}"


def _delays(kills: Kills) -> str:
    delays = sorted(delay for one in kills.findings for delay in one.delays_s)
    if not delays:
        return "-"
    return f"{delays[len(delays) // 2]:.2f} ({delays[int(len(delays) * 0.95)]:.2f}) s"


def _log(kills: Kills) -> str:
    ages = sorted(one.log_age_s for one in kills.findings)
    return f"{ages[len(ages) // 2]:.1f} ({ages[-1]:.1f}) s" if ages else "-"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.kills", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--full", type=int, default=5, help="kills at full size")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was seen there")
    parser.add_argument(
        "--from", dest="given", type=Path, metavar="FILE", help="tell what it holds"
    )
    parser.add_argument("--write", action="store_true", help="write the table into the docs")
    options = parser.parse_args(argv)
    if reason := why_no_wan() or why_no_machine():
        print(f"no kills here: {reason}", file=sys.stderr)
        return 1
    found = read(options.given) if options.given else []
    try:
        for (size, every_s), count in (
            () if found else ((SMALL, options.kills), (FULL, options.full))
        ):
            if count:
                found.append(Kills(size, every_s, 0.0))
                measure(found[-1], count, options.seed)
    finally:  # Of a quarter of an hour nothing is lost.
        if options.json:
            options.json.write_text(json.dumps([dataclasses.asdict(kills) for kills in found]))
    print(table(found))
    if options.write:
        page.write_blocks(DOCS / "performance.md", {"kills": table(found)})
    return 0 if all(kills.is_well for kills in found) else 1


def read(file: Path) -> list[Kills]:
    return [
        Kills(**{**plain, "findings": [Finding(**one) for one in plain["findings"]]})
        for plain in json.loads(file.read_text())
    ]


if __name__ == "__main__":
    sys.exit(main())
