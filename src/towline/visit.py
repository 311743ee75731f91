"""The laptop's end of tunnels that only their provider's program enters: frp's, zrok's, Colab's.

The program is the person's own, with the account it knows; here it is started for one connection,
and ended with it. What it is told is an address that was checked: never an option, never a command.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from towline.core.address import Visit
from towline.errors import ExitCode, UserError
from towline.race import BANNER, Ends, ProgramEnds, SocketEnds

READY_S = 15.0  # For the program to reach its provider.
LOOK_S = 0.05
END_S = 2.0

# What asks for the token of the frps is the server; it is the person's, and never in a ticket.
FRP_TOKEN = "TOWLINE_FRP_TOKEN"  # noqa: S105 - its name.

FRPC = """\
serverAddr = "{host}"
serverPort = {server_port}
loginFailExit = true
auth.token = "{token}"
log.to = "console"

[[visitors]]
name = "towline-{port}"
type = "stcp"
serverName = "{name}"
secretKey = "{secret}"
bindAddr = "127.0.0.1"
bindPort = {port}
"""


@contextmanager
def visiting(address: Visit) -> Generator[Ends]:
    """Enter a tunnel by the program it needs, for as long as the context lasts.

    Raises `UserError` if the program is missing or does not get there.
    """
    with _ended_by_signals():
        if address.program == "colab":
            ends = ProgramEnds(_colab(address))
            try:
                yield ends
            finally:
                ends.close()
            return
        with _directory() as directory, _running(address, directory) as port:
            yield SocketEnds.to("127.0.0.1", port)


@contextmanager
def _ended_by_signals() -> Generator[None]:
    """ssh ends its ProxyCommand with SIGHUP, and the program must not stay."""
    names = ("SIGHUP", "SIGTERM")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = [(number, signal.signal(number, _leave)) for number in numbers]
    try:
        yield
    finally:
        for number, action in before:
            signal.signal(number, action)


def _leave(number: int, _: object) -> None:
    raise SystemExit(128 + number)


@contextmanager
def _directory() -> Generator[Path]:
    """A private place for what a program reads: a secret of the tunnel stands in it."""
    directory = Path(tempfile.mkdtemp(prefix="towline-visit-"))  # mkdtemp makes it 0700.
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _running(address: Visit, directory: Path) -> Generator[int]:
    """Run the program, and yield the port of loopback at which it lets us in."""
    port = _free_port()
    argv = _frpc(address, port, directory, os.environ) if address.program == "frp" else (
        _zrok2(address, port)
    )  # fmt: skip
    log = directory / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        _wait_banner(process, port, address, log)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _wait_banner(process: subprocess.Popen[bytes], port: int, address: Visit, log: Path) -> None:
    """Both programs listen before they know whether anybody is at the other end."""
    ends_at = time.monotonic() + READY_S
    while process.poll() is None and time.monotonic() < ends_at:
        if _is_answered(port):
            return
        time.sleep(LOOK_S)
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    said = "".join(c if c.isprintable() else " " for c in (lines or ["without a word"])[-1])
    raise UserError(
        f"{address.program} does not lead to the machine: {said[:300]}",
        f"is its account set up on this computer, and the tunnel {address.name} still open?",
        ExitCode.UNAVAILABLE,
    )


def _is_answered(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), READY_S) as connection:
            connection.settimeout(1.0)
            return connection.recv(len(BANNER)) == BANNER
    except OSError:
        return False


# What each is told


def _frpc(
    address: Visit, port: int, directory: Path, environment: Mapping[str, str]
) -> Sequence[str]:
    program = _program("frpc", "frp's own client: install it from its releases")
    token = environment.get(FRP_TOKEN, "")
    if not all(c.isalnum() or c in "-_" for c in token):
        raise UserError(f"{FRP_TOKEN}: letters, digits, - and _ only", "", ExitCode.USAGE)
    file = directory / "frpc.toml"
    file.touch(0o600)
    file.write_text(
        FRPC.format(
            host=address.host,
            server_port=address.port,
            token=token,
            port=port,
            name=address.name,
            secret=address.secret,
        )
    )
    return [program, "-c", str(file)]


def _zrok2(address: Visit, port: int) -> Sequence[str]:
    program = _program("zrok2", "install zrok, and run `zrok2 enable` once")
    return [program, "access", "private", "--headless", "--bind", f"127.0.0.1:{port}", address.name]


def _colab(address: Visit) -> Sequence[str]:
    """Through Google's sshd to ours: its host key is not the one that the ticket pins.

    Whoever could stand in its place would see what ssh has encrypted to the machine, no more.
    """
    program = _program("colab", "Google's own: uv tool install google-colab-cli, and log in")
    ssh = os.environ.get("TOWLINE_SSH") or "ssh"
    bridge = shlex.join([program, "ssh", "--proxy-mode", "-s", address.name]).replace("%", "%%")
    unchecked = ("StrictHostKeyChecking=no", f"UserKnownHostsFile={os.devnull}", "LogLevel=ERROR")
    options = (f"ProxyCommand={bridge}", "BatchMode=yes", "ForwardAgent=no", *unchecked)
    words = [word for option in options for word in ("-o", option)]
    target = f"{address.host or '127.0.0.1'}:{address.port or 22}"
    return [ssh, "-F", "none", "-T", *words, "-W", target, "root@colab-runtime"]


def _program(name: str, how: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise UserError(
            f"this way in needs the program {name} on this computer too", how, ExitCode.UNAVAILABLE
        )
    return os.path.abspath(found)
