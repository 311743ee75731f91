"""A laptop takes a ticket: pins the machine's host key, and has its own key let in, once.

It asks nobody anything and edits no file of the person's. What it needs of the machine is one ssh
connection with the one-time key; after that the ticket's secret is of no use to anybody.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from towline.core.address import Jump
from towline.core.ticket import Ticket, TicketError, decode
from towline.errors import ExitCode, UserError
from towline.line.errors import ConnectKind
from towline.line.options import through
from towline.machines import (
    Machine,
    all_machines,
    as_proxy_command,
    check_name_is_free,
    from_ticket,
    host_block,
    keep,
    key_path,
    machine_named,
    proxy_command,
)
from towline.places import ensure_private, write_private

ENROL_S = 60.0  # The way may be slow to open; ssh itself gives up before.
ACCEPTED = "TOWLINE ENROLLED"  # As the machine's `enrol` says it.
COMMAND = "enrol"  # What ssh is told to run; the machine runs nothing else for a one-time key.

Tell = Callable[[str], None]


def read_ticket(text: str) -> Ticket:
    """Raises UserError: cut off, mistyped, of another version, or no ticket at all."""
    try:
        return decode(text)
    except TicketError as error:
        raise UserError(
            str(error), "`towline up` on the machine prints the ticket again", ExitCode.USAGE
        ) from None


@dataclass(frozen=True, slots=True)
class Invitation:
    """A ticket that was looked at: where it leads, and the secret that lets us in, if need be.

    Nothing of it is recorded yet, so that a ticket that is worth nothing changes nothing.
    """

    machine: Machine
    secret: bytes | None = field(repr=False)
    public: str  # This laptop's key, as the machine is given it.


def invitation_of(ticket: Ticket, tell: Tell) -> Invitation:
    """Look at a ticket. Raises UserError if there is a reason not to use it."""
    public = ensure_laptop_key()  # Before the record is read: a new key is known to nobody.
    machine = from_ticket(ticket)
    before = machine_named(machine.name)
    if before is None:
        check_name_is_free(machine.name, Path.home() / ".ssh/config")
    elif before.machine != machine.machine:
        tell(f"{machine.name} is another machine from now on")
    if machine.is_enrolled or ticket.secret is None:
        return Invitation(machine, None, public)
    if ticket.has_expired(time.time()):
        raise UserError(
            f"the ticket of {ticket.alias} is too old: its secret lasts some minutes only",
            "`towline up` on the machine prints a fresh one",
            ExitCode.REFUSED,
        )
    return Invitation(machine, ticket.secret, public)


def take(ticket: Ticket, tell: Tell) -> Machine:
    """Return the machine of a ticket, known from now on, with our key let in. Raises UserError."""
    invitation = invitation_of(ticket, tell)
    if invitation.secret is not None:
        tell(f"enrolling at {invitation.machine.name}")
        _enrol(invitation)
    return keep_let_in(invitation)


def keep_let_in(invitation: Invitation) -> Machine:
    """Record the machine of an invitation, once there is nothing left to be done for it."""
    is_enrolled = invitation.machine.is_enrolled or invitation.secret is not None
    return keep(dataclasses.replace(invitation.machine, is_enrolled=is_enrolled))


def ensure_laptop_key() -> str:
    """Return the public line of this laptop's key, made if need be. Raises UserError.

    No machine knows a new one, so that the next ticket of each lets this laptop in once more.
    """
    from towline.machine.keys import BadPrivateKeyError, ensure_key

    path = key_path()
    if os.name == "posix" and path.exists() and path.stat().st_mode & 0o077:
        raise UserError(
            f"the key {path} could be read by others on this computer",
            "remove it: a new one is made, and new tickets are needed (`towline up --invite`)",
            ExitCode.REFUSED,
        )
    is_new = not path.exists()
    try:
        line = ensure_key(path, "towline-laptop")
    except BadPrivateKeyError as error:
        raise UserError(
            f"the key {path} cannot be used: {error}",
            "move it away: a new one is made, and new tickets are needed (`towline up --invite`)",
            ExitCode.REFUSED,
        ) from None
    for machine in [*all_machines()] if is_new else ():
        keep(dataclasses.replace(machine, is_enrolled=False))
    return line


@contextmanager
def one_time_config(invitation: Invitation) -> Generator[Path]:
    """Yield a configuration for ssh that has the one-time key. All of it is gone afterwards."""
    from towline.machine.keys import one_time_key, private_text
    from towline.machine.public_key import public_line

    machine = invitation.machine
    assert invitation.secret is not None
    ensure_private(machine.directory)
    files = [machine.directory / name for name in ("once", "config", "pin", "addresses")]
    key, config, pinned, addresses = files
    try:
        write_private(addresses, "\n".join(machine.addresses))  # It is not recorded before.
        write_private(
            pinned, f"{machine.host_alias} {public_line(bytes.fromhex(machine.host_key))}\n"
        )
        write_private(key, private_text(one_time_key(invitation.secret)).decode())
        proxy = ("--from", str(addresses))
        block = host_block(machine, *proxy, key=key).replace(str(machine.known_hosts), str(pinned))
        if len(machine.ways) == 1 and isinstance(hop := machine.ways[0], Jump):
            # What `proxy` would become after a tenth of a second.
            usual = proxy_command(machine.name, *proxy)
            block = block.replace(usual, as_proxy_command(through(hop)))
        write_private(config, block)
        yield config
    finally:
        for path in files:
            path.unlink(missing_ok=True)


def _enrol(invitation: Invitation) -> None:
    """Have our key let in by a connection of its own. Raises UserError."""
    with one_time_config(invitation) as config:
        done = _run_ssh(config, invitation.machine.name, invitation.public)
    if not is_accepted(answer := done.stdout.strip()):
        raise refused(invitation.machine, answer, done.returncode, done.stderr)


def is_accepted(answer: str) -> bool:
    """Whether the machine has let us in; its shell may have said something before."""
    return any(line.startswith(ACCEPTED) for line in answer.splitlines())


def _run_ssh(config: Path, name: str, public: str) -> subprocess.CompletedProcess[str]:
    program = os.environ.get("TOWLINE_SSH") or "ssh"
    try:
        return subprocess.run(
            [program, "-T", "-F", str(config), "-o", "BatchMode=yes", "--", name, COMMAND],
            input=f"{public}\n",
            capture_output=True,
            text=True,
            timeout=ENROL_S,
            check=False,
        )
    except FileNotFoundError:
        raise UserError("there is no program ssh", "install OpenSSH's client") from None
    except subprocess.TimeoutExpired:
        raise silent(name) from None


def silent(name: str) -> UserError:
    return UserError(f"{name} does not answer within {ENROL_S:g} s", "", ExitCode.UNAVAILABLE)


def refused(machine: Machine, answer: str, status: int | None, stderr: str) -> UserError:
    """Say why a machine did not let this laptop in, by its answer, or else by ssh's words."""
    from towline.line.ssh import explain

    if answer:
        return UserError(
            f"{machine.name} did not let this laptop in: {answer[:300]}",
            "`towline up --invite` on the machine prints a fresh ticket",
            ExitCode.REFUSED,
        )
    error = explain(status, stderr)
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
