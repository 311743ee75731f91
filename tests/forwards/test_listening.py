"""What a machine tells of its listeners, and what is made of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from towline.errors import UserError
from towline.forwards.listening import read_listening, with_forwards

EVERYWHERE = "0.0.0.0"  # noqa: S104 - said, not bound.


def told(*listeners: dict[str, Any]) -> bytes:
    return json.dumps({"listeners": listeners}).encode()


def one(address: str, port: object = 6006, program: object = "tb", pid: object = 7) -> Any:
    return {"address": address, "port": port, "program": program, "pid": pid}


@pytest.mark.parametrize(
    ("address", "command"),
    [
        ("127.0.0.1", "towline forward 6006"),
        (EVERYWHERE, "towline forward 6006"),
        ("::", "towline forward 6006"),
        ("::1", "towline forward 6006"),
        ("::ffff:127.0.0.1", "towline forward 6006"),
        ("127.0.0.53", "towline forward 127.0.0.53:6006"),
        ("fd00::1", "towline forward [fd00::1]:6006"),
    ],
)
def test_the_line_that_forwards_it(address: str, command: str) -> None:
    (found,) = read_listening(told(one(address)))
    assert found.command == command


def test_two_addresses_of_one_program_are_one() -> None:
    (found,) = read_listening(told(one(EVERYWHERE), one("::")))
    assert found.addresses == (EVERYWHERE, "::")


def test_what_is_forwarded_says_where() -> None:
    listed = [
        {"direction": "local", "target": "6006", "listen": "127.0.0.1:7000"},
        {"direction": "reverse", "target": "6007", "listen": "127.0.0.1:9"},
    ]
    found = with_forwards(read_listening(told(one("::1"), one("::1", 6007))), listed)
    assert [each.listen for each in found] == ["127.0.0.1:7000", None]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"listeners": 3}',
        told(one("6006")),
        told(one("127.0.0.1", 0)),
        told(one("127.0.0.1", 65536)),
        told(one("127.0.0.1", "80")),
        told(one("127.0.0.1", program=3)),
        told(one("127.0.0.1", pid="$(x)")),
        told({}),
    ],
)
def test_what_is_not_understood_is_refused(answer: bytes) -> None:
    with pytest.raises(UserError):
        read_listening(answer)


def test_nothing_that_a_terminal_obeys_comes_through() -> None:
    (found,) = read_listening(told(one("127.0.0.1", program="\x1b]0;x\x07" + "a" * 1000)))
    assert found.program.isprintable()
    assert len(found.program) == 64
    with pytest.raises(UserError) as refused:
        read_listening(b'{"error": "no \\u001b[2J"}')
    assert refused.value.message.isprintable()
