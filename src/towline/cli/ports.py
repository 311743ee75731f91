"""`towline ports`: what listens on the machine."""

from __future__ import annotations

from pathlib import Path

import click

from towline.across import Call, run
from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import columns, json_line, say
from towline.control import follow
from towline.forwards.listening import Listening, read_listening, with_forwards


@click.command(cls=Command, short_help="What listens on the machine.")
@which_workspace
@json_option
def ports(project: Path | None, name: str | None, as_json: bool) -> None:
    """List the TCP ports that programs of the machine listen on, and how to reach them.

    The last column says where a port is forwarded to on this computer, or the line that forwards
    it. A program of another account stands as a dash. The machine must be a Linux.
    """
    binding = chosen(project, name)
    answer = run(binding, Call(["ports"], agent=True)).stdout
    found = with_forwards(read_listening(answer), follow(binding, "forwards"))
    if as_json:
        for one in found:
            json_line(one.as_json())
    elif found:
        columns([_row(one) for one in found])
    else:
        say("nothing listens there")


def _row(one: Listening) -> list[str]:
    who = f"{one.program} ({one.pid})" if one.pid is not None else "-"
    where = f"is at {one.listen}" if one.listen else one.command
    return [str(one.target.port), ", ".join(one.addresses), who, where]
