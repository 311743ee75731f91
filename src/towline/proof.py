"""Whether this laptop's own key opens a machine, asked soon after a ticket's key has let it in.

What a ticket begins goes on by the ticket's key; the laptop's own is first needed when the
connection comes again, which may be when no ticket is at hand any more. So it is tried while the
Line stands, and over it, since some ways in admit one connection only. Nothing waits for that, and
nothing is mended: a new ticket lets this laptop in anew.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Callable

import anyio

from towline.line.errors import ConnectError, ConnectKind
from towline.line.ssh import explain
from towline.machines import Machine, keep, machine_named

PROOF_S = 60.0
NOTHING = "exit"  # What is run there: it means the same to every shell.

Tell = Callable[[str], None]


async def prove_key(name: str, tell: Tell) -> None:
    """Tell if the machine does not take our key. What else may be wrong, the Line finds out."""
    machine = machine_named(name)
    if machine is None or not machine.port:  # Without its port there is no way over the Line.
        return
    with anyio.move_on_after(PROOF_S):
        refusal = await _refusal(machine)
        if refusal is not None and refusal.kind is ConnectKind.AUTH:
            keep(dataclasses.replace(machine, is_enrolled=False))
            tell(_sentence(name, refusal))


async def _refusal(machine: Machine) -> ConnectError | None:
    program = os.environ.get("TOWLINE_SSH") or "ssh"
    config = str(machine.host_config)
    command = [program, "-T", "-F", config, "-o", "BatchMode=yes", "--", machine.name, NOTHING]
    try:
        done = await anyio.run_process(
            command, stdin=subprocess.DEVNULL, check=False, start_new_session=True
        )
    except OSError:
        return None
    return (
        explain(done.returncode, done.stderr.decode("utf-8", "replace"))
        if done.returncode
        else None
    )


def _sentence(name: str, refusal: ConnectError) -> str:
    return (
        f"{name} does not take this laptop's own key ({refusal.message}): what is linked goes on,"
        " but it could not be reached again. Take a new ticket while it lasts:"
        " `towline up --invite` there, `towline enrol TICKET` here"
    )
