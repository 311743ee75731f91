"""`towline log`: what happened in a workspace."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import data, json_line, say
from towline.logfile import follow_lines, last_lines, parse_line


@click.command(cls=Command, short_help="What happened.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens next, until Ctrl-C.")
@click.option(
    "-n", "--lines", type=click.IntRange(min=0), default=50, show_default=True, help="How many."
)
@which_workspace
@json_option
def log(follow: bool, lines: int, project: Path | None, name: str | None, as_json: bool) -> None:
    """Show the last events of the workspace, also of one that is not running."""
    path = chosen(project, name).places.log
    if not path.exists() and not follow:
        say("nothing happened yet")
    for line in _lines(path, lines, follow):
        if not as_json:
            data(_readable(line))
        elif (plain := parse_line(line)) is not None:
            json_line(plain)


def _lines(path: Path, count: int, follow: bool) -> Iterator[str]:
    yield from last_lines(path, count)
    if follow:
        yield from follow_lines(path)


def _readable(line: str) -> str:
    """An event as a sentence; a traceback, or what a later version wrote, as it stands."""
    from towline.ui.from_json import event_from_json
    from towline.ui.words import event_text, shown

    plain = parse_line(line)
    event = event_from_json(plain) if plain else None
    if plain is None or event is None:
        return shown(line)
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(plain.get("at", 0)))
    return f"{at}  {event_text(event)}"
