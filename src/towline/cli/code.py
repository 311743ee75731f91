"""`towline code`: VS Code on the machine, in the browser here."""

from __future__ import annotations

import os
from pathlib import Path

import click

from towline.cli.options import Command, json_option, which_workspace
from towline.cli.serve import ACTIONS, carry_out, public_options
from towline.config import load
from towline.places import Binding
from towline.services.base import Service


@click.command(cls=Command, short_help="VS Code on the machine, in your browser.")
@click.argument("action", type=click.Choice(ACTIONS), default="start")
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@public_options
@which_workspace
@json_option
def code(
    action: str,
    no_browser: bool,
    public: bool,
    minutes: float,
    project: Path | None,
    name: str | None,
    as_json: bool,
) -> None:
    """Open code-server on the machine, in the project's folder; start it if it does not run.

    \b
      towline code             the address and the password, and the browser
      towline code status      whether it runs, and where
      towline code stop        end it

    One that is there is used, or the one that `[tool.towline.code] program` names; else it is
    installed: by npm, or from the release that `download` and `sha256` name. `extensions` are
    installed before it starts. Your settings and key bindings are kept here at each of these
    commands, and given to the next machine.
    """
    carry_out(action, _service, project, name, no_browser, public, minutes, as_json)


def _service(binding: Binding) -> Service:
    from towline.services.code_server import CodeServer

    options = load(binding.project, os.environ).code
    return CodeServer(
        options.program or "", options.extensions, options.download or "", options.sha256 or ""
    )
