"""`towline links`: all workspaces at once, whatever project the current directory is in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

from towline.cli.options import Command, json_option
from towline.cli.output import columns, json_line, say
from towline.control import ask, error_json
from towline.errors import ExitCode, UserError
from towline.places import Binding, Workspaces


@click.group(
    invoke_without_command=True, short_help="Several workspaces at once: list, start, stop."
)
@click.pass_context
def links(ctx: click.Context) -> None:
    """List, start or stop workspaces, several at once.

    They are independent of each other: each has an engine, a machine and a state of its own.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_links, as_json=False)


@links.command(cls=Command, name="list")
@json_option
def list_links(as_json: bool) -> None:
    """List all workspaces: name, state, project, destination."""
    rows = [_row(binding) for binding in Workspaces()]
    if as_json:
        for row in rows:
            json_line(row)
    elif rows:
        columns([[str(row[key]) for key in ("name", "state", "project", "there")] for row in rows])
    else:
        say("nothing is linked; run `towline link DEST` in a project")
    Workspaces().check()


@links.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--at-login", is_flag=True, help="Those that `towline service` starts at login.")
@json_option
def start(names: tuple[str, ...], at_login: bool, as_json: bool) -> None:
    """Start the engines of the workspaces named, or of all, in the background.

    Exits with the code of the last that failed; the others run.
    """
    from towline.cli.background import run_in_background
    from towline.cli.link import request_for
    from towline.ui.display import display_for

    wanted = [b for b in _named(names) if b.at_login or not at_login]
    _each(
        wanted,
        lambda binding: run_in_background(
            request_for(binding), display_for(as_json=as_json, no_color=False)
        ),
        as_json,
    )
    if not names:
        Workspaces().check()


@links.command(cls=Command)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_option
def stop(names: tuple[str, ...], as_json: bool) -> None:
    """Stop the engines of the workspaces named, or of all."""
    from towline.cli.stop import ensure_stopped

    def stop_one(binding: Binding) -> None:
        was_running = ensure_stopped(binding)
        if as_json:
            json_line({"workspace": binding.name, "was_running": was_running})
        say(f"{binding.name}: " + ("stopped" if was_running else "was not running"))

    _each(_named(names), stop_one, as_json)
    if not names:
        Workspaces().check()


@links.command(cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@json_option
def forget(names: tuple[str, ...], as_json: bool) -> None:
    """Forget workspaces: their record, state and log. Project and machine are not touched."""
    from towline.engine_lock import engine_of

    def forget_one(binding: Binding) -> None:
        if engine_of(binding.places):
            raise UserError(
                "its engine runs",
                hint=f"run `towline links stop {binding.name}` first",
                exit_code=ExitCode.USAGE,
            )
        Workspaces().forget(binding)
        if as_json:
            json_line({"workspace": binding.name, "forgotten": True})
        say(f"{binding.name}: forgotten")

    _each(_named(names), forget_one, as_json)


def _named(names: tuple[str, ...]) -> list[Binding]:
    workspaces = Workspaces()
    return [workspaces.named(name) for name in names] if names else list(workspaces)


def _each(bindings: Iterable[Binding], act: Callable[[Binding], object], as_json: bool) -> None:
    """What fails for one is said, and does not keep the others from being done."""
    codes = [_do(binding, act, as_json) for binding in bindings]
    if failed := [code for code in codes if code]:
        raise click.exceptions.Exit(failed[-1])


def _do(binding: Binding, act: Callable[[Binding], object], as_json: bool) -> int:
    """Return the exit code."""
    try:
        act(binding)
    except UserError as error:
        say(f"error: {binding.name}: {error.message}")
        if error.hint:
            say(f"hint: {error.hint}")
        if as_json:
            json_line({"event": "error", **error_json(error), "workspace": binding.name})
        return error.exit_code
    return ExitCode.OK


def _row(binding: Binding) -> dict[str, Any]:
    """One workspace; what its engine says if it runs, else what was remembered."""
    row: dict[str, Any] = {
        "name": binding.name,
        "state": "not running",
        "running": False,
        "pid": None,
        "last_state": binding.last_state,
        "project": str(binding.project),
        "there": binding.destination + (f":{binding.machine_path}" if binding.machine_path else ""),
        "at_login": binding.at_login,
        "id": binding.id,
    }
    try:
        row.update(pid=ask(binding, "who")["pid"], running=True, state="running")
        row.update(state=ask(binding, "status")["state"])
    except UserError as error:
        if error.exit_code != ExitCode.UNAVAILABLE:
            row.update(state="does not answer", running=True)
    return row
