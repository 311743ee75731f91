"""`towline link`: keep a project folder live on a machine."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from towline.cli.options import Command, json_option
from towline.cli.output import ReaderGoneError, say
from towline.cli.project import project_to_link
from towline.core.ticket import looks_like_ticket
from towline.engine_lock import engine_of
from towline.errors import ExitCode, UserError
from towline.line.options import SshOptions
from towline.machines import Machine, machine_named
from towline.places import Binding, Workspaces, as_name
from towline.request import NO_SSH_OPTIONS, LinkRequest, split_destination

if TYPE_CHECKING:
    from towline.engine.events import Event, Status
    from towline.ui.display import Display

    Report = Callable[[Event | Status], None]


@click.command(cls=Command, short_help="Keep a project folder live on a machine.")
@click.argument("destination", metavar="[DEST[:PATH]]", required=False)
@click.option(
    "--project",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The project folder. [default: the linked project around the current directory, else "
    "the current directory]",
)
@click.option("-F", "config_file", metavar="FILE", help="Passed on to ssh: its configuration.")
@click.option("-p", "port", metavar="PORT", type=click.IntRange(1, 65535), help="Passed on to ssh.")
@click.option("-i", "identity", metavar="KEY", help="Passed on to ssh: the key to use.")
@click.option("-J", "jump", metavar="HOST", help="Passed on to ssh: hop through this host.")
@click.option("-o", "options", metavar="OPT", multiple=True, help="Passed on to ssh; repeatable.")
@click.option("--name", metavar="NAME", help="What to call it. [default: after the folder]")
@click.option("--detach", "-d", is_flag=True, help="Return once it is live; it goes on behind.")
@click.option("--once", is_flag=True, help="Sync, then leave.")
@click.option(
    "--lives", metavar="TIME", help="How long the machine lives, such as 12h: for a countdown."
)
@click.option("--no-color", is_flag=True, help="No colours; NO_COLOR does the same.")
@click.option("--request", "request_file", type=click.Path(path_type=Path), hidden=True)
@json_option
def link(
    destination: str | None,
    project: Path | None,
    config_file: str | None,
    port: int | None,
    identity: str | None,
    jump: str | None,
    options: tuple[str, ...],
    name: str | None,
    detach: bool,
    once: bool,
    lives: str | None,
    no_color: bool,
    request_file: Path | None,
    as_json: bool,
) -> None:
    """Keep a project folder live on a machine.

    DEST is anything that ssh accepts: user@host, or a Host of your ssh configuration; or the
    ticket that `towline up` has printed on a machine, and later that machine's name. PATH is
    where the project is put there, by default ~/NAME. Nothing has to be installed there; Python
    3.10 or later is enough. A second run in the same folder needs no DEST.

    Ctrl-C ends it, without loss: the next run goes on from there.
    """
    if request_file is not None:
        from towline.cli.background import read_request

        raise click.exceptions.Exit(run_here(read_request(request_file), _reading_along))
    ssh = SshOptions(_absolute(config_file), port, _absolute(identity), jump, options)
    binding, ticket = bind(destination, project, name, None if ssh == NO_SSH_OPTIONS else ssh)
    request = request_for(binding, once=once, lives=lives, ticket=ticket)
    display = partial(_display, as_json, no_color)
    if not detach:
        raise click.exceptions.Exit(run_here(request, display))
    from towline.cli.background import run_in_background

    raise click.exceptions.Exit(run_in_background(request, display()))


def _display(as_json: bool, no_color: bool) -> Display:
    from towline.ui.display import display_for

    return display_for(as_json=as_json, no_color=no_color)


def _reading_along() -> Display:
    from towline.ui.display import UntilGone
    from towline.ui.jsonl import Jsonl

    return UntilGone(Jsonl(sys.stdout, statuses=True))


def bind(
    destination: str | None, project: Path | None, name: str | None, ssh: SshOptions | None
) -> tuple[Binding, str]:
    """Return the workspace that is meant, recorded, and the ticket that has yet to let us in.

    Raises UserError if no destination is known.

    What the command says counts most, then the project's configuration, then what was linked last.
    """
    from towline import config

    workspaces = Workspaces()
    if name is not None and destination is None and project is None:
        known = workspaces.named(name)
        return workspaces.ensure(known.project, known.destination, ssh=ssh), ""
    root = project_to_link(project)
    options = config.load(root, os.environ)
    meant = destination or options.machine
    if meant is None:
        host = _last_destination(workspaces, root)
        return workspaces.ensure(root, host, name=name, ssh=ssh), ""
    name = name or (None if options.name is None else as_name(options.name))
    if not looks_like_ticket(meant):
        host, machine_path, ssh = reached(meant, root, ssh)
        return workspaces.ensure(root, host, name=name, ssh=ssh, machine_path=machine_path), ""
    machine, ticket = taken(meant)
    folder, ssh = _folder_on(machine, root), machine.ssh_options()
    binding = workspaces.ensure(root, machine.name, name=name, ssh=ssh, machine_path=folder)
    return binding, _unless_running(binding, ticket)


def reached(
    meant: str, root: Path, ssh: SshOptions | None
) -> tuple[str, str | None, SshOptions | None]:
    """Return what ssh takes, the folder there and the options, for a machine or a host.

    Raises UserError.
    """
    host, machine_path = split_destination(meant)
    machine = machine_named(host)
    if machine is None or ssh is not None:
        return host, machine_path, ssh
    return machine.name, machine_path or _folder_on(machine, root), machine.ssh_options()


def taken(text: str) -> tuple[Machine, str]:
    """Look at a ticket; return its machine, and the ticket if it has yet to let us in.

    The engine does that, with its first connection. Raises UserError.
    """
    from towline.enrolment import invitation_of, keep_let_in, read_ticket

    invitation = invitation_of(read_ticket(text), say)
    if invitation.secret is None:
        return keep_let_in(invitation), ""
    say(f"enrolling at {invitation.machine.name}")
    return invitation.machine, text


def _unless_running(binding: Binding, ticket: str) -> str:
    """An engine that runs goes on to the machine of a ticket: nobody else will use it then."""
    from towline.control import is_running
    from towline.enrolment import read_ticket, take

    if not ticket or not is_running(binding):
        return ticket
    take(read_ticket(ticket), lambda _: None)  # What a person should know was said.
    return ""


def _folder_on(machine: Machine, root: Path) -> str | None:
    return f"{machine.folder.rstrip('/')}/{root.name}" if machine.folder else None


def request_for(
    binding: Binding, *, once: bool = False, lives: str | None = None, ticket: str = ""
) -> LinkRequest:
    return LinkRequest(
        workspace_id=binding.id,
        name=binding.name,
        project=binding.project,
        destination=binding.destination,
        machine_path=binding.machine_path,
        ssh=binding.ssh,
        once=once,
        overrides={} if lives is None else {"lives": lives},
        ticket=ticket,
    )


def run_here(request: LinkRequest, display: Callable[[], Display]) -> int:
    """Run the engine in this process until it stops. Return its exit code. Raises UserError."""
    import anyio

    binding = Workspaces().by_id(request.workspace_id)
    try:
        code: int = anyio.run(_run, request, binding, display)
    except BaseExceptionGroup as group:
        raise _only_error(group) or group from None
    finally:
        if request.ticket and machine_named(request.destination) is None:
            _forget_unreached(binding)  # The ticket was worth nothing, and so is the name in it.
    return code


def _forget_unreached(binding: Binding) -> None:
    """Where a machine of that name was reached before, both sides agreed on something."""
    with suppress(UserError):  # It is gone already.
        is_unreached = not Workspaces().by_id(binding.id).linked
        if is_unreached and not engine_of(binding.places):  # Of another command, meanwhile.
            Workspaces().forget(binding)


async def _run(request: LinkRequest, binding: Binding, display: Callable[[], Display]) -> int:
    """Begin to connect, and load the rest meanwhile: there are a dozen round trips of time."""
    from towline.config import load
    from towline.control import is_running
    from towline.entrance import Entrance

    options = load(request.project, os.environ, request.overrides)
    entrance = Entrance(request, options)
    begun = nullcontext() if is_running(binding) else entrance.begun(attended=sys.stdin.isatty())
    async with begun:  # Not where the engine that runs would be cut off.
        from towline.workspace import run_link

        shown = display()
        with shown:
            return await run_link(request, options, entrance, _telling(binding, shown))


def _telling(binding: Binding, display: Report) -> Report:
    """Return what takes all that happens to whoever wants to know it.

    Nothing ends because it cannot be written down: a full disk, say, under where it is sent.
    """
    from towline.logfile import Log

    tellers: list[Report] = [Log(binding.places.log), _remembering(binding), display]

    def report(item: Event | Status) -> None:
        for tell in tellers:
            try:
                tell(item)
            except BrokenPipeError as error:
                raise ReaderGoneError from error
            except OSError:
                continue

    return report


def _only_error(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """Return what ends a command in words, where the group holds nothing else.

    Tasks fail in company, and what is no fault of towline's must not look like one.
    """
    expected, others = group.split((UserError, ReaderGoneError))
    first: BaseException | None = expected
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if others is None else None


def _remembering(binding: Binding) -> Report:
    """Return what keeps in the registry how it stood last, and that the machine was reached."""
    from towline.engine.events import Ready, Status

    state, is_reached = "", False

    def remember(item: Event | Status) -> None:
        nonlocal state, is_reached
        before = (state, is_reached)
        if isinstance(item, Status):
            state = item.state.value
        if isinstance(item, Ready | Status):
            is_reached = is_reached or bool(item.machine_path)
        if (state, is_reached) != before:
            with suppress(UserError):  # It only informs; no reason to stop.
                known = Workspaces().by_id(binding.id)
                linked = known.linked or (time.time() if is_reached else 0.0)
                Workspaces().save(dataclasses.replace(known, last_state=state, linked=linked))

    return remember


def _last_destination(workspaces: Workspaces, root: Path) -> str:
    for binding in workspaces.of_project(root):
        if binding.project == root:
            return binding.destination
    workspaces.check()
    raise UserError(
        f"no destination is known for {root}",
        hint="run `towline link DEST` with anything that ssh accepts; it is remembered then",
        exit_code=ExitCode.USAGE,
    )


def _absolute(path: str | None) -> str | None:
    """A later run may start elsewhere. ssh knows `none`, and expands `~` and `%` itself."""
    if path is None or path == "none" or path.startswith(("~", "%", "$")):
        return path
    return str(Path(path).absolute())
