"""The WAN link of the lab: it delays, loses, cuts and cleans up as it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import wan as lab_wan
from lab.wan import Link, wan

pytestmark = pytest.mark.skipif(bool(lab_wan.why_not()), reason=f"WAN: {lab_wan.why_not()}")

RTT_MS = 80


@pytest.fixture
def link() -> Iterator[Link]:
    with wan(rtt_ms=RTT_MS) as link:
        yield link


def ping(link: Link, *options: str) -> str:
    if not shutil.which("ping"):
        pytest.skip("needs the program ping")
    argv = link.near(["ping", "-n", "-i", "0.05", *options, link.far_address])
    return subprocess.run(argv, capture_output=True, text=True).stdout


def replies(output: str) -> list[float]:
    """The round-trip times, in ms, of the pings that came back."""
    return [float(ms) for ms in re.findall(r"time=([\d.]+) ms", output)]


def test_every_packet_takes_at_least_the_round_trip_time(link: Link) -> None:
    times = replies(ping(link, "-c", "5", "-W", "10"))
    assert len(times) == 5
    assert min(times) >= RTT_MS


def test_a_cut_drops_packets_until_it_is_mended(link: Link) -> None:
    link.set(cut="on")
    assert replies(ping(link, "-c", "3", "-W", "1")) == []
    assert link.status()["up"]["cut_drops"] >= 3
    link.set(cut="off")
    assert len(replies(ping(link, "-c", "3", "-W", "10"))) == 3


def test_a_cut_of_one_direction_lets_the_other_through(link: Link) -> None:
    link.set(cut="down")
    assert replies(ping(link, "-c", "3", "-W", "1")) == []
    status = link.status()
    assert status["up"]["packets"] >= 3
    assert status["down"]["cut_drops"] >= 3


def test_only_what_is_named_changes(link: Link) -> None:
    link.set(loss_percent=(0, 100))
    settings = link.status()["settings"]
    assert settings["loss"] == [0, 100]
    assert settings["rtt"] == [RTT_MS, RTT_MS]
    with pytest.raises(TypeError, match="rtt_s"):
        link.set(rtt_s=1)


def test_a_socket_connected_at_the_near_end_is_handed_to_whoever_asked(link: Link) -> None:
    """What ssh does with ProxyUseFdpass: it keeps the socket, the command is gone."""
    listening = "import socket; s = socket.create_server(('', 4000)); print(flush=True); s.accept()"
    with subprocess.Popen(
        link.far([sys.executable, "-I", "-S", "-W", "ignore", "-c", listening]),
        stdout=subprocess.PIPE,
    ) as far:
        assert far.stdout is not None
        far.stdout.readline()
        with link.connect(link.far_address, 4000) as connection:
            assert connection.getpeername() == (link.far_address, 4000)


def test_a_connection_that_is_refused_says_so(link: Link) -> None:
    with pytest.raises(ConnectionError, match="refused"):
        link.connect(link.far_address, 4001)


def test_taking_it_down_leaves_nothing_behind() -> None:
    with wan() as link:
        sleeper = subprocess.Popen(link.far(["sleep", "60"]))
        daemon = link.status()["pid"]
    assert sleeper.wait() != 0
    assert not any(name.startswith(link.name) for name in os.listdir(lab_wan.NAMESPACES))
    assert not list(lab_wan.RUN.glob(f"{link.name}*"))
    assert not Path(f"/proc/{daemon}/fd/0").exists()


def test_a_link_that_is_not_there_is_named() -> None:
    done = subprocess.run(
        [sys.executable, lab_wan.__file__, "exec", "--name", "nowhere", "near", "--", "true"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "no link 'nowhere' is up" in done.stderr
