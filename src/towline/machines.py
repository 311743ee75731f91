"""The machines that this laptop reaches by a ticket: what is known of each, and files for ssh.

Each has a directory below the state directory, named as the machine is: its record, its pinned
host key, and a configuration for `ssh -F`. ~/.ssh is neither read nor written for them. A name
outlives machines: where a new one comes under the old name, its ticket takes the place.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

from towline.core.address import Address, parse_address, server_of
from towline.core.ticket import Ticket
from towline.errors import ExitCode, UserError
from towline.line.options import SshOptions
from towline.machine.public_key import public_line
from towline.places import RECORD_MAX, ensure_private, state_dir, write_private

KEY_NAME = "laptop_key"
INCLUDES_MAX = 16  # Levels, as in OpenSSH.
INCLUDED_MAX = 1000  # Files by one word; a person has some ten.
SERVERS_MAX = 64  # Of a machine; the oldest is forgotten.
LISTS = ("addresses", "servers")  # Of a record.

# What both ways of using a machine have in common: by the engine's own ssh, and by a person's.
HOST = """\
Host {name}
    HostName {name}
    HostKeyAlias {host_alias}
    User {user}
    IdentityFile "{key}"
{identities}\
    UserKnownHostsFile "{known_hosts}"
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    UpdateHostKeys no
    VerifyHostKeyDNS no
    CheckHostIP no
    HostKeyAlgorithms ssh-ed25519
    PreferredAuthentications publickey
    ProxyCommand {proxy}
"""
ONLY_OURS = "    IdentitiesOnly yes\n    IdentityAgent none\n"
# The person gave the machine a key of their own: which of them, ssh finds out.
THEIRS_TOO = """\
    IdentityFile ~/.ssh/id_ed25519
    IdentityFile ~/.ssh/id_ecdsa
    IdentityFile ~/.ssh/id_rsa
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a ticket said, without its secret, and whether this laptop's key is known there."""

    name: str
    machine: str
    host_key: str  # Hexadecimal.
    addresses: tuple[str, ...]
    user: str
    folder: str = ""
    port: int = 0
    is_enrolled: bool = False
    seen: float = 0.0  # Unix time of its last ticket.
    servers: tuple[str, ...] = ()  # That its tickets have named, be they in use now or not.

    @property
    def directory(self) -> Path:
        return machines_dir() / self.name

    @property
    def ssh_config(self) -> Path:
        """By the route itself, for the engine: what the Line runs over cannot run over the Line."""
        return self.directory / "ssh_config"

    @property
    def host_config(self) -> Path:
        """Over the Line where there is one: for `ssh`, scp, rsync and editors."""
        return self.directory / "host_config"

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    @property
    def host_alias(self) -> str:
        """Of the machine and not of the name, so that each key is looked up under its own."""
        return f"towline-{self.machine}"

    @property
    def ways(self) -> list[Address]:
        return [parse_address(address) for address in self.addresses]

    def ssh_options(self) -> SshOptions:
        return SshOptions(config_file=str(self.ssh_config))


def machines_dir() -> Path:
    return ensure_private(state_dir() / "machines")


def key_path() -> Path:
    """Return where this laptop's own key lies, for all machines; it may not be made yet."""
    return machines_dir() / KEY_NAME


def all_machines() -> Iterator[Machine]:
    """Yield every machine, by name. Raises UserError at a record that cannot be read."""
    for record in sorted(machines_dir().glob("*/record.json")):
        yield _read(record)


def machine_named(name: str) -> Machine | None:
    record = machines_dir() / name / "record.json"
    return _read(record) if is_name(name) and record.exists() else None


def is_name(text: str) -> bool:
    return re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", text) is not None


def keep(machine: Machine) -> Machine:
    """Record a machine, and write what ssh reads about it."""
    ensure_private(machine.directory)
    raw = bytes.fromhex(machine.host_key)
    write_private(machine.known_hosts, f"{machine.host_alias} {public_line(raw)}\n")
    write_private(machine.ssh_config, host_block(machine, "--by-route"))
    write_private(machine.host_config, host_block(machine))
    plain = json.dumps(dataclasses.asdict(machine), indent=1)
    write_private(machine.directory / "record.json", f"{plain}\n")
    return machine


