"""`towline jupyter`: JupyterLab on the machine, in the browser here."""

from __future__ import annotations

import os
from pathlib import Path

import click

from towline.cli.options import Command, json_option, which_workspace
from towline.cli.serve import ACTIONS, carry_out, public_options
from towline.config import load
from towline.control import ask
from towline.places import Binding
from towline.services.base import Service


@click.command(cls=Command, short_help="JupyterLab on the machine, in your browser.")
@click.argument("action", type=click.Choice(ACTIONS), default="start")
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@public_options
@which_workspace
@json_option
def jupyter(
    action: str,
    no_browser: bool,
    public: bool,
    minutes: float,
    project: Path | None,
    name: str | None,
    as_json: bool,
) -> None:
    """Open JupyterLab on the machine, in the project's folder; start it if it does not run.

    \b
      towline jupyter          the address, and the browser
      towline jupyter status   whether it runs, and where
      towline jupyter stop     end it and its kernels

    The environment's own JupyterLab is used. Where there is none, one is installed beside it, with
    the environment's Python as its kernel. It goes on when the terminal, the laptop or the
    connection is closed. `[tool.towline.notebook] autoload = true` loads the extension in each
    kernel.
    """
    carry_out(action, _service, project, name, no_browser, public, minutes, as_json)


def _service(binding: Binding) -> Service:
    from towline.services.jupyter import JupyterLab

    options = load(binding.project, os.environ)
    loads = ask(binding, "status")["notebook"] if options.notebook.autoload else ""
    return JupyterLab(options.jupyter.program or "", loads)
