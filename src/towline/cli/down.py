"""`towline down`: end what `towline up` has started on this machine."""

from __future__ import annotations

import click

from towline.cli.options import Command, json_option
from towline.cli.output import json_line, say


@click.command(cls=Command, short_help="On a machine: end what `up` has started.")
@json_option
def down(as_json: bool) -> None:
    """End what `towline up` has started on this machine: the server, its connections, the way in.

    Laptops that were let in stay known: the next `towline up` is the same machine to them.
    """
    from towline import expose

    was_up = expose.down()
    if as_json:
        json_line({"was_up": was_up})
    say("this machine can be reached no longer" if was_up else "nothing was up")
