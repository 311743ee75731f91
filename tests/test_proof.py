"""The laptop's own key, tried once a ticket has let it in. The real ssh is in tests/end_to_end."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import anyio
import pytest

from towline.core.address import parse_address
from towline.core.ticket import Ticket
from towline.enrolment import ensure_laptop_key
from towline.machines import Machine, from_ticket, keep, key_path, machine_named
from towline.proof import prove_key

DENIED = "echo 'root@box: Permission denied (publickey).' >&2; exit 255"
CUT = "echo 'Connection closed by UNKNOWN port 65535' >&2; exit 255"


@pytest.fixture
def machine(homes: Path) -> Machine:
    address = parse_address("tcp://a.example:1")
    ticket = Ticket("box", "00" * 8, bytes(32), (address,), "root", "", 42022)
    return keep(dataclasses.replace(from_ticket(ticket), is_enrolled=True))


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for ssh; each test writes what it does."""
    program = tmp_path / "ssh"
    program.touch(0o755)
    monkeypatch.setenv("TOWLINE_SSH", str(program))
    return program


def told_of(machine: Machine, ssh: Path, does: str) -> list[str]:
    ssh.write_text(f'#!/bin/sh\necho "$@" >{ssh}.asked\n{does}\n')
    told: list[str] = []
    anyio.run(prove_key, machine.name, told.append)
    return told


def is_enrolled() -> bool:
    machine = machine_named("box")
    return machine is not None and machine.is_enrolled


def test_a_key_that_opens_is_no_news(machine: Machine, ssh: Path) -> None:
    assert told_of(machine, ssh, "exit 0") == []
    asked = Path(f"{ssh}.asked").read_text()
    assert f"-F {machine.host_config}" in asked, "over the line"
    assert is_enrolled()


def test_one_that_does_not_is_told_and_the_next_ticket_lets_in_again(
    machine: Machine, ssh: Path
) -> None:
    [sentence] = told_of(machine, ssh, DENIED)
    assert "box does not take this laptop's own key" in sentence
    assert "`towline up --invite`" in sentence
    assert not is_enrolled()


@pytest.mark.parametrize("does", [CUT, "exit 1"])
def test_what_else_fails_says_nothing_about_the_key(machine: Machine, ssh: Path, does: str) -> None:
    assert told_of(machine, ssh, does) == []
    assert is_enrolled()


def test_without_a_way_over_the_line_nothing_is_tried(machine: Machine, ssh: Path) -> None:
    keep(dataclasses.replace(machine, port=0))
    assert told_of(machine, ssh, DENIED) == []
    assert not Path(f"{ssh}.asked").exists()


def test_a_new_key_is_known_to_no_machine(machine: Machine) -> None:
    ensure_laptop_key()
    keep(machine)
    ensure_laptop_key()
    assert is_enrolled(), "the same key as before"
    key_path().unlink()
    ensure_laptop_key()
    assert not is_enrolled()
