"""`up` as its caller sees it: the supervisor is there, and this is the ticket.

Everything here may be done again and again. The ticket is made of what the supervisor says and of
the invitation that stands open; where laptops are let in already, it holds no secret.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from towline.core.address import parse_address
from towline.core.ticket import SECRET_SIZE, Ticket
from towline.errors import ExitCode, UserError
from towline.machine.authorized import (
    INVITATION,
    add_key,
    command_of_enrolment,
    invite,
    is_open,
    laptops,
    remove_marked,
)
from towline.machine.keys import new_secret, one_time_key, raw_public
from towline.machine.lock import holder, locked
from towline.machine.place import Json, Place, read_json, write_private
from towline.machine.public_key import public_line, raw_of
from towline.machine.supervise import Request

INVITATION_S = 600  # Long enough to go to the laptop and install towline there.
INVITATION_LEFT_S = 120  # With less it would be too old once its ticket has been carried there.
READY_S = 90.0  # For a supervisor that somebody else has just started: providers may be slow.
END_S = 20.0
LOOK_S = 0.05

Tell = Callable[[str], None]


def ensure_up(place: Place, request: Request, argv: Sequence[str], tell: Tell) -> Json:
    """Return the status of the supervisor, started by `argv` if none runs. Raises `UserError`."""
    with locked(place.up_lock):  # Of two at once, one starts it, and the other one finds it.
        if holder(place.lock) is None:
            request.write(place)
            return _start(place, argv, tell)
    return _wait_ready(place)


def _start(place: Place, argv: Sequence[str], tell: Tell) -> Json:
    descriptor = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=descriptor,
            cwd="/",
            text=True,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            told: Json = json.loads(line)
            if "ready" in told:
                process.returncode = 0  # It goes on without us; nobody is to wait for it.
                return dict(told["ready"])
            if "error" in told:
                process.wait()
                raise UserError(told["error"], told["hint"], ExitCode(told["exit_code"]))
            tell(told["progress"])
    code = process.wait()
    raise UserError(
        f"what keeps this machine reachable ended at once (exit code {code})",
        f"its last words are in {place.log}",
    )


def _wait_ready(place: Place) -> Json:
    """Wait for a supervisor that runs already. It tells by its file; nothing else is shared."""
    ends_at = time.monotonic() + READY_S
    while holder(place.lock) is not None:
        if status := read_json(place.status):
            return status
        if time.monotonic() > ends_at:
            break
        time.sleep(LOOK_S)
    raise UserError(
        "the machine did not become reachable",
        f"`towline down`, then `towline up` again; the reason is in {place.log}",
        ExitCode.TRY_AGAIN,
    )


def status_of(place: Place) -> Json | None:
    """Return what the supervisor says, None if none runs."""
    if holder(place.lock) is None:
        return None
    return read_json(place.status) or {"routes": []}


def ticket_of(place: Place, status: Json, *, invites: bool | None) -> Ticket:
    """Return the ticket of a machine that is up.

    `invites`: whether it is to let another laptop in; None: if none has been yet.
    """
    secret, expires = None, 0
    if not status["routes"]:
        raise UserError(
            f"this machine cannot be reached now: {status.get('reason', 'its way in is not open')}",
            "it is tried again; ask in a minute",
            ExitCode.TRY_AGAIN,
        )
    if invites or (invites is None and not laptops(place)):
        secret, expires = ensure_invitation(place, sys.executable)
    return Ticket(
        alias=status["alias"],
        machine=status["machine"],
        host_key=raw_of(status["host_key"]),
        addresses=tuple(parse_address(route["address"]) for route in status["routes"]),
        user=status["user"],
        folder=status["folder"],
        port=status["port"],
        secret=secret,
        expires=expires,
    )


def ensure_invitation(place: Place, python: str) -> tuple[bytes, int]:
    """Return the secret that stands open for a while and when it ends, or else a new one."""
    known = read_json(place.invitation)
    if known is not None and is_open(place, time.time() + INVITATION_LEFT_S):
        return bytes.fromhex(known["secret"]), known["expires"]
    secret, expires = new_secret(SECRET_SIZE), int(time.time()) + INVITATION_S
    line = public_line(raw_public(one_time_key(secret)))
    write_private(place.invitation, json.dumps({"secret": secret.hex(), "expires": expires}))
    invite(place, line, expires, command_of_enrolment(python, place.directory))
    return secret, expires


def let_in(place: Place, lines: Sequence[str]) -> None:
    """Let keys in that were known before: no invitation is needed, and none stays open."""
    for line in lines:
        add_key(place, line)
    remove_marked(place, INVITATION)


def ensure_down(place: Place) -> bool:
    """End the supervisor and all connections; return whether it ran. Raises `UserError`.

    The keys stay: the next `up` is the same machine.
    """
    pid = holder(place.lock)
    if pid is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    ends_at = time.monotonic() + END_S
    while holder(place.lock) is not None:
        if time.monotonic() > ends_at:
            raise UserError(
                f"process {pid} was told to end, but still runs", "", ExitCode.TRY_AGAIN
            )
        time.sleep(LOOK_S)
    remove_marked(place, INVITATION)
    return True
