"""What a relay costs that leaves the kernel's delay of small packets on (no TCP_NODELAY).

    laptop == WAN link == relay == WAN link == machine with an sshd

The relay is a copier of bytes, as bore and an sshd's forwards are, and nothing else is between; so
what differs between `--delay` and `--no-delay` is that one socket option. `python -m lab.nodelay`
prints how long a large file takes, and how long saves take alone and beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab import wan
from lab.three import RELAY, Three, three
from tests.end_to_end.sshd import SSH_CONFIG, Machine

PORT = 4300
COPY_SIZE = 64 << 10  # Bytes at once, as such programs do.
RATE_MBIT, RTT_MS = 100.0, 100.0
WAIT_S = 120.0
SAVES = 15
PAUSE_S = (0.1, 0.3)
LAUNCH = [sys.executable, "-P", "-m", "towline"]


# The relay, a process of its own


def relay(host: str, port: int, *, nodelay: bool) -> None:
    """Take connections and copy their bytes to and from `host`, for ever."""
    with socket.create_server((RELAY, PORT)) as listener:
        print("listening", flush=True)
        while True:
            near = listener.accept()[0]
            far = socket.create_connection((host, port))
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, nodelay)
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(COPY_SIZE):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # One end is gone: so is the other.
        target.close()


@contextmanager
def relaying(lab: Three, machine: Machine, *, nodelay: bool) -> Generator[None]:
    how = ["--relay", f"{machine.address}:{machine.port}", *(["--no-delay"] if nodelay else [])]
    argv = lab.relay([sys.executable, "-m", "lab.nodelay", *how])
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "listening\n"
            yield
        finally:
            process.kill()


# What goes over it


@contextmanager
def linked(lab: Three, machine: Machine, launch: Sequence[str]) -> Generator[tuple[Path, Path]]:
    """Link an empty project over the relay; yield it, here and there."""
    directory = machine.directory.parent
    near, far, state = (directory / name for name in ("near", "far", "state"))
    near.mkdir()
    (state / "run").mkdir(parents=True, mode=0o700)
    config = SSH_CONFIG.format(address=RELAY, port=PORT, user="root", directory=machine.directory)
    config += f"    ProxyCommand {lab.laptop_link.connect_command(RELAY, PORT)}\n"
    machine.config.write_text(config + "    ProxyUseFdpass yes\n")
    environment = os.environ | {"HOME": str(state), "XDG_RUNTIME_DIR": str(state / "run")}
    argv = [*launch, "link", "--json", "-F", str(machine.config), f"machine:{far}"]
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=near, env=environment
    )
    try:
        _wait_ready(process)
        yield near, far
    finally:
        process.terminate()
        process.wait()


@contextmanager
def stopped(machine: Machine) -> Generator[None]:
    try:
        yield
    finally:
        machine.stop()


def _wait_ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "ready":
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return
    raise RuntimeError("towline link did not get ready")


def measure(near: Path, far: Path, sizes: Sequence[int]) -> dict[str, float]:
    figures: dict[str, float] = {
        "save ms": _p50(_paused_save_ms(near, far, n) for n in range(SAVES))
    }
    for megabytes in sizes:
        figures[f"{megabytes} MB, s"] = round(_bulk_s(near, far, megabytes), 2)
    _put(near, "beside.bin", os.urandom(sizes[-1] << 20))
    time.sleep(1.0)  # Until the bulk is well under way: what is asked is about that time.
    beside: list[float] = []
    while not (far / "beside.bin").exists() and len(beside) < SAVES:
        beside.append(_paused_save_ms(near, far, SAVES + len(beside)))
    if beside:
        figures |= {"save beside bulk ms": _p50(beside), "at most": round(max(beside), 1)}
    return figures


def _p50(values: Iterable[float]) -> float:
    return round(statistics.median(values), 1)


def _paused_save_ms(near: Path, far: Path, number: int) -> float:
    time.sleep(random.uniform(*PAUSE_S))  # noqa: S311 - in step with nothing, as a person's.
    return _save_ms(near, far, number)


def _save_ms(near: Path, far: Path, number: int) -> float:
    content = f"{number} {time.monotonic_ns()}\n".encode()
    began = time.monotonic()
    _put(near, "saved.py", content)
    _wait(lambda: (far / "saved.py").exists() and (far / "saved.py").read_bytes() == content)
    return (time.monotonic() - began) * 1000


def _bulk_s(near: Path, far: Path, megabytes: int) -> float:
    name = f"large{megabytes}.bin"
    began = time.monotonic()
    _put(near, name, os.urandom(megabytes << 20))
    _wait((far / name).exists)
    return time.monotonic() - began


def _put(folder: Path, name: str, content: bytes) -> None:
    staged = folder.parent / "staged"
    staged.write_bytes(content)
    staged.rename(folder / name)


def _wait(is_there: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + WAIT_S
    while not is_there():
        if time.monotonic() > ends_at:
            raise TimeoutError
        time.sleep(0.0005)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--no-delay", action="store_true", help="let the relay set TCP_NODELAY")
    parser.add_argument("--sizes", default="4,16", help="MB, the files sent")
    parser.add_argument("--relay", help=argparse.SUPPRESS)
    parser.add_argument("--launch", default=" ".join(LAUNCH), help="what runs as towline")
    options = parser.parse_args(argv)
    if options.relay:
        host, _, port = options.relay.partition(":")
        relay(host, int(port), nodelay=options.no_delay)
    if reason := wan.why_not():
        print(f"no lab here: {reason}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made, three(RTT_MS) as lab:
        lab.laptop_link.set(rate_mbit=RATE_MBIT)
        machine = Machine(Path(made) / "machine", Path(sys.executable), lab.machine_link)
        machine.start()
        with (
            stopped(machine),
            relaying(lab, machine, nodelay=options.no_delay),
            linked(lab, machine, options.launch.split()) as (near, far),
        ):
            print(json.dumps(measure(near, far, [int(s) for s in options.sizes.split(",")])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
