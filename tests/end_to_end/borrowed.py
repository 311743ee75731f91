"""A borrowed machine and a laptop, as journey 2 has them: `towline up` here, `towline link` there.

Both run on this computer, each with a state directory and a HOME of its own. The way in is a
relay of ours that can be told to lead elsewhere, as a tunnel of somebody else's could.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

TOWLINE = (sys.executable, "-P", "-m", "towline")
WAIT_S = 60.0

Done = subprocess.CompletedProcess[str]


def why_not() -> str | None:
    missing = [name for name in ("ssh", "scp", "sftp", "ssh-keygen") if shutil.which(name) is None]
    return f"needs {', '.join(missing)}" if missing else None


class Tunnel:
    """A public port that leads to `target`: what anybody's tunnel does."""

    def __init__(self) -> None:
        self.target = 0
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):  # Closed already.
            self._listener.shutdown(socket.SHUT_RDWR)  # Wakes the thread; closing would not.
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                outside, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._lead, args=(outside,), daemon=True).start()

    def _lead(self, outside: socket.socket) -> None:
        with suppress(OSError), outside, socket.create_connection(self._there) as inside:
            self._open |= {outside, inside}
            back = threading.Thread(target=_carry, args=(inside, outside), daemon=True)
            back.start()
            _carry(outside, inside)
            back.join()
            self._open -= {outside, inside}

    def cut(self) -> int:
        """Cut every connection that is open; return how many. New ones are taken as before."""
        for sock in (cut := list(self._open)):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        return len(cut) // 2

    @property
    def _there(self) -> tuple[str, int]:
        return "127.0.0.1", self.target


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


class Side:
    """One of the two computers: its environment, and `towline` in it.

    `enter` is what a command line begins with that is to run there; nothing where that is here.
    """

    def __init__(self, directory: Path, enter: Sequence[str] = ()) -> None:
        self.enter = tuple(enter)
        self.home = directory / "home"
        self.state = directory / "state/towline"
        for made in (directory, self.home, directory / "state"):
            made.mkdir()
        self.command: tuple[str, ...] = TOWLINE
        self._runtime = Path(tempfile.mkdtemp(prefix="tl"))  # Short enough for a socket's name.
        self.environment = {
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(directory / "state"),
            "XDG_CONFIG_HOME": str(directory / "config"),
            "XDG_RUNTIME_DIR": str(self._runtime),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(sys.path),
        }

    def towline(self, *words: str, check: bool = True, cwd: Path | None = None) -> Done:
        return self.run(*self.command, *words, check=check, cwd=cwd)

    def run(self, *argv: str, check: bool = True, cwd: Path | None = None, given: str = "") -> Done:
        done = subprocess.run(
            [*self.enter, *argv],
            input=given,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
            env=self.environment,
            cwd=cwd or self.home,
        )
        assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def close(self) -> None:
        shutil.rmtree(self._runtime, ignore_errors=True)


class Borrowed(Side):
    """The machine. `up` gives a ticket whose address is the tunnel's."""

    def __init__(self, directory: Path, tunnel: Tunnel) -> None:
        super().__init__(directory)
        self.tunnel = tunnel
        self.place = self.state / "machine"

    def up(self, *words: str, routes: tuple[str, ...] = ("direct",)) -> dict[str, Any]:
        """Run `towline up`; it looks for itself from outside before it says a word."""
        address = f"direct.address=127.0.0.1:{self.tunnel.port}"
        known = json.loads(self.identity.read_text())["port"] if self.identity.exists() else 0
        self.tunnel.target = known or self._choose_port()
        named = [word for route in routes for word in ("--route", route)]
        done = self.towline("up", "--json", *named, "--set", address, *words)
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def ticket(self, *words: str) -> str:
        text: str = self.up("--name", "box", *words)["ticket"]
        return text

    def routes(self) -> dict[str, str]:
        """Return what is open now, as the supervisor says: the address of each."""
        status = json.loads((self.place / "status.json").read_text())
        return {route["route"]: route["address"] for route in status["routes"]}

    @property
    def identity(self) -> Path:
        return self.place / "identity.json"

    def _choose_port(self) -> int:
        """The tunnel must know before `up` chooses; so it chooses what was chosen before."""
        from towline.machine.identity import ensure_identity, keep_port
        from towline.machine.place import ensure_place

        place = ensure_place(self.place)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        keep_port(place, ensure_identity(place), port)
        return port

    def authorized(self) -> str:
        return (self.place / "authorized_keys").read_text()

    def close(self) -> None:
        self.towline("down", check=False)
        end_agents(self.home)
        super().close()


class Laptop(Side):
    def __init__(self, directory: Path, enter: Sequence[str] = ()) -> None:
        super().__init__(directory, enter)
        self.project = self.home / "vision"
        self.project.mkdir()
        (self.project / "train.py").write_text("print('here')\n")

    @property
    def config(self) -> Path:
        return self.home / ".ssh/config"

    def addresses(self, name: str = "box") -> list[str]:
        """Return where this laptop would look for a machine."""
        record = json.loads((self.state / "machines" / name / "record.json").read_text())
        addresses: list[str] = record["addresses"]
        return addresses

    @contextmanager
    def linked(self, destination: str) -> Generator[None]:
        self.towline("link", destination, "--detach", cwd=self.project)
        try:
            yield
        finally:
            self.towline("stop", cwd=self.project)

    def close(self) -> None:
        self.towline("stop", check=False, cwd=self.project)
        super().close()


def end_agents(home: Path) -> None:
    """End what was started on the machine and detached itself, as agents do."""
    from towline.demo.scene import end_agents as end

    end(home)


@contextmanager
def borrowed_in(directory: Path) -> Generator[Borrowed]:
    tunnel = Tunnel()
    machine = Borrowed(directory, tunnel)
    try:
        yield machine
    finally:
        machine.close()
        tunnel.close()
