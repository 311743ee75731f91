"""`towline top`: the machine, live."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from towline.across import Call, Program
from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import data, json_line, say
from towline.control import ask
from towline.errors import ExitCode, UserError
from towline.jobs.call import AGAIN_S, failure, folder_of
from towline.places import Binding

LINE_MAX = 4 << 20  # Bytes of one reading; some hundred jobs fit.


@click.command(cls=Command, short_help="The machine, live: GPUs, jobs, sync, time left.")
@click.option(
    "--interval",
    "interval_s",
    metavar="SECONDS",
    default=1.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    help="Between two readings.",
)
@click.option("-n", "--count", type=click.IntRange(min=1), help="End after so many readings.")
@which_workspace
@json_option
def top(
    interval_s: float, count: int | None, project: Path | None, name: str | None, as_json: bool
) -> None:
    """Show the machine as it is: GPUs, processors, memory, disk, network, jobs, sync, time left.

    In a terminal it changes in place until Ctrl-C. Into a pipe it prints one reading as text, or
    as many as -n says; with --json an object for each interval.
    """
    binding = chosen(project, name)
    live = sys.stdout.isatty() and not as_json and count is None
    count = count if count or as_json or live else 1
    readings = _readings(binding, interval_s, count)
    if live:
        _show(readings)
    for reading in readings:
        if as_json:
            json_line(reading)
        else:
            _print(reading)


def _readings(binding: Binding, interval_s: float, count: int | None) -> Iterator[dict[str, Any]]:
    """Yield what the machine tells and what the engine does; after a loss it is asked again."""
    left = count
    first = True
    while left is None or left > 0:
        try:
            for reading in _asked(binding, interval_s, left):
                first = False
                yield {**reading, "sync": ask(binding, "status")}
                left = None if left is None else left - 1
        except UserError as error:
            if first or error.exit_code is not ExitCode.UNAVAILABLE:
                raise
            say(f"{error.message}; waiting")
            _wait_engine(binding)


def _asked(binding: Binding, interval_s: float, count: int | None) -> Iterator[dict[str, Any]]:
    argv = ["top", binding.id, "--interval", str(interval_s), "--folder", folder_of(binding)]
    argv += ["--count", str(count)] if count else []
    buffer, said = bytearray(), bytearray()
    with Program(binding, Call(argv, agent=True)) as program:
        for kind, content in program.records():
            if kind == "e":
                said += content
                continue
            buffer += content
            while b"\n" in buffer:
                line, _, rest = buffer.partition(b"\n")
                buffer[:] = rest
                yield json.loads(line)
            if len(buffer) > LINE_MAX:
                raise UserError("the machine's answer is not understood", "", ExitCode.BAD_DATA)
    if program.code:
        raise failure(bytes(said))


def _wait_engine(binding: Binding) -> None:
    while True:
        try:
            if ask(binding, "status").get("state") == "live":
                return
        except UserError as error:
            if error.exit_code not in (ExitCode.UNAVAILABLE, ExitCode.TRY_AGAIN):
                raise
        time.sleep(AGAIN_S)  # No event tells of an engine that starts.


def _show(readings: Iterator[dict[str, Any]]) -> None:
    from rich.console import Console

    from towline.ui.top import Top

    console = Console(no_color="NO_COLOR" in os.environ or None, highlight=False)
    with Top(console) as shown:
        for reading in readings:
            shown(reading)


def _print(reading: dict[str, Any]) -> None:
    from towline.ui.top import top_lines

    for line in top_lines(reading):
        data(line)
