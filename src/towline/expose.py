"""Expose this machine: an SSH server, a way in, and the ticket that leads a laptop to it.

Here `machine` (the server) and `routes` (the ways in) meet, for the command line and for
notebooks alike. How it looks is for them; what is done on the laptop stands in `reach`.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from towline.core.address import Address, Jump, Visit
from towline.core.ticket import Ticket, encode
from towline.errors import ExitCode, UserError
from towline.machine.identity import alias_of, is_colab, usual_alias, usual_folder
from towline.machine.place import Json, Place, ensure_place, write_private
from towline.machine.public_key import BadKeyError, check_public_line
from towline.machine.supervise import Request, Tell, supervise, take_request
from towline.machine.up import ensure_down, ensure_up, let_in, status_of, ticket_of
from towline.places import ensure_private, state_dir

# -P: what lies in the current directory must not be what towline imports.
SUPERVISE = (sys.executable, "-P", "-m", "towline", "up", "--supervise")
PROXY = (sys.executable, "-P", "-m", "towline.proxy")
VERIFY_S = 20.0  # For a new name to be known to DNS; most ways in are there at once.
KEY_FILE_MAX = 1 << 20  # Bytes.

COLAB_TERMS = (
    "Colab's terms do not allow SSH on its free machines; with compute units it is allowed"
)


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
            "server": self.status["server"],
            "routes": self.status["routes"],
        }


def up(
    *,
    route: str = "auto",
    name: str | None = None,
    keys: Sequence[str] = (),
    invites: bool | None = None,
    settings: Mapping[str, str] | None = None,
    embedded: bool = False,
    compute_units: bool = False,
    tell: Tell = lambda _sentence: None,
) -> Exposure:
    """Make this machine reachable, if it is not yet, and return its ticket. Raises `UserError`.

    `keys`: public keys, or files of them, that may enter: then the ticket holds no secret.
    `invites`: whether the ticket lets another laptop in; None: if none has been let in yet.
    `compute_units`: the person says that the platform's terms allow what is done here.
    """
    environment = dict(os.environ)
    if is_colab(environment) and not compute_units:
        raise UserError(
            COLAB_TERMS,
            "if you have them: towline.up(i_have_compute_units=True)",
            ExitCode.REFUSED,
        )
    place = _place()
    lines = [line for key in keys for line in read_keys(key)]
    request = Request(
        alias=alias_of(name) if name else usual_alias(environment, socket.gethostname()),
        route=route,
        settings=dict(settings or {}),
        folder=usual_folder(environment),
        embedded=embedded,
        environment=environment,
    )
    status = ensure_up(place, request, SUPERVISE, tell)
    if lines:
        let_in(place, lines)
        invites = bool(invites)
    return Exposure(ticket_of(place, status, invites=invites), status)


def down() -> bool:
    """Close the way in, end the server and its connections; return whether there was one."""
    return ensure_down(_place())


def status() -> Json | None:
    """Return what keeps this machine reachable, None if nothing does."""
    return status_of(_place())


def read_keys(given: str) -> list[str]:
    """Return the public keys in a text or in a file. Raises `UserError`."""
    text = given.strip()
    if " " not in text or Path(text).is_file():
        try:
            with Path(text).expanduser().open(encoding="utf-8") as file:
                text = file.read(KEY_FILE_MAX)
        except (OSError, ValueError) as error:
            raise UserError(
                f"the public key cannot be read: {error}",
                "give the key itself (`ssh-ed25519 AAAA…`), or the path of its .pub file",
                ExitCode.USAGE,
            ) from None
    try:
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
        found = [check_public_line(line) for line in lines]
    except BadKeyError as error:
        raise UserError(f"this is no public key: {error}", "", ExitCode.USAGE) from None
    if not found:
        raise UserError(f"there is no public key in {given}", "", ExitCode.USAGE)
    return found


def _place() -> Place:
    return ensure_place(state_dir() / "machine")


# The detached process


def supervise_here() -> int:
    """Be the supervisor: tell the command that started it, in lines of JSON, then go on alone."""
    import anyio

    place = _place()
    teller = _Teller()
    try:
        request = take_request(place)
        anyio.run(supervise, place, request, _opener(place, request), teller.tell)
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


class _OpenWay:
    """A route's tunnel, by the supervisor's words."""

    def __init__(self, route: str, address: Address, ended: Callable[[], Awaitable[str]]) -> None:
        self.route = route
        self.address = address
        self._ended = ended

    async def wait_ended(self) -> str:
        return await self._ended()


def _opener(place: Place, request: Request):  # type: ignore[no-untyped-def]
    from towline.routes.base import Surroundings
    from towline.routes.catalog import route_named, routes
    from towline.routes.choose import candidates, open_first
    from towline.routes.errors import RouteError

    directory = ensure_private(state_dir() / "routes")  # What was downloaded serves all.
    around = Surroundings(directory, request.environment, request.settings)
    if request.route == "auto":
        order = candidates(routes(), around)
    else:
        order = [route_named(request.route)]
        if why := order[0].why_not(around):
            raise RouteError(f"the route {request.route} cannot be opened here: {why}")

    @asynccontextmanager
    async def open_way(port: int, host_key: str, tell: Tell) -> AsyncGenerator[_OpenWay]:
        async def verify(address: Address) -> None:
            await verify_from_outside(address, host_key, place)

        async with open_first(order, port, around, verify, tell) as (route, tunnel):
            yield _OpenWay(route.name, tunnel.address, tunnel.wait_ended)

    return open_way


async def verify_from_outside(address: Address, host_key: str, place: Place) -> None:
    """See whether our host key is at an address, by the code that a laptop uses. Raises RouteError.

    Where only the laptop's own keys or programs lead there, its owner will see.
    """
    import anyio

    from towline.routes.errors import RouteError

    if isinstance(address, Jump | Visit):
        return
    ends_at = anyio.current_time() + VERIFY_S
    while (reason := await _look_from_outside(address, host_key, place)) is not None:
        if anyio.current_time() >= ends_at:
            raise RouteError(f"{place_of(address)} does not lead here: {reason}", passing=True)
        await anyio.sleep(1.0)


async def _look_from_outside(address: Address, host_key: str, place: Place) -> str | None:
    """Return why our host key is not seen there, None if it is. Another one is final."""
    import anyio
    import asyncssh

    from towline.routes.errors import RouteError

    addresses = place.directory / "verified"
    write_private(addresses, str(address))
    command = [*PROXY, "--from", str(addresses), "this-machine"]
    found = None
    try:
        with anyio.fail_after(VERIFY_S):
            found = await asyncssh.get_server_host_key(
                "this-machine", config=None, proxy_command=command
            )
    except (OSError, TimeoutError, asyncssh.Error) as error:
        return str(error) or "nobody answers"
    line = found.export_public_key().decode() if found else ""
    if line.split()[:2] == host_key.split()[:2]:
        return None
    raise RouteError(
        f"behind {place_of(address)} is another machine than this one",
        "the address leads somewhere else; choose another route",
    )


def place_of(address: Address) -> str:
    """Return an address as it may be shown: without what a token would be."""
    return str(address).partition("#")[0]
