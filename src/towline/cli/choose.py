"""Which workspace a command means: by name, or the one the current directory lies in."""

from __future__ import annotations

from pathlib import Path

from towline.control import is_running
from towline.errors import ExitCode, UserError
from towline.places import Binding, Workspaces


def chosen(project: Path | None, name: str | None) -> Binding:
    """Raises UserError if there is none, or several are linked and none of them is meant."""
    if name is not None:
        return Workspaces().named(name)
    directory = (project or Path()).resolve()
    here = Workspaces().of_project(directory)
    if not here:
        Workspaces().check()
        raise UserError(
            f"towline is not linked here: {directory} is in no project that was linked",
            hint="run `towline link DEST` there, or give --name; `towline links` lists all",
            exit_code=ExitCode.UNAVAILABLE,
        )
    return here[0] if len(here) == 1 else _running_one(here)


def _running_one(here: list[Binding]) -> Binding:
    """Of several for one project the running one is meant, else the last one linked."""
    running = [binding for binding in here if is_running(binding)]
    if len(running) > 1:
        names = ", ".join(binding.name for binding in running)
        raise UserError(
            f"this project is linked to several machines: {names}",
            hint="choose one with --name",
            exit_code=ExitCode.USAGE,
        )
    return (running or here)[0]
