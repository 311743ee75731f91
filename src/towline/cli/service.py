"""`towline service`: start workspaces at login, by systemd or launchd. What is done is printed."""

from __future__ import annotations

import dataclasses
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import data, json_line, say
from towline.places import Binding, Workspaces
from towline.service import Service, service_for

COMMAND_TIMEOUT_S = 20.0  # systemctl and launchctl answer at once, or hang without a bus.


@click.group(short_help="Start a workspace at login.")
def service() -> None:
    """Start a workspace at login: a systemd user unit, or a launchd agent on macOS."""


print_option = click.option(
    "--print", "only_print", is_flag=True, help="Say what would be done, and do nothing."
)


@service.command(cls=Command)
@print_option
@which_workspace
@json_option
def install(only_print: bool, project: Path | None, name: str | None, as_json: bool) -> None:
    """Start this workspace at every login, and again if it fails."""
    binding = chosen(project, name)
    unit = service_for(binding)
    if as_json:
        json_line(_as_json(unit))
    if only_print:
        _print_plan(unit, unit.install, as_json)
        return
    unit.write()
    Workspaces().save(dataclasses.replace(binding, at_login=True))
    say(f"written: {unit.file}")
    _run_all(unit.install)


@service.command(cls=Command)
@print_option
@which_workspace
@json_option
def remove(only_print: bool, project: Path | None, name: str | None, as_json: bool) -> None:
    """Start this workspace at login no longer. An engine that runs is stopped with it."""
    binding = chosen(project, name)
    unit = service_for(binding)
    if as_json:
        json_line(_as_json(unit))
    if only_print:
        say(f"would remove: {unit.file}")
        for command in (*unit.remove, *unit.removed):
            say(f"would run: {shlex.join(command)}")
        return
    was_there = unit.file.exists()
    if was_there:
        _run_all(unit.remove)
        unit.file.unlink()
        _run_all(unit.removed)
    Workspaces().save(dataclasses.replace(binding, at_login=False))
    say(f"removed: {unit.file}" if was_there else f"{unit.file} was not there")


@service.command(cls=Command)
@json_option
def status(as_json: bool) -> None:
    """Show which workspaces are started at login, and by which file."""
    for binding, unit in _installed():
        if as_json:
            json_line({"workspace": binding.name, "file": str(unit.file)})
        else:
            data(f"{binding.name}\t{unit.file}")
    if not any(True for _ in _installed()):
        say("no workspace is started at login")


def _installed() -> Iterator[tuple[Binding, Service]]:
    for binding in Workspaces():
        unit = service_for(binding)
        if unit.file.exists():
            yield binding, unit


def _as_json(unit: Service) -> dict[str, object]:
    return {
        "file": str(unit.file),
        "content": unit.content,
        "install": [list(command) for command in unit.install],
        "remove": [list(command) for command in (*unit.remove, *unit.removed)],
    }


def _print_plan(unit: Service, commands: tuple[tuple[str, ...], ...], as_json: bool) -> None:
    say(f"would write: {unit.file}")
    if not as_json:
        data(unit.content.rstrip("\n"))
    for command in commands:
        say(f"would run: {shlex.join(command)}")


def _run_all(commands: tuple[tuple[str, ...], ...]) -> None:
    """Where one cannot be run here, it is left to the person, in so many words."""
    for command in commands:
        why = _why_not_run(command)
        say(f"run: {shlex.join(command)}" if why is None else f"{why}; {_to_do(command)}")


def _to_do(command: tuple[str, ...]) -> str:
    return f"run it yourself when you are logged in: {shlex.join(command)}"


def _why_not_run(command: tuple[str, ...]) -> str | None:
    """Run `command`; return None if it went well."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_S,
        )
    except FileNotFoundError:
        return f"there is no {command[0]} here"
    except subprocess.TimeoutExpired:
        return f"{command[0]} does not answer"
    return f"{command[0]}: {done.stderr.strip() or done.returncode}" if done.returncode else None
