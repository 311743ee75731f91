"""`towline explain`: why a path is synced or not, and which line of which file says so."""

from __future__ import annotations

from pathlib import Path

import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import data, json_line
from towline.control import Json, ask
from towline.errors import ExitCode, UserError
from towline.places import Binding


@click.command(cls=Command, short_help="Why a path is synced, or is not.")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@which_workspace
@json_option
def explain(paths: tuple[str, ...], project: Path | None, name: str | None, as_json: bool) -> None:
    """Say whether each PATH is synced, and which rule of which file decides it.

    PATH need not exist. Exits with 1 if one of them is not synced.
    """
    from towline.ui.words import shown

    binding = chosen(project, name)
    all_synced = True
    for path in paths:
        reply = ask(binding, "explain", path=_in_project(binding, path))
        all_synced = all_synced and bool(reply["synced"])
        if as_json:
            json_line(reply)
        else:
            verdict = "synced" if reply["synced"] else "not synced"
            data(f"{shown(reply['path'])}: {verdict}: {reply['reason']}{_where(reply)}")
    if not all_synced:
        raise click.exceptions.Exit(ExitCode.FAILED)


def _in_project(binding: Binding, path: str) -> str:
    """Return the path as the engine names it: relative to the project, with slashes."""
    absolute = Path(path).absolute()
    try:
        return (absolute.parent.resolve() / absolute.name).relative_to(binding.project).as_posix()
    except ValueError:
        raise UserError(
            f"{path} is not in the project {binding.project}", exit_code=ExitCode.USAGE
        ) from None


def _where(reply: Json) -> str:
    if not reply.get("source"):
        return ""
    line = f":{reply['line']}" if reply.get("line") else ""
    pattern = f": {reply['pattern']}" if reply.get("pattern") else ""
    return f" ({reply['source']}{line}{pattern})"
