"""`towline refuse`: drop what is held."""

from __future__ import annotations

from pathlib import Path

import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import json_line, say
from towline.control import ask
from towline.errors import UserError


@click.command(cls=Command, short_help="Drop the plan that is held.")
@which_workspace
@json_option
def refuse(project: Path | None, name: str | None, as_json: bool) -> None:
    """Drop the held plan: what one side lost is brought back from the other."""
    reply = ask(chosen(project, name), "refuse")
    if "error" in reply:
        raise UserError(reply["error"], hint="`towline status` shows the state")
    if as_json:
        json_line(reply)
    say("the held plan is dropped")
