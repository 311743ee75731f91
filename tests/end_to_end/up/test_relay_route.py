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
from tests.end_to_end.borrowed import WAIT_S, Borrowed, Laptop, borrowed_in
from tests.end_to_end.laptop import save, wait_content, wait_until
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
def laptop(laptop: Laptop, relay: sshd.Machine) -> Laptop:
    laptop.config.parent.mkdir(mode=0o700)
    laptop.config.write_text(RELAY.format(address=relay.address, relay=relay.directory))
    wrapper = laptop.home / "ssh"
    wrapper.write_text(WRAPPER.format(config=laptop.config))
    wrapper.chmod(0o755)
    laptop.environment["TOWLINE_SSH"] = str(wrapper)
    return laptop


def test_the_machine_is_reached_through_the_relay(
    relay: sshd.Machine, machine: Borrowed, laptop: Laptop
) -> None:
    done = machine.towline("up", "--json", "--route", "ssh", "--name", "box", *_words(relay))
    ticket = json.loads(done.stdout)["ticket"]
    assert str(decode(ticket).addresses[0]).startswith("jump://")
    with laptop.linked(ticket):
        assert (machine.home / "vision/train.py").read_text() == "print('here')\n"
        assert laptop.towline("ssh", "box", "--", "echo over the line").returncode == 0
    said = laptop.towline("ssh", "box", "--", "echo by itself").stdout
    assert said == "by itself\n"


def test_what_dies_is_opened_again_where_it_was_and_meanwhile_the_other_way_serves(
    relay: sshd.Machine, machine: Borrowed, laptop: Laptop
) -> None:
    words = _words(relay)
    told = machine.up("--name", "box", *words, routes=("ssh", "direct"))
    ways = machine.routes()
    there = machine.home / "vision/train.py"

    def follows(text: str) -> None:
        save(laptop.project / "train.py", text)
        wait_content(there, text, timeout_s=WAIT_S)

    with laptop.linked(told["ticket"]):
        assert machine.tunnel.connections == 1, "the first way carries; one look came by ours"
        relay.stop()
        follows("print('by the other')\n")
        left = [ways["direct"]]
        wait_until(lambda: laptop.addresses() == left, "the laptop knows that it is gone", WAIT_S)
        relay.start()
        wait_until(lambda: machine.routes() == ways, "it is as it was", WAIT_S)
        known = set(ways.values())
        wait_until(lambda: set(laptop.addresses()) == known, "the laptop knows it", WAIT_S)
        machine.tunnel.close()
        machine.tunnel.cut()
        follows("print('through the relay again')\n")
        said = laptop.towline("log", cwd=laptop.project).stdout
        assert "a new life" not in said, "the line resumed each time"


def test_where_somebody_else_answers_at_one_address_the_other_is_taken(
    relay: sshd.Machine, machine: Borrowed, laptop: Laptop, tmp_path: Path
) -> None:
    """As when a tunnel's address was given to another: its key is refused, and the link goes on."""
    told = machine.up("--name", "box", *_words(relay), routes=("direct", "ssh"))
    direct, jump = machine.routes().values()
    with borrowed_in(tmp_path / "impostor") as impostor, laptop.linked(told["ticket"]):
        impostor.ticket()
        machine.tunnel.target = impostor.tunnel.target
        machine.tunnel.cut()
        save(laptop.project / "train.py", "print('by the relay')\n")
        wait_content(machine.home / "vision/train.py", "print('by the relay')\n", timeout_s=WAIT_S)
        assert laptop.addresses() == [jump, direct]
        assert not (impostor.home / "vision").exists()


def _words(relay: sshd.Machine) -> list[str]:
    settings = {
        "ssh.server": f"{_user(relay)}@{relay.address}:{relay.port}",
        "ssh.key": str(relay.directory / "user_key"),
    }
    return [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]


def _user(relay: sshd.Machine) -> str:
    config = (relay.directory / "ssh_config").read_text()
    return next(line.split()[1] for line in config.splitlines() if line.split()[:1] == ["User"])
