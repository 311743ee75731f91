"""`towline env`: what was installed on the machine beyond its image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import data, json_line, say
from towline.cli.project import project_root
from towline.errors import ExitCode, UserError

if TYPE_CHECKING:
    from towline.environment.lock import Json
    from towline.environment.machine import Asked


@click.group(short_help="What you installed on the machine: capture, restore.")
def env() -> None:
    """What you installed on the machine beyond its image, as towline.lock in the project.

    While a project is linked the file is written after each installation there. A new machine of
    the same project is given what it lists.
    """


@env.command(cls=Command)
@click.option(
    "--project",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The project. [default: the one the current directory is in]",
)
@json_option
def show(project: Path | None, as_json: bool) -> None:
    """Show what towline.lock lists. No machine is asked."""
    from towline.environment.keep import summary

    lock = _lock(project_root(project))
    if as_json:
        json_line(lock)
        return
    for name, version in lock["added"].items():
        data(f"{name} {version}")
    for name, two in lock["changed"].items():
        data(f"{name} {two['now']} (the image had {two['was']})")
    for name, version in lock["removed"].items():
        data(f"{name} removed (the image had {version})")
    for name, place in {**lock["urls"], **lock["editable"]}.items():
        data(f"{name} from {place}")
    for name in lock["apt"]:
        data(f"{name} (of the system)")
    say(summary(lock))


@env.command(cls=Command)
@which_workspace
@json_option
def capture(project: Path | None, name: str | None, as_json: bool) -> None:
    """Write what the machine has beyond its image into towline.lock, whatever stands there."""
    from towline.environment.file import LockFile
    from towline.environment.keep import summary
    from towline.environment.lock import NAME
    from towline.environment.machine import capture as ask_machine
    from towline.environment.machine import hold

    asked = _asked(project, name)
    captured = ask_machine(asked)
    file = LockFile(asked.binding.project)
    changed = file.write(captured)
    hold(asked, captured)
    if as_json:
        json_line({"file": str(file.path), "written": changed, **captured})
    for what, why in captured["left"].items():
        say(f"left out: {what}: {why}")
    say(f"{NAME}: {summary(captured)}" + ("" if changed else ", as before"))


@env.command(cls=Command)
@which_workspace
@json_option
def restore(project: Path | None, name: str | None, as_json: bool) -> None:
    """Put what towline.lock lists on the machine: exactly the versions, with uv or pip.

    Exits with 1 if something could not be put back; what the image has for its GPU stays.
    """
    from towline.environment.file import LockFile
    from towline.next_machine import restored

    asked = _asked(project, name)
    lock = _lock(asked.binding.project)
    outcome = restored(asked, lock, lock)
    LockFile(asked.binding.project).accept()
    if as_json:
        json_line({"restored": outcome.restored, "left": list(outcome.left)})
    for line in outcome.left:
        say(f"left: {line}")
    say(outcome.restored)
    if outcome.left:
        raise click.exceptions.Exit(ExitCode.FAILED)


@env.command(cls=Command)
@which_workspace
@json_option
def diff(project: Path | None, name: str | None, as_json: bool) -> None:
    """Compare the machine with towline.lock. Exits with 1 if they are not alike."""
    from towline.environment.machine import capture as ask_machine
    from towline.next_machine import compared

    asked = _asked(project, name)
    found = compared(_lock(asked.binding.project), ask_machine(asked))
    for what, how in found.items():
        if as_json:
            json_line({"name": what, "how": how})
        else:
            data(f"{what} {how}")
    if found:
        raise click.exceptions.Exit(ExitCode.FAILED)
    say("the machine has what towline.lock lists, and nothing else beyond its image")


def _lock(project: Path) -> Json:
    from towline.environment.file import LockFile
    from towline.environment.lock import NAME

    lock = LockFile(project).lock()
    if lock is None:
        raise UserError(f"there is no {NAME} in {project}", "`towline env capture` writes it")
    return lock


def _asked(project: Path | None, name: str | None) -> Asked:
    """Return which environment a command means. Raises UserError."""
    from towline.config import load
    from towline.control import ask
    from towline.environment.machine import Asked

    binding = chosen(project, name)
    options = load(binding.project, os.environ)
    folder = options.folder_there(binding.project, binding.machine_path)
    return Asked(binding, ask(binding, "status").get("machine_path") or folder, options)
