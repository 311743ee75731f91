"""`towline demo`: the whole loop on this computer, against a machine made for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from towline.cli.options import Command, json_option
from towline.cli.output import json_line

if TYPE_CHECKING:
    from towline.demo import End, Step, Tell


@click.command(cls=Command, short_help="The whole loop, on this computer.")
@json_option
def demo(as_json: bool) -> None:
    """Show the whole loop on this computer, with a small machine made for it.

    A sample project is linked, edited on both sides, cut off and resumed; each step is printed with
    its measured time. It ends by itself and leaves nothing running or behind.
    """
    import anyio

    from towline.demo import run_demo

    raise click.exceptions.Exit(anyio.run(run_demo, _tell_json if as_json else _telling()))


def _tell_json(item: Step | End) -> None:
    from towline.demo import Step

    if isinstance(item, Step):
        json_line({"step": item.name, "ms": item.ms, "ok": item.ok, "detail": item.detail})
    else:
        json_line({"done": item.ok, "steps": item.steps, "seconds": item.seconds})


def _telling() -> Tell:
    """Return what prints a line a step: with colours where a terminal shows them."""
    from rich.console import Console
    from rich.text import Text

    from towline.demo import Step
    from towline.ui.words import time_text

    console = Console(highlight=False, soft_wrap=True)

    def tell(item: Step | End) -> None:
        if isinstance(item, Step):
            mark = Text("ok  ", "green") if item.ok else Text("FAIL", "bold red")
            took = Text(f"{time_text(item.ms / 1000):>7}  ", "cyan")
            number = Text(f"{item.number:>2} ", "dim")
            title = Text(f" {item.title:<26}", "bold")
            console.print(Text.assemble(number, mark, title, took, item.detail))
        else:
            outcome = (
                "all steps went as they should" if item.ok else "ended at the step that failed"
            )
            console.print(f"{item.steps} steps in {item.seconds:.1f} s: {outcome}")

    return tell
