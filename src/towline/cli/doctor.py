"""`towline doctor`: whether everything towline needs is there, and what to do where it is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from towline.cli.options import Command, json_option
from towline.cli.output import data, json_line
from towline.errors import ExitCode, UserError

if TYPE_CHECKING:
    from towline.doctor import Check


@click.command(cls=Command, short_help="Is everything there that towline needs?")
@click.argument("destination", metavar="[DEST]", required=False)
@click.option(
    "--project",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The project to look at. [default: the one the current directory is in]",
)
@json_option
def doctor(destination: str | None, project: Path | None, as_json: bool) -> None:
    """Check what towline needs, here and on the machine; say what to do where it is missing.

    DEST is the machine to try, by default the one this project was linked to. Exits with 1 if a
    check fails.
    """
    from towline.doctor import Verdict

    worst_is_failure = False
    for check in _checks(destination, project):
        worst_is_failure = worst_is_failure or check.verdict is Verdict.FAIL
        if as_json:
            json_line({**dataclasses.asdict(check), "verdict": check.verdict.value})
        else:
            _print(check)
    if worst_is_failure:
        raise click.exceptions.Exit(ExitCode.FAILED)


def _print(check: Check) -> None:
    data(f"{check.verdict.value:<4}  {check.name:<14} {check.finding}")
    if check.to_do:
        data(f"      {'':<14} → {check.to_do}")


def _checks(destination: str | None, project: Path | None) -> Iterator[Check]:
    from towline import doctor
    from towline.places import Binding, Workspaces
    from towline.request import NO_SSH_OPTIONS, split_destination

    root = (project or Path.cwd()).resolve()
    known: list[Binding] = []
    yield doctor.check_registry()
    with suppress(UserError):  # Reported by the check above.
        known = Workspaces().of_project(root)
    root = known[0].project if known else root
    yield from doctor.check_laptop(root)
    meant = known[0].destination if known and destination is None else destination
    if meant is not None:
        host, _ = split_destination(meant)
        ssh = next((b.ssh for b in known if b.destination == host), NO_SSH_OPTIONS)
        yield from doctor.check_machine(host, ssh)
    for binding in known:
        yield doctor.check_control(binding)
