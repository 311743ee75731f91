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
    from towline.config import Options
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

    DEST is the machine to try, by default the one this project was linked to, else the one that is
    configured. Exits with 1 if a check fails.
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
    options, linked = _options_of(root), meant_of(known)
    meant = destination or (linked.destination if linked else options and options.machine)
    if meant:
        host, _ = split_destination(meant)
        given = _given_for(host, known)
        yield from doctor.check_machine(host, options.ssh.below(given) if options else given)
    for binding in known:
        yield doctor.check_control(binding)


def _options_of(project: Path) -> Options | None:
    """Return what is configured; what is wrong with it is another check's to say."""
    from towline.config import load

    with suppress(UserError):
        return load(project, os.environ)
    return None


def _given_for(host: str, known: list[Binding]) -> SshOptions:
    """Return what `link` was given for ssh, or what the machine's ticket has left."""
    from towline.machines import machine_named
    from towline.request import NO_SSH_OPTIONS

    if (given := next((b.ssh for b in known if b.destination == host), None)) is not None:
        return given
    machine = machine_named(host)
    return machine.ssh_options() if machine else NO_SSH_OPTIONS
