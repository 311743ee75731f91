"""`towline doctor`: whether everything towline needs is there, and what to do where it is not."""

from __future__ import annotations

import dataclasses
import os
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
    from towline.line.options import SshOptions
    from towline.places import Binding


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
    from towline.places import Workspaces
    from towline.request import split_destination
    from towline.there import meant_of

    root = (project or Path.cwd()).resolve()
    yield doctor.check_registry()
    known = Workspaces().of_project(root)
    root = known[0].project if known else root
    yield from doctor.check_laptop(root)
    linked = meant_of(known)
    meant = linked.destination if linked and destination is None else destination
    if meant is not None:
        host, _ = split_destination(meant)
        yield from doctor.check_machine(host, _way_to(host, known, root))
    for binding in known:
        yield doctor.check_control(binding)


def _way_to(host: str, known: list[Binding], project: Path) -> SshOptions:
    """Return what `link` would tell ssh of this host, be it one that came by a ticket or not."""
    from towline.config import load
    from towline.machines import machine_named
    from towline.request import NO_SSH_OPTIONS

    given = next((binding.ssh for binding in known if binding.destination == host), None)
    if given is None and (machine := machine_named(host)) is not None:
        given = machine.ssh_options()
    given = given or NO_SSH_OPTIONS
    with suppress(UserError):  # What is wrong with the configuration is another check's to say.
        given = load(project, os.environ).ssh.below(given)
    return given