def from_ticket(ticket: Ticket) -> Machine:
    """Return the machine of a ticket, with what is known of it already.

    Raises UserError if it says that a machine we know has another host key.
    """
    host_key = ticket.host_key.hex()
    known = next((m for m in all_machines() if m.machine == ticket.machine), None)
    if known is not None and known.host_key != host_key:
        raise UserError(
            f"the ticket gives {ticket.alias} another host key than the one that is pinned",
            "somebody may stand between you and the machine, or made this ticket: do not use it."
            " If the machine really is a new one, `towline up` there prints a new ticket",
            ExitCode.REFUSED,
        )
    named = [server for address in ticket.addresses if (server := server_of(address))]
    named += known.servers if known else ()
    return Machine(
        name=ticket.alias,
        machine=ticket.machine,
        host_key=host_key,
        addresses=tuple(str(address) for address in ticket.addresses),
        user=ticket.user,
        folder=ticket.folder,
        port=ticket.port,
        is_enrolled=known is not None and known.is_enrolled,
        seen=time.time(),
        servers=tuple(dict.fromkeys(named))[:SERVERS_MAX],
    )


def check_name_is_free(name: str, config: Path) -> None:
    """Raise UserError if the person's own ssh configuration has a Host of this name.

    Whoever makes a ticket chooses the name in it; it must not become what `ssh prod` means.
    """
    for file, keyword, words in _keywords(config, config.parent):
        if keyword == "host" and name in map(str.lower, words):
            raise UserError(
                f"the ticket calls its machine {name}, and your {file} has a Host of that name",
                "give the machine another: `towline down`, then `towline up --name OTHER` there",
                ExitCode.REFUSED,
            )


def _keywords(
    config: Path, base: Path, depth: int = 0
) -> Iterator[tuple[Path, str, Sequence[str]]]:
    """Yield each line of an ssh configuration and of what it includes: file, keyword, words.

    Our own files are left out: what stands there is no Host of the person's.
    """
    try:
        lines = config.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        keyword, *words = line.replace("=", " ", 1).split() or [""]
        words = [word.strip('"') for word in words]
        yield config, keyword.lower(), words
        if keyword.lower() != "include" or depth >= INCLUDES_MAX:
            continue
        for word in words:
            pattern = os.path.join(base, os.path.expanduser(word))
            for name in sorted(glob(pattern))[:INCLUDED_MAX]:
                if not Path(name).is_relative_to(machines_dir()):
                    yield from _keywords(Path(name), base, depth + 1)


def host_block(machine: Machine, *more: str, key: Path | None = None) -> str:
    """Return the machine's part of an ssh configuration. Raises UserError if there can be none.

    `more` is for what carries the bytes; `key` one to be used instead of this laptop's.
    """
    return HOST.format(
        name=machine.name,
        host_alias=machine.host_alias,
        user=machine.user,
        key=_escaped(key or key_path()),
        identities=ONLY_OURS if machine.is_enrolled or key else THEIRS_TOO,
        known_hosts=_escaped(machine.known_hosts),
        proxy=proxy_command(machine.name, *more),
    )


def _escaped(path: Path) -> str:
    text = path.as_posix()
    if '"' in text or not text.isprintable():
        raise UserError(
            f"an ssh configuration cannot hold the name {text!r}",
            "set XDG_STATE_HOME to a directory with a plain name",
            ExitCode.CONFIG,
        )
    return text.replace("%", "%%")


def proxy_command(name: str, *more: str) -> str:
    """Return the command that carries bytes to the machine. ssh has a shell run it."""
    return as_proxy_command([sys.executable, "-P", "-m", "towline.proxy", *more, name])


def as_proxy_command(words: list[str]) -> str:
    """Return a command line as an ssh configuration takes it."""
    if sys.platform == "win32":
        return " ".join(f'"{word}"' if " " in word else word for word in words).replace("%", "%%")
    return shlex.join(words).replace("%", "%%")


def _read(record: Path) -> Machine:
    try:
        plain: dict[str, Any] = json.loads(record.read_bytes()[:RECORD_MAX])
        lists: dict[str, Any] = {name: tuple(plain[name]) for name in LISTS if name in plain}
        machine = Machine(**{**plain, **lists})
        _check(machine, record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"the record {record} cannot be read ({type(error).__name__}: {error})",
            "remove its directory, and use a ticket of that machine again",
            ExitCode.CONFIG,
        ) from error
    return machine


def _check(machine: Machine, record: Path) -> None:
    """A record is ours, and still it leads to what ssh runs: it is checked as a ticket is."""
    if machine.name != record.parent.name or not is_name(machine.name):
        raise ValueError("the name is malformed")
    Ticket(
        machine.name,
        machine.machine,
        bytes.fromhex(machine.host_key),
        tuple(machine.ways),
        machine.user,
        machine.folder,
        machine.port,
    )
