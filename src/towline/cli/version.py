"""`towline version`: which towline this is, and what it runs on."""

from __future__ import annotations

import platform
import sys

import click

from towline import __version__
from towline.cli.options import Command, json_option
from towline.cli.output import data, json_line


@click.command(cls=Command, short_help="Which version this is.")
@json_option
def version(as_json: bool) -> None:
    """Print the version of towline, of Python and of the system."""
    facts = {
        "towline": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "program": sys.executable,
    }
    if as_json:
        json_line(facts)
        return
    for name, fact in facts.items():
        data(f"{name:<8} {fact}")
