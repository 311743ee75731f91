"""`towline git`: the project's repository on the machine, and its commits back here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from towline.cli.choose import chosen
from towline.cli.options import Command, json_option, which_workspace
from towline.cli.output import columns, json_line, say
from towline.places import Workspaces

if TYPE_CHECKING:
    from towline.git.here import Point
    from towline.git.standing import Standing

PATHS_SHOWN = 5


@click.group(short_help="The repository on the machine: make it, fetch from it.")
def git() -> None:
    """Work with git on the machine: status, diff, commit and push there, as you.

    `.git` is never synced. `setup` makes a repository there by git's own transport; what is
    committed there comes back by `fetch`.
    """


@git.command(cls=Command)
@click.option(
    "--depth",
    type=click.IntRange(min=0),
    metavar="N",
    help="Only the last N commits; 0: all. [default: all, 100 of a repository over 200 MB]",
)
@which_workspace
@json_option
def setup(depth: int | None, project: Path | None, name: str | None, as_json: bool) -> None:
    """Make the machine's repository like this one: HEAD, index, your name and email.

    Run again after commits here, it brings the machine to where you are. It changes nothing if
    the machine has commits or staged changes that are not from here.
    """
    from towline.git.setup import set_up

    result = set_up(chosen(project, name), depth)
    if as_json:
        json_line(
            {
                "folder": result.folder,
                **_point(result.point),
                "new": result.was_new,
                "depth": result.depth,
                "not_synced": list(result.not_synced),
                "differences": {path: list(two) for path, two in result.differences.items()},
            }
        )
    say(f"{result.folder}: {result.point.shown()}")
    if result.depth is not None:
        say(f"with the last {result.depth} commits; `--depth 0` brings all")
    if not result.identity:
        say("you have no name or email for git here: `git config --global user.name`, user.email")
    if result.not_synced:
        say(f"tracked, but not synced, and so left alone there: {_some(list(result.not_synced))}")
    if result.differences:
        say(f"`git status` there is not the same as here: {_some(list(result.differences))}")
    else:
        say("`git status` there says the same as here")


@git.command(cls=Command)
@which_workspace
@json_option
def fetch(project: Path | None, name: str | None, as_json: bool) -> None:
    """Bring what was committed on the machine, as the refs towline/NAME/BRANCH.

    No branch, index or file of yours is touched. What to do with them is said.
    """
    from towline.git.standing import fetch as fetch_from

    _tell(fetch_from(chosen(project, name)), as_json)


@git.command(cls=Command)
@which_workspace
@json_option
def status(project: Path | None, name: str | None, as_json: bool) -> None:
    """Say how the two repositories stand to each other, and what to do about it."""
    from towline.git.standing import standing

    _tell(standing(chosen(project, name)), as_json)


@git.command(cls=Command, hidden=True)
@click.argument("workspace_id")
@click.argument("command")
def transport(workspace_id: str, command: str) -> None:
    """What git starts in place of ssh."""
    from towline.git.there import carry

    raise click.exceptions.Exit(carry(Workspaces().by_id(workspace_id), command))


def _tell(now: Standing, as_json: bool) -> None:
    from towline.git.standing import advice

    if as_json:
        json_line(
            {
                "here": _point(now.here),
                "there": _point(now.there),
                "relation": now.relation,
                "only_here": now.only_here,
                "only_there": now.only_there,
                "staged_there": now.staged_there,
                "ref": now.ref,
            }
        )
        return
    rows = [["here", now.here.shown()], ["there", now.there.shown()]]
    if now.relation not in ("same", "not fetched"):
        rows.append(["only here", _commits(now.only_here)])
        rows.append(["only there", _commits(now.only_there)])
    columns(rows)
    if now.staged_there:
        say("something is staged there that is not committed")
    if text := advice(now):
        say(text)


def _point(point: Point) -> dict[str, Any]:
    return {"head": point.head, "branch": point.branch}


def _commits(count: int | None) -> str:
    return f"{count} commit{'' if count == 1 else 's'}"


def _some(paths: list[str]) -> str:
    more = len(paths) - PATHS_SHOWN
    return ", ".join(paths[:PATHS_SHOWN]) + (f" and {more} more" if more > 0 else "")
