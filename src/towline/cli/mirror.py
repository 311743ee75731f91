"""`towline mirror`: what changes on the machine goes on to a server of one's own, directly."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import json_line, say
from towline.config import load
from towline.there import there_of


@click.command(cls=Command, short_help="Changes on the machine to a server of your own.")
@click.option("--stop", "ends", is_flag=True, help="End the one that goes on by itself.")
@which_workspace
@json_option
def mirror(ends: bool, project: Path | None, name: str | None, as_json: bool) -> None:
    """Have the machine send what changes in `keep.watched` to the server `keep.mirror` names.

    With a key of its own (`keep.mirror_key`) it goes on by itself, also while this laptop is away,
    and the command returns. Without one it borrows this laptop's SSH agent, and lasts as long as
    the command. A running engine does this by itself.
    """
    from towline.mirror import carried, stopped

    binding = chosen(project, name)
    if ends:
        _tell(stopped(binding), as_json)
        return
    options = load(binding.project, os.environ)
    there = there_of(None, binding)
    for told in carried(binding, there, options, detach=options.keep.mirror_key is not None):
        _tell(told, as_json)


def _tell(told: dict[str, object], as_json: bool) -> None:
    if as_json:
        return json_line(told)
    match told:
        case {"error": error}:
            say(f"not sent, and tried again: {error}")
        case {"sent": count, "all": everything}:
            what = "all that differed" if everything else f"{count} paths"
            say(f"{time.strftime('%H:%M:%S')} sent {what}")
        case {"detached": True}:
            say("the machine goes on by itself; `towline mirror --stop` ends it")
        case {"running": process}:
            say(f"it runs there already (process {process})")
        case {"stopped": process}:
            say(f"ended (process {process})" if process else "none ran there")
        case _:
            say(str(told))
    return None
