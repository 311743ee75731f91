"""The three networks of the lab: apart, but for the relay."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from lab import wan
from lab.three import RELAY, Three, three

pytestmark = pytest.mark.skipif(bool(wan.why_not()), reason=f"lab: {wan.why_not()}")

LISTEN = """\
import socket, sys
listener = socket.create_server((sys.argv[1], 4242))
print("listening", flush=True)
while True:
    listener.accept()[0].sendall(b"here")
"""
CONNECT = """\
import socket, sys
print(socket.create_connection((sys.argv[1], 4242), 5).recv(4).decode())
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Three]:
    with three() as lab:
        yield lab


def connect(where: list[str], address: str) -> str:
    """Return what is heard there, or the error."""
    argv = [*where, "python3", "-c", CONNECT, address]
    done = subprocess.run(argv, capture_output=True, text=True)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1]


@pytest.fixture
def listening(lab: Three, request: pytest.FixtureRequest) -> Iterator[None]:
    where, address = request.param
    argv = [*getattr(lab, where)(), "python3", "-c", LISTEN, address]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        yield
        process.kill()


on = pytest.mark.parametrize
ANYWHERE = "0.0.0.0"  # noqa: S104 - in a network of its own.


@on("listening", [("relay", RELAY)], indirect=True)
@pytest.mark.usefixtures("listening")
def test_both_ends_reach_the_relay_by_one_address_and_by_name(lab: Three) -> None:
    for where in (lab.laptop(), lab.machine()):
        assert connect(where, RELAY) == "here"
        assert connect(where, "relay") == "here"


@on("listening", [("machine", ANYWHERE)], indirect=True)
@pytest.mark.usefixtures("listening")
def test_the_laptop_does_not_reach_the_machine(lab: Three) -> None:
    address = lab.machine_link.far_address
    assert connect(lab.relay(), address) == "here"
    assert "unreachable" in connect(lab.laptop(), address)
    assert "refused" in connect(lab.laptop(), "127.0.0.1"), "its loopback is its own"


def test_all_is_gone_afterwards() -> None:
    with three() as lab:
        argv = lab.laptop(["sleep", "1000"])
        process = subprocess.Popen(argv)
        namespaces = lab.laptop_link.namespace("near"), lab.machine_link.namespace("far")
    assert process.wait() != 0, "it was ended"
    assert not [name for name in namespaces if (wan.NAMESPACES / name).exists()]
