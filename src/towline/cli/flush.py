"""`towline flush`: wait until everything saved so far is on the machine."""

from __future__ import annotations

import time
from pathlib import Path

import click

from towline import control
from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import data, json_line
from towline.errors import ExitCode, UserError

TIMEOUT_S = 30.0  # Longer than any save takes; a first sync says how far it is before that.


@click.command(cls=Command, short_help="Wait until all that is saved is there.")
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=TIMEOUT_S,
    show_default=True,
    help="How long to wait at most.",
)
@which_workspace
@json_option
def flush(timeout_s: float, project: Path | None, name: str | None, as_json: bool) -> None:
    """Wait until everything saved before this call is whole on the machine.

    Prints the revision that contains it. Exits with 75 if that could not be done in time, and says
    why.
    """
    reply = control.flush(chosen(project, name), timeout_s)
    refuse_unflushed(reply)
    if as_json:
        json_line(reply)
    else:
        data(f"revision {reply['revision']} in {reply['ms']:.0f} ms")


def refuse_unflushed(reply: control.Json) -> None:
    """Raises UserError if the engine could not do it in time."""
    if "error" in reply:
        raise UserError(
            f"not flushed: {reply['error']}{_since(reply.get('since'))}",
            hint="`towline status` shows what is behind; nothing is lost",
            exit_code=ExitCode.TRY_AGAIN,
        )


def _since(since: float | None) -> str:
    return "" if since is None else time.strftime(" since %H:%M:%S", time.localtime(since))
