"""From a destination to a live line: how long a first and a later connect take, and a round trip.

    python -m bench.line [RTT_MS ...]      # 0 is loopback; others need root and Linux

Each machine is a real sshd. Cold: nothing of ours is there. Warm: the agent runs already. Resumed:
from the moment ssh is killed until a message has been there and back. Medians of `ROUNDS`.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio

from lab.wan import wan
from tests.end_to_end.sshd import Machine, machine_in
from tests.line.conftest import echo_bundle
from towline.core.wire.frames import Priority
from towline.line.bootstrap import Bootstrap
from towline.line.bundle import load_bundle
from towline.line.channel import Channel
from towline.line.live import open_line
from towline.line.options import SshOptions
from towline.line.ssh import open_ssh

ROUNDS = 5
TRIPS = 300
BULK = 200  # Messages of a million bytes.


@contextmanager
def machine_at(rtt_ms: float) -> Generator[Machine]:
    with tempfile.TemporaryDirectory(prefix="towline-", ignore_cleanup_errors=True) as directory:
        place = Path(directory) / "machine"
        if rtt_ms:
            with wan(rtt_ms=rtt_ms) as link, machine_in(place, link=link) as machine:
                yield machine
        else:
            with machine_in(place) as machine:
                yield machine


@asynccontextmanager
async def echo_channel(machine: Machine, bootstrap: Bootstrap) -> AsyncGenerator[Channel]:
    ssh = SshOptions(config_file=str(machine.config))
    async with open_line(
        lambda attended: open_ssh(machine.name, ssh, bootstrap, attended=attended),
        software="bench",
    ) as live:
        yield live.open_channel(b"echo", Priority.SYNC)


async def there_and_back(channel: Channel) -> float:
    began = time.perf_counter()
    await channel.send(b"x")
    await channel.receive()
    return time.perf_counter() - began


async def connect(machine: Machine, bootstrap: Bootstrap) -> float:
    began = time.perf_counter()
    async with echo_channel(machine, bootstrap) as channel:
        await there_and_back(channel)
        return time.perf_counter() - began


async def measure(machine: Machine) -> dict[str, float]:
    cold, warm, resumed = [], [], []
    for round_ in range(ROUNDS):
        bootstrap = Bootstrap(echo_bundle(f"\n# Round {round_}\n"), f"project-{round_}")
        cold.append(await connect(machine, bootstrap))
        warm.append(await connect(machine, bootstrap))
    async with echo_channel(machine, bootstrap) as channel:
        trips = sorted([await there_and_back(channel) for _ in range(TRIPS)])
        for _ in range(ROUNDS):
            kill_ssh(machine)
            resumed.append(await there_and_back(channel))
            await anyio.sleep(5.5)  # Steady again: the next reconnect is without delay.
        rate = await bulk_rate(channel)
    return {
        "cold start ms": statistics.median(cold) * 1e3,
        "warm start ms": statistics.median(warm) * 1e3,
        "resumed ms": statistics.median(resumed) * 1e3,
        "round trip ms p50": trips[len(trips) // 2] * 1e3,
        "round trip ms p99": trips[len(trips) * 99 // 100] * 1e3,
        "echo MB/s": rate / 1e6,
        "bare ssh ms": bare_ssh(machine) * 1e3,
    }


async def bulk_rate(channel: Channel) -> float:
    message = os.urandom(1_000_000)
    began = time.perf_counter()

    async def send() -> None:
        for _ in range(BULK):
            await channel.send(message)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        for _ in range(BULK):
            await channel.receive()
    return BULK * len(message) / (time.perf_counter() - began)


def kill_ssh(machine: Machine) -> None:
    found = subprocess.run(["pgrep", "-f", f"^ssh -T.*{machine.config}"], capture_output=True)
    for pid in found.stdout.split():
        os.kill(int(pid), signal.SIGKILL)


def bare_ssh(machine: Machine) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        machine.ssh("true")
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main(rtts_ms: list[float]) -> None:
    print(f"bundle: {len(load_bundle().content):,} bytes")
    for rtt_ms in rtts_ms:
        with machine_at(rtt_ms) as machine:
            figures = anyio.run(measure, machine)
        print(f"rtt {rtt_ms:g} ms: " + ", ".join(f"{k} {v:.2f}" for k, v in figures.items()))


if __name__ == "__main__":
    main([float(word) for word in sys.argv[1:]] or [0])
