"""How a link reaches its machine: the first time before the engine is loaded, then as it is asked.

A connection is a dozen round trips; meanwhile the engine is loaded. Where a ticket has yet to let
this laptop in, the first command goes behind the laptop's key, so that nothing is connected twice.
To a host that is not known to have the agent, it is sent without waiting to be asked. When to
connect again is not for here to say.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import AsyncGenerator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    suppress,
)

import anyio
from anyio.abc import ByteStream

from towline.config import Options
from towline.enrolment import (
    COMMAND,
    ENROL_S,
    Invitation,
    invitation_of,
    is_accepted,
    keep_let_in,
    one_time_config,
    read_ticket,
    refused,
    silent,
)
from towline.errors import UserError
from towline.line.bootstrap import Bootstrap
from towline.line.bundle import load_bundle
from towline.line.errors import ConnectError, ConnectKind
from towline.line.options import SshOptions
from towline.line.process import ProcessStream, open_process_stream
from towline.line.ssh import begin_agent, command_line, explained, open_ssh
from towline.machines import machine_named
from towline.places import Workspaces
from towline.request import LinkRequest


class Entrance:
    """How one link reaches the agent: by the connection that was begun, then by new ones."""

    def __init__(self, request: LinkRequest, options: Options) -> None:
        self._request = request
        self._ssh = options.ssh.below(request.ssh)
        self._python = options.python or ""
        self._invitation = _open_invitation(request.ticket)
        self._once = ExitStack()  # The files of the one-time key, while they are needed.
        self._begun: ProcessStream | None = None

    @asynccontextmanager
    async def begun(self, *, attended: bool) -> AsyncGenerator[None]:
        """Begin to connect, once; what comes of it is there while the context lasts.

        What cannot be started now is not there; whoever connects then is told why.
        """
        async with AsyncExitStack() as stack:
            stack.callback(self._once.close)
            arguments = self._arguments(attended=attended)
            with suppress(ConnectError):
                process = open_process_stream(arguments, attended=attended)
                self._begun = await stack.enter_async_context(process)
            yield

    def connect(self, *, attended: bool) -> AbstractAsyncContextManager[ByteStream]:
        """Connect to the agent for as long as the context lasts. Raises `ConnectError`.

        Raises UserError if the machine does not let this laptop in by its ticket.
        """
        if self._begun is None:
            return self._anew(attended=attended)
        process, self._begun = self._begun, None
        return self._go_on(process, attended=attended)

    # -- Connecting ---------------------------------------------------------------------------

    @functools.cached_property
    def _bootstrap(self) -> Bootstrap:
        """By a ticket it is not needed before ssh has been started: the bundle takes a while."""
        return Bootstrap(load_bundle(), self._request.workspace_id, python=self._python)

    def _anew(self, *, attended: bool) -> AbstractAsyncContextManager[ByteStream]:
        return open_ssh(self._request.destination, self._ssh, self._bootstrap, attended=attended)

    def _arguments(self, *, attended: bool) -> list[str]:
        host = self._request.destination
        if self._invitation is None:
            command = self._bootstrap.command(unasked=self._lacks_agent())
            return command_line(self._ssh, host, command, attended=attended)
        config = SshOptions(
            config_file=str(self._once.enter_context(one_time_config(self._invitation)))
        )
        return command_line(config, host, COMMAND, attended=False)

    @asynccontextmanager
    async def _go_on(self, process: ProcessStream, *, attended: bool) -> AsyncGenerator[ByteStream]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(process.aclose)
            if self._invitation is None:
                stream = await begin_agent(process, self._bootstrap)
                self._note_agent()
            elif (begun := await self._be_let_in(process, self._invitation)) is not None:
                stream = begun
            else:
                stream = await stack.enter_async_context(self._anew(attended=attended))
            yield stream

    def _lacks_agent(self) -> bool:
        """Whether the host is to have our agent yet, as far as we know; `up` lays it ready."""
        host, digest = self._request.destination, self._bootstrap.digest
        known = (one for one in Workspaces() if one.destination == host)
        return machine_named(host) is None and all(one.bundle != digest for one in known)

    def _note_agent(self) -> None:
        with suppress(UserError):  # It only spares some time at the next connection.
            known = Workspaces().by_id(self._request.workspace_id)
            Workspaces().save(dataclasses.replace(known, bundle=self._bootstrap.digest))

    async def _be_let_in(self, process: ProcessStream, invitation: Invitation) -> ByteStream | None:
        """Have our key let in, and return what the same connection then leads to.

        None if it leads nowhere: the machine's towline may be an older one. Raises UserError and
        `ConnectError`.
        """
        lines = f"{invitation.public}\n{self._bootstrap.command()}\n"
        with suppress(anyio.BrokenResourceError):  # Why it reads no more, it says next.
            await process.send(lines.encode())
        try:
            with self._once, anyio.fail_after(ENROL_S):
                stream = await self._bootstrap.begin(process)
        except TimeoutError:
            raise silent(invitation.machine.name) from None
        except ConnectError as error:
            if error.kind is ConnectKind.NO_PYTHON:  # The command ran, so we were let in.
                keep_let_in(invitation)
            raise
        except anyio.EndOfStream as end:
            answer = end.args[0].decode("utf-8", "replace").strip()
            if not is_accepted(answer):
                status, stderr = await process.wait_ended()
                raise refused(invitation.machine, answer, status, stderr) from None
            keep_let_in(invitation)
            return None
        keep_let_in(invitation)
        return explained(stream, process, self._bootstrap)


def _open_invitation(ticket: str) -> Invitation | None:
    """What a person is to know of a ticket they were told by the command that was given it."""
    return invitation_of(read_ticket(ticket), lambda _: None) if ticket else None
