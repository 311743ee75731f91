"""Journey 2 across the lab, by every way there is, as a new user goes it; with the times it takes.

    python -m lab.journey                    # every way, at a round trip of 100 ms
    python -m lab.journey --rtt 20 ssh bore  # these
    python -m lab.journey --write            # and put the table into docs/routes.md

For each way: set up wrongly, `up` is refused with a message; else it prints a ticket; `link TICKET`
enrols and brings the project over; saves are seen; `ssh` runs a command; `cp` carries 50 MB there
and back; the relay dies while a large file is under way and both sides are edited, and comes back;
the laptop sleeps while edits are made on the machine. Where anything was lost or changed, the way
has failed; times are only told.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from types import FrameType

from lab import wan
from lab.table import Row, as_table, merged, verdicts, write_page
from lab.three import Three, three
from lab.ways import Stand, Way, ways_named
from tests.end_to_end.borrowed import TOWLINE, Laptop, Side, end_agents
from tests.end_to_end.laptop import (
    Link,
    conflict_copies,
    contents,
    difference,
    save,
    staged,
    wait_content,
    wait_until,
)

PROVIDER = Path(__file__).with_name("provider.py")
WAIT_S = 60.0
RTT_MS = 100.0
SAVES = 10
MEGABYTES, LARGE_MEGABYTES = 50, 4
OUTAGE_S = 5.0
SLEEP_S = 20.0
WRAPPER = '#!/bin/sh\nexec ssh -F "{config}" "$@"\n'
"""OpenSSH reads the configuration of the account's home, whatever HOME says."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything: all of it for the table, a little for a smoke test."""

    rtt_ms: float = RTT_MS
    megabytes: int = MEGABYTES  # That `cp` carries.
    large_megabytes: int = LARGE_MEGABYTES  # Of the file that is under way as the relay dies.
    outage_s: float = OUTAGE_S
    sleep_s: float = SLEEP_S  # 0: it does not sleep.
    is_brief: bool = False  # As far as the first command over the Line, and no further.


