"""What a machine says of its ways in: what is believed, and what only a ticket may say."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from towline.core.address import parse_address
from towline.core.ticket import Ticket
from towline.following import learn, put_last
from towline.machines import Machine, from_ticket, keep, machine_named

ID = "00" * 8
TCP, OTHER = "tcp://a.example:1", "tcp://b.example:2"
WEB = "wss://c.example/#token"


def known(*addresses: str) -> Machine:
    ticket = Ticket("box", ID, bytes(32), tuple(map(parse_address, addresses)), "root")
    return keep(dataclasses.replace(from_ticket(ticket), is_enrolled=True))


def news(*addresses: str, machine: str = ID, port: object = 42022) -> bytes:
    return json.dumps({"machine": machine, "port": port, "addresses": addresses}).encode()


def recorded() -> tuple[str, ...]:
    machine = machine_named("box")
    assert machine is not None
    return machine.addresses


@pytest.fixture(autouse=True)
def state(homes: Path) -> Path:
    return homes


def test_a_new_address_is_recorded_and_told_without_its_token() -> None:
    before = known(TCP)
    assert learn("box", news(WEB, OTHER)) == [
        "box is reached by wss://c.example/, tcp://b.example:2 from now on"
    ]
    after = machine_named("box")
    assert after == dataclasses.replace(before, addresses=(WEB, OTHER), port=42022)
    assert learn("box", news(WEB, OTHER)) == [], "once"


def test_what_concerns_another_machine_or_none_is_left() -> None:
    known(TCP)
    assert learn("box", news(OTHER, machine="11" * 8)) == []
    assert learn("nobody", news(OTHER)) == []
    assert recorded() == (TCP,)


@pytest.mark.parametrize(
    "told",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b'{"machine": "' + ID.encode() + b'"}',
        news(),
        news(*[TCP] * 17),
        news("tcp://-oProxyCommand=id:22"),
        news("tcp://a.example:1\nHost *"),
        news("exec://id"),
        news(TCP, port=-1),
        news(TCP, port=70000),
        news(TCP, port="x"),
        json.dumps({"machine": ID, "port": 1, "addresses": [1]}).encode(),
        json.dumps({"machine": ID, "port": 1, "addresses": TCP}).encode(),
        json.dumps({"machine": ID, "port": 1, "addresses": [[]]}).encode(),
        json.dumps({"machine": ID, "port": 1, "addresses": [{}]}).encode(),
        news(TCP, port=float("inf")),
        b"[" * 100_000,
    ],
)
def test_what_cannot_be_is_not_recorded_and_ends_nothing(told: bytes) -> None:
    known(TCP)
    assert learn("box", told) == ["box told of ways in that cannot be"]
    assert recorded() == (TCP,)


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("jump://me@bastion.example:22/127.0.0.1:42022", "me@bastion.example:22"),
        ("frp://nb/frps.example:7000#secret", "frp at frps.example:7000"),
        ("zrok://abc", "zrok"),
        ("ws://192.0.2.1:8080/", "192.0.2.1:8080 without encryption"),
    ],
)
def test_the_persons_keys_and_programs_are_led_only_where_a_ticket_has_led_them(
    address: str, server: str
) -> None:
    known(TCP)
    told = learn("box", news(address, OTHER))
    assert told[0] == f"box is reached by {OTHER} from now on"
    assert f"names a way in through {server}, which no ticket has named" in told[1]
    assert recorded() == (OTHER,)
    assert len(learn("box", news(address))) == 1
    assert recorded() == (OTHER,), "rather the old ones than none"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("jump://me@bastion.example:22/127.0.0.1:1", "jump://me@bastion.example:22/127.0.0.1:2"),
        ("frp://nb/frps.example:7000#one", "frp://nb/frps.example:7000#two"),
    ],
)
def test_the_same_server_may_have_another_port_or_secret(before: str, after: str) -> None:
    known(before, TCP)
    learn("box", news(after, TCP))
    assert recorded() == (after, TCP)


@pytest.mark.parametrize(
    "address", ["jump://me@bastion.example:22/127.0.0.1:1", "frp://nb/frps.example:7000#one"]
)
def test_a_server_that_was_away_for_a_while_is_known_when_it_is_back(address: str) -> None:
    known(address, TCP)
    learn("box", news(TCP))
    assert recorded() == (TCP,)
    assert learn("box", news(address, TCP)) != []
    assert recorded() == (address, TCP)


def test_a_later_ticket_without_it_does_not_make_a_server_a_strange_one() -> None:
    relay = "jump://me@bastion.example:22/127.0.0.1:1"
    known(relay, TCP)
    known(TCP)
    learn("box", news(relay))
    assert recorded() == (relay,)


def test_an_address_where_somebody_else_answered_goes_to_the_end() -> None:
    known(TCP, OTHER, WEB)
    assert put_last("box")
    assert recorded() == (OTHER, WEB, TCP)
    assert not put_last("nobody")
    assert learn("box", news(TCP, OTHER, WEB, port=0)) == [], (
        "it stays there while the ways are the same"
    )
    assert recorded() == (OTHER, WEB, TCP)
    learn("box", news(TCP, OTHER))
    assert recorded() == (TCP, OTHER)
    known(TCP)
    assert not put_last("box")
