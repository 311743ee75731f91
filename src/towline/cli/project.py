"""Which folder is the project that a command is about."""

from __future__ import annotations

from pathlib import Path

from towline.errors import ExitCode, UserError
from towline.places import Workspaces


def project_root(project: Path | None) -> Path:
    """Return the folder given, else the linked project around the current directory, else that."""
    if project is not None:
        return project.resolve()
    here = Path.cwd()
    known = Workspaces().of_project(here)
    return known[0].project if known else here


def project_to_link(project: Path | None) -> Path:
    """As `project_root`; but a whole home must be meant in so many words. Raises UserError."""
    root = project_root(project)
    if project is None and root in (Path.home().resolve(), Path(root.anchor)):
        raise UserError(
            f"{root} is not a project but all you have",
            hint="change to a project folder, or name it with --project",
            exit_code=ExitCode.USAGE,
        )
    return root
