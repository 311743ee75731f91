"""`towline conflicts`: what both sides changed, and where both versions are."""

from __future__ import annotations

from pathlib import Path

import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import data, json_line, say
from towline.control import follow


@click.command(cls=Command, short_help="What both sides changed.")
@which_workspace
@json_option
def conflicts(project: Path | None, name: str | None, as_json: bool) -> None:
    """List conflicts: the path, the name under which the other version lives on, and whose it is.

    To settle one, keep what you want under the path and remove the copy.
    """
    from towline.ui.words import shown

    none = True
    for reply in follow(chosen(project, name), "conflicts"):
        none = False
        if as_json:
            json_line(reply)
        else:
            data(f"{shown(reply['path'])}\t{shown(reply['copy'])}\t{reply['side']}")
    if none:
        say("no conflicts")
