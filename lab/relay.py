"""What stands on the relay: real servers that can be ended and come back at the same place.

The relay's sshd is the one of the end-to-end tests; bore and frps are other people's programs,
built by `requirements/relays.sh`. None of them knows of the lab or of towline.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from lab.three import RELAY, Three
from tests.end_to_end import sshd

BUILT = Path(__file__).parent.parent / ".lab/bin"
TOKEN = "lab-token"  # noqa: S105 - of a server that is gone in a minute.
BORE_PORT, FRPS_PORT, GATEWAY_PORT = 7835, 7000, 2200

FRPS = """\
bindAddr = "{address}"
bindPort = {port}
proxyBindAddr = "{address}"
auth.token = "{token}"
log.to = "console"
log.disablePrintColor = true
sshTunnelGateway.bindPort = {gateway}
sshTunnelGateway.privateKeyFile = "{directory}/gateway_key"
sshTunnelGateway.authorizedKeysFile = "{directory}/authorized_keys"
"""


class Server(Protocol):
    """What can die, and come back."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


def find(program: str) -> str | None:
    """Return the path of a program: as built for the lab, else from PATH or from cargo."""
    places = (str(BUILT), os.environ.get("PATH", ""), str(Path.home() / ".cargo/bin"))
    return shutil.which(program, path=os.pathsep.join(places))


def why_no(*programs: str) -> str:
    """Return which of these programs are missing and how to get them, or nothing."""
    missing = [program for program in programs if not find(program)]
    return f"needs {', '.join(missing)}: sh requirements/relays.sh" if missing else ""


class Program:
    """A server that is a program: it is there once it has said `ready`."""

    def __init__(self, argv: Sequence[str], ready: str) -> None:
        self._argv = argv
        self._ready = ready
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        said: list[str] = []
        for line in self._process.stdout:
            said.append(line)
            if self._ready in line:
                # Somebody must go on reading, or it would stop at a full pipe.
                self._reader = threading.Thread(target=deque, args=(self._process.stdout, 0))
                self._reader.start()
                return
        self.stop()
        raise RuntimeError(f"{self._argv[0]} did not start:\n{''.join(said)}")

    def stop(self) -> None:
        """Kill it, unannounced."""
        if self._process:
            self._process.kill()
            self._process.wait()
            if self._reader:
                self._reader.join()
            if self._process.stdout:
                self._process.stdout.close()
            self._process = self._reader = None


@contextmanager
def running(server: Server) -> Generator[None]:
    server.start()
    try:
        yield
    finally:
        server.stop()


def sshd_on(lab: Three, directory: Path, more: str = "") -> sshd.Machine:
    """Return an sshd of the relay, at its address; not started yet."""
    directory.mkdir(mode=0o700)
    return sshd.Machine(directory, Path(sys.executable), lab.laptop_link, more)


def bore_on(lab: Three) -> Program:
    argv = [find("bore") or "bore", "server", "--bind-addr", RELAY]
    return Program(lab.relay(argv), "server listening")


def frps_in(directory: Path, address: str, port: int, gateway: int, at: Sequence[str]) -> Program:
    """Return an frps with an SSH gateway, which knows the key `key` in the directory.

    `at` is what its command line begins with.
    """
    directory.mkdir(mode=0o700)
    for key in ("gateway_key", "key"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / key)]
        subprocess.run(keygen, check=True)
    shutil.copy(directory / "key.pub", directory / "authorized_keys")
    config = directory / "frps.toml"
    config.write_text(
        FRPS.format(address=address, port=port, token=TOKEN, gateway=gateway, directory=directory)
    )
    return Program([*at, find("frps") or "frps", "-c", str(config)], "frps started successfully")


def frps_on(lab: Three, directory: Path) -> Program:
    return frps_in(directory, RELAY, FRPS_PORT, GATEWAY_PORT, lab.relay())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port
