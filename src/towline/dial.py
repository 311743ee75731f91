"""How an engine reaches its machine, and the first connection, begun before the engine is loaded.

ssh takes a fifth of a second on the shortest way, and Python as long to load an engine: `begin`
lets the one happen during the other. Decides nothing about when to connect again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from anyio.abc import ByteStream

from towline.config import Options, Ssh, load
from towline.line.bootstrap import Bootstrap
from towline.line.bundle import load_bundle
from towline.line.errors import ConnectError
from towline.line.options import SshOptions
from towline.line.process import ProcessStream
from towline.line.ssh import keep_ssh, open_ssh, start_ssh
from towline.request import LinkRequest


class Dial:
    """`options` are those of the project that `request` names."""

    def __init__(self, request: LinkRequest, options: Options) -> None:
        self.options = options
        self._host = request.destination
        self._ssh = _ssh_options(request.ssh, options.ssh)
        self._bootstrap = Bootstrap(
            load_bundle(), request.workspace_id, python=options.python or ""
        )
        self._begun: ProcessStream | None = None

    async def begin(self) -> None:
        """Start the ssh of the first connection. If that fails, `open` meets it again."""
        with suppress(ConnectError):
            attended = may_ask()
            self._begun = await start_ssh(self._host, self._ssh, self._bootstrap, attended=attended)

    def open(self, *, attended: bool) -> AbstractAsyncContextManager[ByteStream]:
        """Connect for as long as the context lasts. Raises `ConnectError`, as `open_ssh` does."""
        begun, self._begun = self._begun, None
        if begun is not None:
            return keep_ssh(begun, self._bootstrap)
        return open_ssh(self._host, self._ssh, self._bootstrap, attended=attended)

    async def aclose(self) -> None:
        """End what was begun and is used by nobody."""
        if self._begun is not None:
            await self._begun.aclose()


@asynccontextmanager
async def dialled(request: LinkRequest, *, ahead: bool) -> AsyncGenerator[Dial]:
    """Yield the way to the machine of a request; with `ahead`, the first connection is under way.

    Raises `UserError` where the project's configuration cannot be used.
    """
    dial = Dial(request, load(request.project, os.environ, request.overrides))
    try:
        if ahead:
            await dial.begin()
        yield dial
    finally:
        await dial.aclose()


def may_ask() -> bool:
    """Whether somebody sits at the terminal, whom ssh may ask for a password."""
    return sys.stdin.isatty()


def _ssh_options(given: SshOptions, configured: Ssh) -> SshOptions:
    return SshOptions(
        config_file=given.config_file or configured.config,
        port=given.port if given.port is not None else configured.port,
        identity=given.identity or configured.identity,
        jump=given.jump or configured.jump,
        options=(*given.options, *configured.options),
    )
