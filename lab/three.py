"""Three networks, as journey 2 has them: a laptop, a borrowed machine, and a relay between.

    laptop == WAN link == relay == WAN link == machine

Laptop and machine reach the relay by one address and nothing else: they have no default route, the
relay forwards no packets, and each of the three has a loopback of its own. Only networks are apart;
files and users are the host's. What runs on the relay is for others to say (`lab.relay`).
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.wan import Cut, Link, WanError, ip, wan

RELAY = "10.78.0.1"
"""The relay's address: on its loopback, so that it is the same from either side."""

HOSTS = ("relay", "ana-20022.portmap.host")
NAMES = Path("/etc/netns")

LAPTOP_SUBNET, MACHINE_SUBNET = "10.78.1", "10.78.2"
NO_FORWARDING = "echo 0 > /proc/sys/net/ipv4/ip_forward"


@dataclass(frozen=True, slots=True)
class Three:
    """The links that are up; the laptop is the near end of one, the machine the far end of one."""

    laptop_link: Link
    machine_link: Link

    def laptop(self, argv: Sequence[str | Path] = ()) -> list[str]:
        """Return the command line that runs `argv` on the laptop; `relay` and `machine` alike."""
        return _knowing_names(self.laptop_link.namespace("near"), argv)

    def relay(self, argv: Sequence[str | Path] = ()) -> list[str]:
        return self.laptop_link.far(argv)

    def machine(self, argv: Sequence[str | Path] = ()) -> list[str]:
        return _knowing_names(self.machine_link.namespace("far"), argv)

    def cut(self, what: Cut) -> None:
        """Black out the laptop's link, or bring it back."""
        self.laptop_link.set(cut=what)


def _knowing_names(namespace: str, argv: Sequence[str | Path]) -> list[str]:
    """`ip netns exec` puts the namespace's hosts file into place, unlike nsenter."""
    return ["ip", "netns", "exec", namespace, *map(str, argv)]


@contextmanager
def three(rtt_ms: float = 0) -> Generator[Three]:
    """Bring the networks up; `rtt_ms` is laptop to machine and back, half of it to the relay.

    Ends all that still runs in them. Raises `WanError` if this computer cannot have them
    (`lab.wan.why_not`).
    """
    with wan(subnet=LAPTOP_SUBNET, rtt_ms=rtt_ms / 2) as laptop_link:
        relay = laptop_link.namespace("far")
        with wan(near=relay, subnet=MACHINE_SUBNET, rtt_ms=rtt_ms / 2) as machine_link:
            ip("-n", relay, "addr", "add", f"{RELAY}/32", "dev", "lo")
            _lead_to_relay(laptop_link.namespace("near"), laptop_link.device("near"))
            _lead_to_relay(machine_link.namespace("far"), machine_link.device("far"))
            laptop_link.far_address = RELAY
            lab = Three(laptop_link, machine_link)
            subprocess.run(lab.relay(["sh", "-c", NO_FORWARDING]), check=True)
            _check_apart(lab)
            ends = laptop_link.namespace("near"), machine_link.namespace("far")
            with _names_in(*ends):
                yield lab


def _lead_to_relay(namespace: str, device: str) -> None:
    ip("-n", namespace, "route", "add", f"{RELAY}/32", "dev", device)


@contextmanager
def _names_in(*namespaces: str) -> Generator[None]:
    """Let the relay be known by the names that providers give out: there is no DNS here."""
    places = [NAMES / namespace for namespace in namespaces]
    try:
        for place in places:
            place.mkdir(parents=True)
            (place / "hosts").write_text(f"127.0.0.1 localhost\n{RELAY} {' '.join(HOSTS)}\n")
        yield
    finally:
        for place in places:
            shutil.rmtree(place, ignore_errors=True)


def _check_apart(lab: Three) -> None:
    """Raise `WanError` if laptop or machine knew a way to the other: all else would prove less."""
    other = {lab.laptop: lab.machine_link.far_address, lab.machine: lab.laptop_link.near_address}
    for here, address in other.items():
        asked = subprocess.run(here(["ip", "route", "get", address]), capture_output=True)
        if asked.returncode == 0:
            raise WanError(f"the two ends know a way to each other: {asked.stdout.decode()}")
