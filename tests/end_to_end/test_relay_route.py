"""Journey 2 over a server of one's own: the machine leads a port there, the laptop hops through it.

The relay is a real sshd, and both sides use it with the real ssh; nothing is opened to anybody.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end import sshd
from tests.end_to_end.borrowed import Borrowed, Laptop, borrowed_in
from towline.core.ticket import decode

pytestmark = pytest.mark.skipif(sshd.why_not() is not None, reason=sshd.why_not() or "")

WRAPPER = '#!/bin/sh\nexec ssh -F "{config}" "$@"\n'
"""OpenSSH reads the configuration of the account's home, whatever HOME says."""

RELAY = """\
Host {address}
    HostKeyAlias machine
    IdentityFile {relay}/user_key
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {relay}/known_hosts
    StrictHostKeyChecking yes
"""


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[sshd.Machine]:
    directory = tmp_path / "relay"
    directory.mkdir(mode=0o700)
    relay = sshd.Machine(directory, Path(sys.executable), None)
    relay.start()
    yield relay
    relay.stop()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Borrowed]:
    with borrowed_in(tmp_path / "machine") as machine:
        yield machine


@pytest.fixture
def laptop(tmp_path: Path, relay: sshd.Machine) -> Iterator[Laptop]:
    laptop = Laptop(tmp_path / "laptop")
    laptop.config.parent.mkdir(mode=0o700)
    laptop.config.write_text(RELAY.format(address=relay.address, relay=relay.directory))
    wrapper = laptop.home / "ssh"
    wrapper.write_text(WRAPPER.format(config=laptop.config))
    wrapper.chmod(0o755)
    laptop.environment["TOWLINE_SSH"] = str(wrapper)
    yield laptop
    laptop.close()


def test_the_machine_is_reached_through_the_relay(
    relay: sshd.Machine, machine: Borrowed, laptop: Laptop
) -> None:
    settings = {
        "ssh.server": f"{_user(relay)}@{relay.address}:{relay.port}",
        "ssh.key": str(relay.directory / "user_key"),
    }
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    done = machine.towline("up", "--json", "--route", "ssh", "--name", "box", *words)
    ticket = json.loads(done.stdout)["ticket"]
    assert str(decode(ticket).addresses[0]).startswith("jump://")
    with laptop.linked(ticket):
        assert (machine.home / "vision/train.py").read_text() == "print('here')\n"
        assert laptop.towline("ssh", "box", "--", "echo over the line").returncode == 0
    said = laptop.towline("ssh", "box", "--", "echo by itself").stdout
    assert said == "by itself\n"


def _user(relay: sshd.Machine) -> str:
    config = (relay.directory / "ssh_config").read_text()
    return next(line.split()[1] for line in config.splitlines() if line.split()[:1] == ["User"])
