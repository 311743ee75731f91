"""Expose this machine: an SSH server, a way in, and the ticket that leads a laptop to it.

For the command line and for notebooks alike; how it looks is for them. What is asked for travels to
the supervisor, a process of its own, which opens the ways in (`opening`).
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from towline.core.ticket import Ticket, encode
from towline.errors import ExitCode, UserError
from towline.machine.account import own_account
from towline.machine.given_key import fetch_https, read_keys
from towline.machine.identity import alias_of
from towline.machine.place import Json, Place, ensure_place
from towline.machine.platform import Platform, platform_of
from towline.machine.supervise import Request, supervise, take_request
from towline.machine.up import Tell, ensure_down, ensure_up, let_in, status_of, ticket_of
from towline.places import state_dir
from towline.wanted import AUTO, gather

# -P: what lies in the current directory must not be what towline imports.
SUPERVISE = (sys.executable, "-P", "-m", "towline", "up", "--supervise")


@dataclass(frozen=True, slots=True)
class Exposure:
    """A machine that is up."""

    ticket: Ticket
    status: Json

    @property
    def text(self) -> str:
        return encode(self.ticket)

    def as_json(self) -> Json:
        return {
            "ticket": self.text,
            "name": self.ticket.alias,
            "expires": self.ticket.expires or None,
            "until": self.status.get("until") or None,
            "server": self.status["server"],
            "routes": self.status["routes"],
        }


def up(
    *,
    routes: Sequence[str] = (),
    name: str | None = None,
    keys: Sequence[str] = (),
    invites: bool | None = None,
    settings: Mapping[str, str] | None = None,
    embedded: bool = False,
    compute_units: bool = False,
    tell: Tell = lambda _sentence: None,
) -> Exposure:
    """Make this machine reachable, if it is not yet, and return its ticket. Raises `UserError`.

    `routes`: the ways in to be kept open, all of them; `auto` is the first one that works. What is
    not given here is looked for where `wanted` says.
    `keys`: public keys that may enter, as `given_key` reads them: then the ticket holds no secret.
    `invites`: whether the ticket lets another laptop in; None: if none has been let in yet.
    `compute_units`: the person says that the platform's terms allow what is done here.
    """
    environment = dict(os.environ)
    platform = platform_of(environment)
    _check_terms(platform, compute_units)
    place = _place()
    wanted = gather(
        routes=routes,
        name=name,
        keys=keys,
        settings=settings or {},
        environment=environment,
        folder=Path.cwd(),
        tell=tell,
    )
    lines = [line for key in wanted.keys for line in read_keys(key, environment, tell, fetch_https)]
    request = Request(
        alias=alias_of(wanted.name or platform.alias or socket.gethostname().partition(".")[0]),
        routes=wanted.routes,
        settings=wanted.settings,
        folder=platform.folder,
        embedded=embedded,
        environment=environment,
    )
    status = ensure_up(place, request, SUPERVISE, tell)
    _tell_if_otherwise(status, wanted.routes, tell)
    if lines:
        let_in(place, lines)
        invites = bool(invites)
    return Exposure(ticket_of(place, status, invites=invites), status)


def _check_terms(platform: Platform, compute_units: bool) -> None:
    """Raise `UserError` where a platform allows this only to those who pay, unless they say so."""
    if platform.terms and not compute_units:
        raise UserError(
            platform.terms,
            "if you have them: towline.up(i_have_compute_units=True)",
            ExitCode.REFUSED,
        )


def _tell_if_otherwise(status: Json, routes: tuple[str, ...], tell: Tell) -> None:
    """Say that the machine was up before, by other ways in than are wanted now."""
    if routes != (AUTO,) and tuple(status.get("wanted", routes)) != routes:
        tell(
            f"it is up already, by {', '.join(status['wanted'])}: `towline down` first, then `up`"
            " again, for other ways in"
        )


def down() -> bool:
    """Close the way in, end the server and its connections; return whether there was one."""
    return ensure_down(_place())


def status() -> Json | None:
    """Return what keeps this machine reachable, None if nothing does."""
    return status_of(_place())


def _place() -> Place:
    return ensure_place(state_dir() / "machine")


# The detached process


def supervise_here() -> int:
    """Be the supervisor: tell the command that started it, in lines of JSON, then go on alone."""
    import anyio

    from towline.opening import opener

    place = _place()
    teller = _Teller()
    # Where no file knows the account, asyncssh asks for a name here.
    os.environ.setdefault("LOGNAME", own_account(os.environ).name)
    try:
        request = take_request(place)
        anyio.run(supervise, place, request, opener(place, request), teller.tell)
    except (UserError, BaseExceptionGroup) as failure:
        error = _only_user_error(failure)
        teller.tell({"error": error.message, "hint": error.hint, "exit_code": error.exit_code})
        return error.exit_code
    return ExitCode.OK


def _only_user_error(failure: BaseException) -> UserError:
    """Return what is the person's to mend; anything else is ours, and raised."""
    if isinstance(failure, UserError):
        return failure
    if isinstance(failure, BaseExceptionGroup):
        several = cast("tuple[BaseException, ...]", failure.exceptions)  # pyright: ignore[reportUnknownMemberType]
        if len(several) == 1:
            return _only_user_error(several[0])
    raise failure


class _Teller:
    """Standard output until the machine is ready, the log from then on."""

    def __init__(self) -> None:
        self._is_alone = False

    def tell(self, told: Json) -> None:
        if self._is_alone:
            logged = {"ready": True} if "ready" in told else told  # An address may hold a token.
            with suppress(OSError):  # A disk that is full is no reason to be reached no more.
                sys.stderr.write(f"{json.dumps(logged)}\n")
                sys.stderr.flush()
            return
        try:
            sys.stdout.write(f"{json.dumps(told)}\n")
            sys.stdout.flush()
        except BrokenPipeError:  # Who started us has left; we are wanted all the same.
            self._leave()
        if "ready" in told:
            self._leave()

    def _leave(self) -> None:
        """Let the pipe end, and let nothing that prints find it broken."""
        self._is_alone = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
