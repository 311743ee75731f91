"""`towline enrol`: take a machine's ticket without linking a project."""

from __future__ import annotations

import click

from towline.cli.options import Command, json_option
from towline.cli.output import data, json_line, say
from towline.errors import ExitCode, UserError


@click.command(cls=Command, short_help="Take a machine's ticket, without linking a project.")
@click.argument("ticket", required=False)
@click.option("--key", "shows_key", is_flag=True, help="Print this laptop's public key.")
@json_option
def enrol(ticket: str | None, shows_key: bool, as_json: bool) -> None:
    """Take a machine's ticket: pin its host key, have this laptop's key let in, remember its name.

    `towline link TICKET` does that as well. With --key it prints the public key of this laptop, for
    `towline up --key KEY`: then the ticket holds no secret.
    """
    from towline.enrolment import ensure_laptop_key, read_ticket, take

    if shows_key:
        return data(ensure_laptop_key())
    if ticket is None:
        raise UserError("which ticket?", "`towline up` prints it", ExitCode.USAGE)
    machine = take(read_ticket(ticket), say)
    if as_json:
        return json_line({"name": machine.name, "machine": machine.machine, "user": machine.user})
    return say(f"{machine.name}: known from now on; `towline ssh {machine.name}` goes there")