@dataclass
class Journey:
    """One way, gone: the two people's computers, and what was measured."""

    way: Way
    stand: Stand
    scale: Scale
    laptop: Laptop
    machine: Side
    there: Path  # The project, on the machine.
    row: Row
    link: Link | None = None

    # On the machine

    def refuse(self) -> None:
        """Set up wrongly, it says what is wrong, and leaves nothing behind."""
        done = self._up(self.stand.refused)
        assert done.returncode != 0, "it was not refused"
        said = done.stderr.strip().splitlines()
        assert any(self.stand.means in line for line in said), done.stderr
        self.row.refused = next(line for line in said if self.stand.means in line)

    def up(self) -> str:
        """Return the ticket."""
        alone = self._provider_s()
        began = time.monotonic()
        done = self._up({})
        taken = time.monotonic() - began
        assert done.returncode == 0, done.stderr
        self.row.figures |= {"up": taken, "provider": alone}
        ticket: str = json.loads(done.stdout)["ticket"]
        return ticket

    def _up(self, wrong: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        settings = {**self.stand.settings, **{k: v for k, v in wrong.items() if "." in k}}
        words = [word for item in settings.items() for word in ("--set", "=".join(item))]
        self.machine.environment.update(wrong if not any("." in key for key in wrong) else {})
        argv = ("up", "--json", "--route", self.way.route, "--name", "box", *words)
        try:
            return self.machine.towline(*argv, check=False)
        finally:
            for name in wrong:
                self.machine.environment.pop(name, None)

    def _provider_s(self) -> float:
        with tempfile.TemporaryDirectory() as directory:
            argv = (sys.executable, str(PROVIDER), self.way.route, directory)
            done = self.machine.run(*argv, json.dumps(dict(self.stand.settings)))
        return float(done.stdout)

    # On the laptop

    def link_to(self, *destination: str) -> None:
        """From the ticket to a live project, in one command."""
        began = time.monotonic()
        self.link = self._link(*destination)
        self.link.wait_for("ready", timeout_s=WAIT_S)
        self.row.figures["link"] = time.monotonic() - began
        assert contents(self.laptop.project) == contents(self.there)

    def _link(self, *destination: str) -> Link:
        log = self.laptop.home / "link.stderr"
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [*self.laptop.enter, *TOWLINE, "link", *destination, "--json"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True,
                cwd=self.laptop.project, env=self.laptop.environment,
            )  # fmt: skip
        return Link(process, log)

    def save(self) -> None:
        """Saves are seen on either side."""
        here, there = self.laptop.project / "train.py", self.there / "train.py"
        self.row.figures["save ms"] = median(
            _seen_ms(here, there, number) for number in range(SAVES)
        )
        self.row.figures["save back ms"] = median(
            _seen_ms(there, here, -number) for number in range(SAVES)
        )

    def run(self) -> None:
        """`towline ssh` runs a command, over the Line."""
        began = time.monotonic()
        done = self.laptop.towline(
            "ssh", self.stand.name, "--", "echo there", cwd=self.laptop.project
        )
        self.row.figures["ssh"] = time.monotonic() - began
        assert done.stdout == "there\n", done.stdout

    def carry(self) -> None:
        """`towline cp` there and back, bit by bit the same."""
        size = self.scale.megabytes << 20
        data = os.urandom(size)
        source, back = self.laptop.home / "data.bin", self.laptop.home / "back.bin"
        source.write_bytes(data)
        there = self.there.parent / "data.bin"
        self.row.figures["cp there MB/s"] = self.scale.megabytes / self._copy(
            str(source), f"{self.stand.name}:{there}"
        )
        assert _digest(there) == _digest(source), "changed on the way there"
        self.row.figures["cp back MB/s"] = self.scale.megabytes / self._copy(
            f"{self.stand.name}:{there}", str(back)
        )
        assert _digest(back) == _digest(source), "changed on the way back"

    def _copy(self, source: str, target: str) -> float:
        began = time.monotonic()
        self.laptop.towline("cp", source, target, cwd=self.laptop.project)
        return time.monotonic() - began

    # What goes wrong

    def relay_dies(self) -> None:
        """While a large file is under way and both sides are edited; and comes back."""
        link = self._linked()
        mark = link.mark()
        large = os.urandom(self.scale.large_megabytes << 20)
        save(self.laptop.project / "large.bin", large)
        wait_until(self._is_under_way, "the large file is under way", WAIT_S)
        self.stand.server.stop()
        self._edit_both_for(self.scale.outage_s)
        self.stand.server.start()
        self.row.figures["relay back"] = self._alike_after("after the relay")
        assert (self.there / "large.bin").read_bytes() == large
        resumed = link.wait_for("resumed", after=mark, timeout_s=WAIT_S)
        assert not resumed["new_life"], link.story()

    def _is_under_way(self) -> bool:
        """A part of the large file is there; or all of it, on a quick way."""
        parts = [name for name in staged(self.there) if name.endswith(".part")]
        return bool(parts) or (self.there / "large.bin").exists()

    def sleep(self) -> None:
        """Everything of the laptop's stands still, and the machine does not."""
        asleep = list(_processes_of(self.laptop))
        for process in asleep:
            os.kill(process, signal.SIGSTOP)
        self._edit_for(self.scale.sleep_s, (self.there,))
        for process in asleep:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)
        save(self.laptop.project / "awake.py", "awake\n")
        self.row.figures["awake"] = self._alike_after("after the sleep")

    def _edit_both_for(self, seconds: float) -> None:
        self._edit_for(seconds, (self.laptop.project, self.there))

    def _edit_for(self, seconds: float, roots: Sequence[Path]) -> None:
        """Save at an editor's quickest pace, each side its own files."""
        ends_at, number = time.monotonic() + seconds, 0
        while time.monotonic() < ends_at:
            for side, root in enumerate(roots):
                save(root / f"edit{side}_{number % 10}_{len(roots)}.py", f"{number}\n")
            number += 1
            time.sleep(0.05)  # The pace of the saves; nothing is waited for.

    def _alike_after(self, what: str) -> float:
        """Wait until both sides hold the same, all of it; return the seconds."""
        here, there = self.laptop.project, self.there
        try:
            taken = wait_until(lambda: contents(here) == contents(there), f"alike {what}", WAIT_S)
        except AssertionError as error:
            error.add_note(difference(contents(here), contents(there)))
            raise
        assert conflict_copies(here, there) == [], "nobody edited one file on both sides"
        return taken

    def again(self) -> None:
        """Ended, the machine is reached without an engine, and linked again without its ticket."""
        link, self.link = self._linked(), None
        assert link.end() == 0, link.story()
        done = self.laptop.towline(
            "ssh", self.stand.name, "--", "echo by itself", cwd=self.laptop.project
        )
        assert done.stdout == "by itself\n", done.stdout
        self.laptop.towline("link", "--once", cwd=self.laptop.project)
        here, there = contents(self.laptop.project), contents(self.there)
        assert here == there, difference(here, there)

    def story(self) -> str:
        """Return what both sides told, for a message."""
        log = self.machine.state / "machine/log"
        machine = log.read_text()[-3000:] if log.exists() else ""
        link = self.link.story() if self.link else ""
        places = (
            self.laptop.state / "machines/box/record.json",
            self.machine.state / "machine/status.json",
        )
        told = [place.read_text() for place in places if place.exists()]
        return "\n".join([link, "--- machine", machine, *told])

    def _linked(self) -> Link:
        assert self.link is not None, "not linked"
        return self.link


