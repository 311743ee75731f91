"""Options that several commands share, and the class of every command."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from towline.cli.output import ReaderGoneError, json_line
from towline.control import error_json
from towline.errors import UserError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Command(click.Command):
    """A command that tells an error to a program too, where one is listening (`--json`)."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            if ctx.params.get("as_json"):
                with suppress(ReaderGoneError):  # Who listened has left; the exit code still tells.
                    json_line({"event": "error", **error_json(error)})
            raise


_project_option = click.option(
    "--project",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The workspace of this project. [default: the one the current directory is in]",
)


def which_workspace(command: Decorated) -> Decorated:
    """Add `--project` and `--name`, for `cli.choose`."""
    for decorate in (
        click.option("--name", metavar="NAME", help="The workspace of this name."),
        _project_option,
    ):
        command = decorate(command)
    return command


def which_workspace_of_jobs(command: Decorated) -> Decorated:
    """Add `--project` and `--workspace`: to those who run jobs, a name is a job's."""
    for decorate in (
        click.option("--workspace", metavar="NAME", help="The workspace of this name."),
        _project_option,
    ):
        command = decorate(command)
    return command


which_project = click.option(
    "--project",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The project. [default: the one the current directory is in]",
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one object per line."
)
