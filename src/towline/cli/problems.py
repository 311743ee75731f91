"""`towline problems`: what cannot be synced for now, and why."""

from __future__ import annotations

from pathlib import Path

import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import data, json_line, say
from towline.control import follow


@click.command(cls=Command, short_help="What cannot be synced for now, and why.")
@which_workspace
@json_option
def problems(project: Path | None, name: str | None, as_json: bool) -> None:
    """List paths that cannot be synced for now: the side, the path, the reason."""
    from towline.ui.words import shown

    none = True
    for reply in follow(chosen(project, name), "problems"):
        none = False
        if as_json:
            json_line(reply)
        else:
            data(f"{reply['side']}\t{shown(reply['path'])}\t{shown(reply['reason'])}")
    if none:
        say("no problems")
