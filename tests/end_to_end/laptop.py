"""A laptop to link from: the real command as a process, in a home and with a state of its own.

Every wait ends: with what was waited for, or with an AssertionError that tells what was there
instead. At the end everything that was started is gone.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from tests.end_to_end.sshd import Machine, machine_in

WAIT_S = 15.0  # For what takes well below a second, on a computer that is busy.
POLL_S = 0.002
NEVER_COMPARED = {".towline", ".git", "towline.toml"}

Event = dict[str, Any]
Contents = dict[str, str]


class Link:
    """A running `towline link --json`."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.events: list[Event] = []
        self._log = log
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        return self._log.read_text()

    def wait_for(
        self, name: str, *, after: int = 0, timeout_s: float = WAIT_S, **fields: Any
    ) -> Event:
        """Return the first event of this name and with these fields, from number `after` on."""
        ends_at = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for event in self.events[after:]:
                    if event["event"] == name and fields.items() <= event.items():
                        return event
                left_s = ends_at - time.monotonic()
                if self._ended or left_s <= 0 or not self._changed.wait(left_s):
                    why = "ended" if self._ended else f"{timeout_s} s went by"
                    raise AssertionError(f"no {name} {fields}: {why}\n{self.story()}")

    def named(self, name: str) -> list[Event]:
        with self._changed:
            return [event for event in self.events if event["event"] == name]

    def mark(self) -> int:
        """Return the number of the next event, for `after`."""
        with self._changed:
            return len(self.events)

    def wait_exit(self, timeout_s: float = WAIT_S) -> int:
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the engine goes on\n{self.story()}") from None
        self._reader.join(WAIT_S)
        return code

    def end(self) -> int:
        """End it as a terminal that closes does; return the exit code."""
        self.process.terminate()
        return self.wait_exit()

    def kill(self) -> None:
        self.process.kill()
        self.wait_exit()

    def story(self) -> str:
        """Return what it told, for a message."""
        told = "\n".join(map(str, self.events[-30:]))
        return f"--- events\n{told}\n--- stderr\n{self.stderr[-4000:]}"

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                with self._changed:
                    self.events.append(json.loads(line))
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class Laptop:
    """`project` is linked to `there`, on the machine."""

    def __init__(self, directory: Path, machine: Machine) -> None:
        self.directory = directory
        self.machine = machine
        self.project = directory / "proj"
        self.there = machine.home / "proj"
        self.environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(directory / "home"),
            "XDG_STATE_HOME": str(directory / "state"),
            "XDG_CONFIG_HOME": str(directory / "config"),
            "XDG_RUNTIME_DIR": str(directory / "run"),
            "PYTHONWARNINGS": "error",
            "PYTHONFAULTHANDLER": "1",
        }
        for made in ("proj", "home", "state", "config", "run"):
            (directory / made).mkdir(mode=0o700)
        self._links: list[Link] = []

    def configure(self, text: str) -> None:
        """Write the project's towline.toml. Comparisons leave it out."""
        (self.project / "towline.toml").write_text(text)

    def argv(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-P", "-m", "towline", *map(str, arguments)]

    def run(
        self,
        *arguments: str | Path,
        cwd: Path | None = None,
        timeout_s: float = WAIT_S,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, in the project."""
        return subprocess.run(
            self.argv(*arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=cwd or self.project,
            env={**self.environment, **(environment or {})},
            timeout=timeout_s,
        )

    def tell(self, *arguments: str | Path) -> list[Event]:
        """Run a command that must succeed, with --json; return what it tells."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return [json.loads(line) for line in done.stdout.splitlines()]

    def status(self) -> Event:
        return self.tell("status")[0]

    def flush(self, timeout_s: float = WAIT_S) -> Event:
        return self.tell("flush", "--timeout", str(timeout_s))[0]

    def link_arguments(self, *arguments: str) -> list[str]:
        return ["link", "--json", "-F", str(self.machine.config), *(arguments or ("machine",))]

    def start(self, *arguments: str) -> Link:
        """Start `towline link --json`, to the machine if nothing else is said."""
        log = self.directory / f"link-{len(self._links)}.stderr"
        with log.open("w") as stderr:
            process = subprocess.Popen(
                self.argv(*self.link_arguments(*arguments)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                cwd=self.project,
                env=self.environment,
            )
        link = Link(process, log)
        self._links.append(link)
        return link

    @contextmanager
    def linked(self, *arguments: str, timeout_s: float = WAIT_S) -> Generator[Link]:
        """Link, and yield once both sides hold the same. It must not have failed at the end."""
        link = self.start(*arguments)
        link.wait_for("ready", timeout_s=timeout_s)
        yield link
        assert link.end() == 0, link.story()
        assert "Traceback" not in link.stderr, link.story()

    def processes(self) -> dict[int, str]:
        """Return what runs here, process id to command line: all with our home as HOME."""
        ours = f"HOME={self.environment['HOME']}".encode()
        return {pid: line for pid, (line, environ) in _all_processes() if ours in environ}

    def ssh_clients(self) -> list[int]:
        return [pid for pid, line in self.processes().items() if line.startswith("ssh -T ")]

    def close(self) -> None:
        """Kill everything that runs here."""
        while processes := self.processes():
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            for link in self._links:
                link.process.poll()
            time.sleep(POLL_S)
        for link in self._links:
            link.wait_exit()

    # -- The machine, as seen from above ------------------------------------------------------

    def agents(self) -> list[int]:
        """Return the process id of each agent that listens on the machine."""
        return [pid for path in self._sockets() if (pid := _listener(path)) is not None]

    def agent(self) -> int:
        (pid,) = self.agents()
        return pid

    def agent_log(self) -> str:
        return "".join(path.read_text() for path in (self.machine.home / RUN).glob("*.log"))

    def _sockets(self) -> list[Path]:
        return sorted((self.machine.home / RUN).glob("*.sock"))

    def assert_equal(self) -> None:
        """Both sides hold the same, and nothing lies in a stage."""
        here, there = contents(self.project), contents(self.there)
        assert here == there, difference(here, there)
        self.assert_tidy()

    def assert_tidy(self) -> None:
        """Nothing lies in a stage, once what was replaced has had its grace."""
        for root in (self.project, self.there):
            wait_until(partial(_is_tidy, root), f"nothing in the stage of {root}")

    def wait_equal(self, timeout_s: float = WAIT_S) -> None:
        wait_until(
            lambda: contents(self.project) == contents(self.there), "both sides alike", timeout_s
        )


RUN = ".cache/towline/run"


@contextmanager
def laptop_in(directory: Path, machine: Machine) -> Generator[Laptop]:
    """A laptop whose files lie in `directory`; end all that runs on it."""
    directory.mkdir()
    laptop = Laptop(directory, machine)
    try:
        yield laptop
    finally:
        laptop.close()


@contextmanager
def next_machine(laptop: Laptop, directory: Path) -> Generator[Machine]:
    """The machine is gone. There is another one, empty, under its name and as `other`."""
    laptop.machine.stop()
    with machine_in(directory) as machine:
        config = machine.config.read_text().replace("Host machine", "Host machine other")
        laptop.machine.config.write_text(config)
        laptop.there = machine.home / "proj"
        yield machine


def wait_until(holds: Callable[[], bool], what: str, timeout_s: float = WAIT_S) -> float:
    """Wait until `holds()`; return the seconds it took. AssertionError if it does not in time."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() < began + timeout_s, f"not within {timeout_s} s: {what}"
        time.sleep(POLL_S)
    return time.monotonic() - began


def wait_content(path: Path, content: bytes | str, timeout_s: float = WAIT_S) -> float:
    """Wait until a file holds exactly this; return the seconds it took."""
    wanted = content.encode() if isinstance(content, str) else content
    return wait_until(lambda: read(path) == wanted, f"{path} holds {wanted[:60]!r}", timeout_s)


def wait_gone(path: Path, timeout_s: float = WAIT_S) -> float:
    return wait_until(lambda: not os.path.lexists(path), f"{path} is gone", timeout_s)


def read(path: Path) -> bytes | None:
    """Return the content of a file, None if there is none."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def save(path: Path, content: str | bytes) -> None:
    """Save as many editors do: beside, then in place. Makes directories as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.saving~")
    beside.write_bytes(content.encode() if isinstance(content, str) else content)
    beside.replace(path)


def contents(root: Path) -> Contents:
    """Return path to what is there, for all that is synced: kind, executable or not, digest."""
    found: Contents = {}
    for directory, names, files in os.walk(root):
        names[:] = sorted(set(names) - NEVER_COMPARED)
        for name in [*names, *files]:
            path = Path(directory, name)
            if name not in NEVER_COMPARED:
                with suppress(FileNotFoundError):
                    found[path.relative_to(root).as_posix()] = _content(path)
    return found


def _content(path: Path) -> str:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return f"link to {os.readlink(path)}"
    if stat.S_ISDIR(status.st_mode):
        return "directory"
    kind = "program" if status.st_mode & stat.S_IXUSR else "file"
    with path.open("rb") as file:
        return f"{kind} {status.st_size} {hashlib.file_digest(file, 'sha256').hexdigest()}"


def difference(here: Contents, there: Contents) -> str:
    """Say in what they differ, the first ten of it."""
    paths = sorted(path for path in here.keys() | there.keys() if here.get(path) != there.get(path))
    lines = (f"{path}: here {here.get(path)}, there {there.get(path)}" for path in paths[:10])
    return f"{len(paths)} differ\n" + "\n".join(lines)


def staged(root: Path) -> list[str]:
    """Return what lies in the stage of a side, half files and all."""
    return sorted(path.name for path in (root / ".towline/stage").glob("*"))


def _is_tidy(root: Path) -> bool:
    return not staged(root)


def conflict_copies(*roots: Path) -> list[Path]:
    return [path for root in roots for path in root.rglob("*conflict*") if path.is_file()]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def memory_peak(pid: int) -> int:
    """Return the most memory a process held so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def _all_processes() -> Iterable[tuple[int, tuple[str, list[bytes]]]]:
    for name in os.listdir("/proc"):
        with suppress(OSError):
            if name.isdigit():
                environ = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
                line = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ")
                yield int(name), (line.decode(errors="replace").strip(), environ)


def _listener(path: Path) -> int | None:
    """Return the process that listens on a unix socket, if one does."""
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(str(path))
        except OSError:
            return None
        raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid: int = struct.unpack("3i", raw)[0]
        return pid
