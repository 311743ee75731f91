"""`towline demo`: the whole loop on this computer, against a machine made for it."""

from __future__ import annotations

import click

from towline.cli.options import Command, json_option


@click.command(cls=Command, short_help="The whole loop, on this computer.")
@json_option
def demo(as_json: bool) -> None:
    """Show the whole loop on this computer, with a small machine made for it.

    A sample project is linked, edited on both sides, cut off and resumed; each step is printed with
    its measured time. It ends by itself and leaves nothing running or behind.
    """
    import anyio

    from towline.demo import run_demo

    raise click.exceptions.Exit(anyio.run(run_demo, as_json))
