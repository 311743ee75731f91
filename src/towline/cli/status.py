"""`towline status`: how the workspace is, at this moment."""

from __future__ import annotations

import time
from pathlib import Path

import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import data, json_line
from towline.control import Json, ask


@click.command(cls=Command, short_help="How the workspace is at this moment.")
@which_workspace
@json_option
def status(project: Path | None, name: str | None, as_json: bool) -> None:
    """Show how the workspace is: state, revision, delay, and what is still behind.

    Exits with 69 if no engine runs for it.
    """
    reply = ask(chosen(project, name), "status")
    if as_json:
        json_line(reply)
    else:
        _print(reply)


def _print(reply: Json) -> None:
    from towline.ui.from_json import status_from_json
    from towline.ui.words import status_lines

    known = status_from_json(reply)
    for line in status_lines(known, time.time()) if known else [str(reply)]:
        data(line)
