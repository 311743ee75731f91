"""Forwards beside `ssh -L`: how much they carry, what they add, and a key press while a file syncs.

    python -m bench.forwards [--json FILE] [--write] [PART ...]    # rate trip key page; all if none

Both lead to the same programs on the same real sshd, in turns, in one run; the link to it is
`towline link`. `key` is a shell with a terminal, entered by ssh through the forward, while a
gigabyte is on its way; beside it the same shell with nothing on its way. `page` is `towline
jupyter` from the command to a kernel that has run a cell; it needs JupyterLab, which it starts by
hand as well. `--write` puts the tables into docs/performance.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import pty
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.wan import wan
from tests.end_to_end.laptop import Laptop, laptop_in, wait_until
from tests.end_to_end.sshd import Machine, machine_in

ROUNDS = 3
SIZE = 256 << 20
TRIPS = 400
KEYS = 100
KEY_INTERVAL_S = 0.05  # A fast typist's.
FAR_RTT_MS = 50
FAR_RATE_MBIT = 100
BIG = 1 << 30
PAGE = Path(__file__).parents[1] / "docs/performance.md"
MARKS = ("<!-- bench:forwards begin -->", "<!-- bench:forwards end -->")

# In C speed as far as Python goes: the programs must not be what is measured.
PROGRAM = """\
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0), backlog=64)
print(listener.getsockname()[1], flush=True)
part = bytes(1 << 18)
def serve(peer):
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    what, size = peer.recv(1), int.from_bytes(peer.recv(8), "big")
    if what == b"d":
        for _ in range(size // len(part)): peer.sendall(part)
    elif what == b"u":
        buffer, left = memoryview(bytearray(1 << 18)), size
        while left and (count := peer.recv_into(buffer)): left -= count
        peer.sendall(b"whole")
    else:
        while data := peer.recv(4096): peer.sendall(data)
    peer.close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""

Result = dict[str, Any]


def connect(port: int, what: bytes, size: int = 0) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(what + size.to_bytes(8, "big"))
    return connection


def download(port: int) -> float:
    """Return megabytes a second."""
    began, left = time.perf_counter(), SIZE
    with connect(port, b"d", SIZE) as connection:
        buffer = memoryview(bytearray(1 << 18))
        while left and (count := connection.recv_into(buffer)):
            left -= count
    assert left == 0
    return SIZE / (time.perf_counter() - began) / 1e6


def upload(port: int) -> float:
    began, part = time.perf_counter(), bytes(1 << 18)
    with connect(port, b"u", SIZE) as connection:
        for _ in range(SIZE // len(part)):
            connection.sendall(part)
        assert connection.recv(5) == b"whole"
    return SIZE / (time.perf_counter() - began) / 1e6


def pipe_down(machine: Machine) -> float:
    """Return what `ssh HOST cat` carries: the Line goes through such pipes."""
    began, command = time.perf_counter(), f"head -c {SIZE} /dev/zero"
    with subprocess.Popen(bare_ssh(machine, command), stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout
        buffer = memoryview(bytearray(1 << 18))
        while process.stdout.readinto(buffer):
            pass
    return SIZE / (time.perf_counter() - began) / 1e6


def pipe_up(machine: Machine) -> float:
    began, part = time.perf_counter(), bytes(1 << 18)
    argv = bare_ssh(machine, "cat >/dev/null")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin
        for _ in range(SIZE // len(part)):
            process.stdin.write(part)
    return SIZE / (time.perf_counter() - began) / 1e6


def bare_ssh(machine: Machine, command: str) -> list[str]:
    return ["ssh", "-T", "-F", str(machine.config), machine.name, command]


def trips(port: int) -> list[float]:
    """Return the milliseconds of round trips of one byte."""
    taken: list[float] = []
    with connect(port, b"e") as connection:
        for _ in range(TRIPS):
            began = time.perf_counter()
            connection.sendall(b"x")
            connection.recv(1)
            taken.append((time.perf_counter() - began) * 1000)
    return taken


# The two ways


@contextmanager
def program_there() -> Generator[int]:
    """The program behind the forwards; yield its port."""
    argv = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


@contextmanager
def ssh_forward(machine: Machine, port: int) -> Generator[int]:
    """`ssh -N -L`; yield its port here."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        here = int(free.getsockname()[1])
    argv = ["ssh", "-F", str(machine.config), "-N", "-L", f"127.0.0.1:{here}:127.0.0.1:{port}"]
    process = subprocess.Popen([*argv, machine.name])
    try:
        wait_until(lambda: answers(here), "ssh -L listens")
        yield here
    finally:
        process.terminate()
        process.wait()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def forward(laptop: Laptop, port: int | str) -> int:
    (opened,) = laptop.tell("forward", f"0:{port}")
    return int(opened["listen"].rpartition(":")[2])


@contextmanager
def ground(rtt_ms: float = 0) -> Generator[Laptop]:
    with tempfile.TemporaryDirectory(prefix="tl-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        with (
            machine_at(directory / "m", rtt_ms) as machine,
            laptop_in(directory / "l", machine) as laptop,
        ):
            yield laptop


@contextmanager
def machine_at(directory: Path, rtt_ms: float) -> Generator[Machine]:
    if not rtt_ms:
        with machine_in(directory) as machine:
            yield machine
        return
    with (
        wan(rtt_ms=rtt_ms, rate_mbit=FAR_RATE_MBIT) as link,
        machine_in(directory, link=link) as machine,
    ):
        yield machine


# What is measured


def measure_rate() -> Iterator[Result]:
    with ground() as laptop, program_there() as port, laptop.linked():
        ours = forward(laptop, port)
        with ssh_forward(laptop.machine, port) as theirs:
            for name, rate, bare in (("down", download, pipe_down), ("up", upload, pipe_up)):
                rates = [(rate(ours), rate(theirs), bare(laptop.machine)) for _ in range(ROUNDS)]
                towline, ssh, pipe = (statistics.median(each) for each in zip(*rates, strict=True))
                measured = {"towline": towline, "ssh -L": ssh, "ssh cat": pipe, "unit": "MB/s"}
                yield {"what": f"rate {name}", **measured}


def measure_trip() -> Iterator[Result]:
    with ground() as laptop, program_there() as port, laptop.linked():
        ours = forward(laptop, port)
        with ssh_forward(laptop.machine, port) as theirs:
            taken: dict[str, list[float]] = {"towline": [], "ssh -L": [], "direct": []}
            for _ in range(ROUNDS):
                for name, way in (("towline", ours), ("ssh -L", theirs), ("direct", port)):
                    taken[name] += trips(way)
        for share, at in (("p50", 50), ("p95", 95)):
            cut = {name: statistics.quantiles(each, n=100)[at - 1] for name, each in taken.items()}
            yield {"what": f"trip {share}", **cut, "unit": "ms"}


def measure_key() -> Iterator[Result]:
    for rtt_ms in (0, FAR_RTT_MS):
        with ground(rtt_ms) as laptop:
            laptop.configure('size_max = ""\n')
            with laptop.linked():
                port = forward(laptop, f"{laptop.machine.address}:{laptop.machine.port}")
                quiet = keys(laptop, port)
                with (laptop.project / "big.bin").open("wb") as file:
                    for _ in range(BIG >> 20):
                        file.write(os.urandom(1 << 20))
                wait_until(lambda: laptop.status()["behind_size"] > 0, "the file is on its way", 60)
                busy = keys(laptop, port)
                left = laptop.status()["behind_size"]
                yield {
                    "what": f"key, {rtt_ms} ms away",
                    "quiet": statistics.median(quiet),
                    "quiet p95": statistics.quantiles(quiet, n=20)[-1],
                    "while 1 GB syncs": statistics.median(busy),
                    "p95": statistics.quantiles(busy, n=20)[-1],
                    "still to go": f"{left / 1e6:.0f} MB",
                    "unit": "ms",
                }


def keys(laptop: Laptop, port: int) -> list[float]:
    """Return the milliseconds from keys to their echo, in a shell through the forward."""
    options = ["-o", "HostName=127.0.0.1", "-o", f"Port={port}", "-o", "ProxyCommand=none"]
    options += ["-o", "ControlPath=none", "-o", "ControlMaster=no", "-o", "CheckHostIP=no"]
    argv = ["ssh", "-F", str(laptop.machine.config), *options, "-tt", laptop.machine.name]
    process, terminal = pty.fork()
    if process == 0:
        os.execvp(argv[0], [*argv, "stty echo; echo READY; exec cat >/dev/null"])  # noqa: S606
    try:
        seen = b""
        while b"READY" not in seen:
            seen += os.read(terminal, 4096)
        time.sleep(0.3)  # Until what comes with a login has come.
        return [key(terminal) for _ in range(KEYS)]
    finally:
        os.close(terminal)
        os.waitpid(process, 0)


def key(terminal: int) -> float:
    while select.select([terminal], [], [], KEY_INTERVAL_S)[0]:
        os.read(terminal, 4096)
    began = time.perf_counter()
    os.write(terminal, b"k")
    while b"k" not in os.read(terminal, 4096):
        pass
    return (time.perf_counter() - began) * 1000


def measure_page() -> Iterator[Result]:
    if importlib.util.find_spec("jupyterlab") is None:
        return
    from tests.end_to_end.test_jupyter import post, run_in_kernel, taken_apart

    with ground() as laptop:
        path = f'PATH="{Path(sys.executable).parent}:$PATH"\n'
        (laptop.machine.home / ".profile").write_text(path)
        with laptop.linked():
            for what in ("first start", "second start", "it runs already"):
                began = time.perf_counter()
                done = laptop.run("jupyter", "--json", timeout_s=60)
                base, token = taken_apart(json.loads(done.stdout)["url"])
                address = time.perf_counter() - began
                kernel = post(f"{base}/api/kernels", token, {"name": "python3"})["id"]
                assert run_in_kernel(base, token, kernel, "print(6 * 7)") == "42\n"
                ready = time.perf_counter() - began
                yield {"what": f"page, {what}", "answers": address, "cell": ready, "unit": "s"}
                if what != "second start":
                    laptop.run("jupyter", "stop", timeout_s=60)
            alone = statistics.median(start_alone(laptop.project) for _ in range(ROUNDS))
            yield {"what": "page, `jupyter-lab` alone", "answers": alone, "unit": "s"}


def start_alone(folder: Path) -> float:
    """Return the seconds until a `jupyter-lab` answers that nobody but us started."""
    path = folder.parent / "alone"
    path.unlink(missing_ok=True)
    program = Path(sys.executable).with_name("jupyter-lab")
    argv = [program, "--no-browser", "--allow-root", f"--ServerApp.sock={path}"]
    began = time.perf_counter()
    quiet = subprocess.DEVNULL
    with subprocess.Popen(argv, cwd=folder, stdout=quiet, stderr=quiet) as process:
        wait_until(lambda: is_answered(path), "jupyter-lab answers", 60)
        took = time.perf_counter() - began
        process.terminate()
    return took


def is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
            connection.sendall(b"GET /api HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return connection.recv(8).startswith(b"HTTP/1.")
        except OSError:
            return False


PARTS = {"rate": measure_rate, "trip": measure_trip, "key": measure_key, "page": measure_page}


# Telling


def as_row(result: Result) -> str:
    numbers = {key: value for key, value in result.items() if key not in ("what", "unit")}
    cells = [
        f"{key} {value:,.3g} {result['unit']}" if isinstance(value, float) else f"{key} {value}"
        for key, value in numbers.items()
    ]
    if "ssh -L" in numbers and result["unit"] == "MB/s":
        cells.append(f"ratio {numbers['towline'] / numbers['ssh -L']:.0%}")
    return f"| {result['what']} | {' · '.join(cells)} |"


def write(rows: list[str]) -> None:
    """Put the rows between the marks: those of the same names are replaced, others stay."""
    page = PAGE.read_text("utf-8")
    before, rest = page.split(MARKS[0])
    table, after = rest.split(MARKS[1])
    known = {row.split("|")[1].strip(): row for row in table.strip().splitlines()[2:]}
    known |= {row.split("|")[1].strip(): row for row in rows}
    text = "\n".join(["| what | measured |", "| --- | --- |", *known.values()])
    PAGE.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    results: list[Result] = []
    for part in given.parts or PARTS:
        for result in PARTS[part]():
            results.append(result)
            print(as_row(result), flush=True)
    if given.json:
        given.json.write_text(json.dumps(results, indent=1) + "\n")
    if given.write:
        write([as_row(result) for result in results])


if __name__ == "__main__":
    main()
