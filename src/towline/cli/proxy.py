"""`towline proxy`: what ssh runs to reach a machine, for configurations written by hand."""

from __future__ import annotations

import click

from towline import proxy as carry
from towline.cli.options import Command


@click.command(cls=Command, short_help="For ssh: carry bytes to a machine.")
@click.option("--by-route", is_flag=True, help="Not over a running engine's line.")
@click.argument("name")
def proxy(by_route: bool, name: str) -> None:
    """Carry standard input and output to a machine's SSH server: `ProxyCommand towline proxy NAME`.

    Where `towline link` runs for the machine, the bytes go over its line and live as long as that
    does; else the machine's own way in is taken. `towline ssh-config` writes all that ssh needs.
    """
    words = ["--by-route"] if by_route else []
    raise click.exceptions.Exit(carry.main([*words, name]))
