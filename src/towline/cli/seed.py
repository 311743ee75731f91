"""`towline seed`: the project's data from a server of one's own to the machine, directly."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import json_line, say
from towline.config import load
from towline.there import there_of


@click.command(cls=Command, short_help="Data from a server of your own to the machine.")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "--update", is_flag=True, help="Also what is older on the machine; that is kept beside."
)
@which_workspace
@json_option
def seed(
    paths: tuple[str, ...], update: bool, project: Path | None, name: str | None, as_json: bool
) -> None:
    """Have the machine fetch what it lacks from the server that `keep.mirror` names.

    The bytes go from the server to the machine, not through this laptop. PATHs are relative to the
    project; without one, all of it comes. What is on the machine already is left as it is.
    """
    from towline.mirror import carried

    binding = chosen(project, name)
    options = load(binding.project, os.environ)
    there = there_of(None, binding)
    for told in carried(
        binding, there, options, inward=True, update=update, paths=list(paths), detach=False
    ):
        if as_json:
            json_line(told)
        elif "says" in told:
            _show(str(told["says"]))
    if not as_json:
        say("seeded")


def _show(words: str) -> None:
    """rsync's progress is written over, its figures stand."""
    if "%" not in words:
        if words.startswith(("Number of regular files transferred", "Total transferred")):
            say(words)
    elif sys.stderr.isatty():
        sys.stderr.write(f"\x1b[K{words}\r")
        sys.stderr.flush()