def go(lab: Three, way: Way, scale: Scale, tell: Callable[[str], None] = print) -> Row:
    """Go the whole way; return what was measured. Raises `AssertionError` if it fails."""
    with _journey(lab, way, scale) as journey:
        tell(f"{way.name}: {way.part}")
        if way.route:
            journey.refuse()
            journey.link_to(journey.up())
        else:
            journey.link_to("box", "-F", str(journey.laptop.config))
        journey.save()
        journey.run()
        if scale.is_brief:
            return journey.row
        journey.carry()
        journey.relay_dies()
        if scale.sleep_s:
            journey.sleep()
        journey.again()
        return journey.row


@contextmanager
def _journey(lab: Three, way: Way, scale: Scale) -> Generator[Journey]:
    directory = Path(tempfile.mkdtemp(prefix="tow-"))
    try:
        with way.open(lab, directory) as stand:
            machine = Side(directory / "machine", lab.machine())
            laptop = Laptop(directory / "laptop", lab.laptop())
            machine.environment.update(stand.environment)
            laptop.environment.update(stand.laptop)
            _configure(laptop, stand)
            home = machine.home if way.route else directory / "plain/home"
            there = home / laptop.project.name
            row = Row(way.name, way.part)
            journey = Journey(way, stand, scale, laptop, machine, there, row)
            try:
                yield journey
            except AssertionError as error:
                error.add_note(journey.story())
                raise
            finally:
                if journey.link is not None:
                    journey.link.kill()
                laptop.close()
                machine.towline("down", check=False)
                end_agents(home)
                machine.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _configure(laptop: Laptop, stand: Stand) -> None:
    """Give the laptop's ssh the configuration that its owner would have."""
    laptop.config.parent.mkdir(mode=0o700)
    laptop.config.write_text(stand.config)
    wrapper = laptop.home / "ssh"
    wrapper.write_text(WRAPPER.format(config=laptop.config))
    wrapper.chmod(0o755)
    laptop.environment["TOWLINE_SSH"] = str(wrapper)


def _seen_ms(source: Path, target: Path, number: int) -> float:
    content = f"{number} {time.monotonic_ns()}\n"
    save(source, content)
    return wait_content(target, content, WAIT_S) * 1000


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _processes_of(laptop: Laptop) -> Generator[int]:
    home = f"HOME={laptop.home}".encode()
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if home in (directory / "environ").read_bytes().split(b"\0"):
                yield int(directory.name)


def main(argv: Sequence[str] | None = None) -> int:
    options = _parse(argv)
    signal.signal(signal.SIGTERM, _leave)
    if reason := wan.why_not():
        print(f"no lab here: {reason}", file=sys.stderr)
        return 1
    scale = Scale(rtt_ms=options.rtt, sleep_s=options.sleep, is_brief=options.brief)
    rows: list[Row] = []
    failed = 0
    for way in ways_named(options.ways):
        if reason := way.why_not():
            print(f"{way.name}: left out: {reason}")
            continue
        try:
            with three(scale.rtt_ms) as lab:
                rows.append(go(lab, way, scale))
            print(as_table(rows[-1:]).splitlines()[-1], flush=True)
        except AssertionError as error:
            failed += 1
            notes = "\n".join(getattr(error, "__notes__", []))
            print(f"{way.name}: FAILED: {error}\n{notes}", file=sys.stderr)
    if options.rows:
        rows = merged(options.rows, rows)
    print(as_table(rows), *verdicts(rows, scale.rtt_ms), sep="\n")
    if options.write:
        write_page(rows, scale.rtt_ms)
    return 1 if failed else 0


def _leave(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(1)  # With all that is cleaned up then.


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ways", nargs="*", metavar="WAY", help="these; else all")
    parser.add_argument("--rtt", type=float, default=RTT_MS, help="ms, laptop to machine")
    parser.add_argument("--sleep", type=float, default=SLEEP_S, help="seconds; 0: no sleep")
    parser.add_argument("--brief", action="store_true", help="only up, link, saves and ssh")
    parser.add_argument("--rows", type=Path, metavar="FILE", help="add to what a run has left here")
    parser.add_argument("--write", action="store_true", help="put the table into the docs")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
