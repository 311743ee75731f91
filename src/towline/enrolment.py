"""A laptop takes a ticket: pins the machine's host key, and has its own key let in, once.

It asks nobody anything and edits no file of the person's. What it needs of the machine is one ssh
connection with the one-time key; after that the ticket's secret is of no use to anybody.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from towline.core.ticket import Ticket, TicketError, decode
from towline.errors import ExitCode, UserError
from towline.line.errors import ConnectKind
from towline.machines import (
    Machine,
    check_name_is_free,
    from_ticket,
    host_block,
    keep,
    key_path,
    machine_named,
)
from towline.places import ensure_private, write_private

ENROL_S = 60.0  # The way may be slow to open; ssh itself gives up before.
ACCEPTED = "TOWLINE ENROLLED"  # As the machine's `enrol` says it.

Tell = Callable[[str], None]


def read_ticket(text: str) -> Ticket:
    """Raises UserError: cut off, mistyped, of another version, or no ticket at all."""
    try:
        return decode(text)
    except TicketError as error:
        raise UserError(
            str(error), "`towline up` on the machine prints the ticket again", ExitCode.USAGE
        ) from None


def take(ticket: Ticket, tell: Tell) -> Machine:
    """Return the machine of a ticket, known from now on, with our key let in. Raises UserError."""
    machine = from_ticket(ticket)
    before = machine_named(machine.name)
    if before is None:
        check_name_is_free(machine.name, Path.home() / ".ssh/config")
    elif before.machine != machine.machine:
        tell(f"{machine.name} is another machine from now on")
    public = ensure_laptop_key()
    if machine.is_enrolled or ticket.secret is None:
        return keep(machine)
    if ticket.has_expired(time.time()):
        raise UserError(
            f"the ticket of {ticket.alias} is too old: its secret lasts some minutes only",
            "`towline up` on the machine prints a fresh one",
            ExitCode.REFUSED,
        )
    tell(f"enrolling at {machine.name}")
    ensure_private(machine.directory)
    _enrol(machine, ticket.secret, public)
    return keep(dataclasses.replace(machine, is_enrolled=True))


def ensure_laptop_key() -> str:
    """Return the public line of this laptop's key, made if need be. Raises UserError."""
    from towline.machine.keys import ensure_key

    path = key_path()
    if os.name == "posix" and path.exists() and path.stat().st_mode & 0o077:
        raise UserError(
            f"the key {path} could be read by others on this computer",
            "remove it: a new one is made, and new tickets are needed (`towline up --invite`)",
            ExitCode.REFUSED,
        )
    return ensure_key(path, "towline-laptop")


def _enrol(machine: Machine, secret: bytes, public: str) -> None:
    """Have our key let in. All that this needs is gone when it returns. Raises UserError."""
    from towline.machine.keys import one_time_key, private_text
    from towline.machine.public_key import public_line

    files = [machine.directory / name for name in ("once", "config", "pin", "addresses")]
    key, config, pinned, addresses = files
    try:
        write_private(addresses, "\n".join(machine.addresses))  # It is not recorded before.
        write_private(
            pinned, f"{machine.host_alias} {public_line(bytes.fromhex(machine.host_key))}\n"
        )
        write_private(key, private_text(one_time_key(secret)).decode())
        block = host_block(machine, "--from", str(addresses), key=key)
        write_private(config, block.replace(str(machine.known_hosts), str(pinned)))
        done = _run_ssh(config, machine.name, public)
    finally:
        for path in files:
            path.unlink(missing_ok=True)
    answer = done.stdout.strip()
    if not answer.startswith(ACCEPTED):
        raise _refused(machine, answer, done)


def _run_ssh(config: Path, name: str, public: str) -> subprocess.CompletedProcess[str]:
    program = os.environ.get("TOWLINE_SSH") or "ssh"
    try:
        return subprocess.run(
            [program, "-T", "-F", str(config), "-o", "BatchMode=yes", "--", name, "enrol"],
            input=f"{public}\n",
            capture_output=True,
            text=True,
            timeout=ENROL_S,
            check=False,
        )
    except FileNotFoundError:
        raise UserError("there is no program ssh", "install OpenSSH's client") from None
    except subprocess.TimeoutExpired:
        raise UserError(
            f"{name} does not answer within {ENROL_S:g} s", "", ExitCode.UNAVAILABLE
        ) from None


def _refused(machine: Machine, answer: str, done: subprocess.CompletedProcess[str]) -> UserError:
    from towline.line.ssh import explain

    if answer:
        return UserError(
            f"{machine.name} did not let this laptop in: {answer[:300]}",
            "`towline up --invite` on the machine prints a fresh ticket",
            ExitCode.REFUSED,
        )
    error = explain(done.returncode, done.stderr)
    if error.kind is ConnectKind.AUTH:
        return UserError(
            f"the ticket of {machine.name} was used already, or is too old",
            "it lets one laptop in, once; `towline up --invite` on the machine prints a fresh one",
            ExitCode.REFUSED,
        )
    if error.kind is ConnectKind.HOST_KEY:
        return host_key_changed(machine.name)
    return UserError(f"{machine.name}: {error.message}", error.hint, ExitCode.UNAVAILABLE)


def host_key_changed(name: str) -> UserError:
    return UserError(
        f"what answers at the address of {name} is not {name}: its host key is another one",
        "either the tunnel was given to somebody else's machine, or somebody stands between you"
        " and yours. Nothing was sent. Run `towline up` on the machine and use its new ticket",
        ExitCode.REFUSED,
    )
