"""`towline accept`: carry out what is held."""

from __future__ import annotations

from pathlib import Path

import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import json_line, say
from towline.control import ask
from towline.errors import UserError


@click.command(cls=Command, short_help="Carry out the plan that is held.")
@which_workspace
@json_option
def accept(project: Path | None, name: str | None, as_json: bool) -> None:
    """Carry out the held plan, although it would remove much from one side."""
    reply = ask(chosen(project, name), "accept")
    if "error" in reply:
        raise UserError(reply["error"], hint="`towline status` shows the state")
    if as_json:
        json_line(reply)
    say("the held plan is carried out")
