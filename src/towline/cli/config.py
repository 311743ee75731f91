"""`towline config`: every option as it is in force, and where it was set."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from towline.cli.options import Command, json_option
from towline.cli.output import columns, json_line
from towline.cli.project import project_root


@click.command(cls=Command, short_help="The options in force, and where they are set.")
@click.option(
    "--project",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The project. [default: the one the current directory is in]",
)
@click.option("--all", "show_all", is_flag=True, help="Also options that have their default.")
@json_option
def config(project: Path | None, show_all: bool, as_json: bool) -> None:
    """Show the configuration in force, and where each option was set.

    It is [tool.towline] in pyproject.toml, or towline.toml; variables TOWLINE_… count more, the
    command line counts most. Exits with 78 and names key, file and line if something is wrong.
    """
    from towline.config import read_settings

    settings = read_settings(project_root(project), os.environ).values()
    if as_json:
        for setting in settings:
            json_line({"key": setting.option.key, "value": setting.raw, "origin": setting.origin})
        return
    columns(
        [
            [setting.option.key, "=", _toml(setting.raw), f"# {setting.origin}"]
            for setting in settings
            if show_all or setting.origin != "default"
        ]
    )


def _toml(raw: object) -> str:
    """As it stands in the file; JSON is close enough to TOML for what an option can be."""
    return "none" if raw is None else json.dumps(raw, ensure_ascii=False)
