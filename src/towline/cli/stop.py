"""`towline stop`: end the engine of a workspace. The machine keeps what it has."""

from __future__ import annotations

import time
from pathlib import Path

import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import json_line, say
from towline.control import ask
from towline.engine_lock import engine_of
from towline.errors import ExitCode, UserError
from towline.places import Binding

STOP_TIMEOUT_S = 20.0  # The engine finishes the step it is in, and says goodbye to the machine.
POLL_INTERVAL_S = 0.05


@click.command(cls=Command, short_help="Stop syncing.")
@which_workspace
@json_option
def stop(project: Path | None, name: str | None, as_json: bool) -> None:
    """Stop syncing. Both sides keep what they have; `towline link` goes on from there."""
    binding = chosen(project, name)
    was_running = ensure_stopped(binding)
    if as_json:
        json_line({"workspace": binding.name, "was_running": was_running})
    say(f"{binding.name}: " + ("stopped" if was_running else "was not running"))


def ensure_stopped(binding: Binding) -> bool:
    """Return whether an engine ran. When this returns it has closed all. Raises UserError."""
    was_running, is_told = False, False
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while process := engine_of(binding.places):
        was_running, is_told = True, is_told or _tell(binding)
        if time.monotonic() > deadline:
            said = "was told to stop, but still runs" if is_told else "cannot be told to stop"
            raise UserError(
                f"the engine of {binding.name} {said}: process {process}",
                hint="`towline log` shows what it does; if that is nothing, end the process",
                exit_code=ExitCode.TRY_AGAIN,
            )
        time.sleep(POLL_INTERVAL_S)
    return was_running


def _tell(binding: Binding) -> bool:
    """Return whether it could be told: one that just starts cannot yet, one that ends no more."""
    try:
        ask(binding, "stop")
    except UserError as error:
        if error.exit_code != ExitCode.UNAVAILABLE:
            raise
        return False
    return True
