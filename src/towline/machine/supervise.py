"""The process that keeps a machine reachable: an SSH server, ways in, and what it says of both.

It is detached, so that it survives the kernel or the terminal it was started from, and there is
one for each place. Which ways in there are it does not know: it is given what opens one. What it
writes of them into its place is what the agent tells a linked laptop.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

import anyio

from towline.errors import ExitCode, UserError
from towline.line.lay import lay_bundle
from towline.machine.account import own_account
from towline.machine.environment import passed_on
from towline.machine.identity import Identity, ensure_identity, keep_port
from towline.machine.lock import try_lock
from towline.machine.login import path_kept
from towline.machine.place import Json, Place, read_json, write_private
from towline.machine.platform import expected_end, machine_began, platform_of
from towline.machine.server import ensure_port, open_ssh_server
from towline.machine.sshd import end_left_over
from towline.machine.status import StatusFile
from towline.machine.ways import OpenWay, Ways

STATUS_VARIABLE = "TOWLINE_STATUS_FILE"
"""Where an agent that is started over our server finds what stands in the place."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the caller of `up` wants, and their environment. It travels in a private file."""

    alias: str
    routes: tuple[str, ...] = ("auto",)
    settings: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    folder: str = ""
    embedded: bool = False  # Do not try the real sshd.
    environment: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    def write(self, place: Place) -> None:
        write_private(place.request, json.dumps(asdict(self)))


def take_request(place: Place) -> Request:
    """Return what is asked for; the file is gone then, for it holds an environment."""
    plain = read_json(place.request)
    if plain is None:
        raise UserError(f"{place.request} holds no request", exit_code=ExitCode.USAGE)
    place.request.unlink()
    plain["routes"] = tuple(plain["routes"])
    return Request(**plain)


async def supervise(
    place: Place, request: Request, open_way: OpenWay, tell: Callable[[Json], None]
) -> None:
    """Keep this machine reachable until a signal ends it. Raises `UserError` if it cannot be.

    `tell` is told what happens, `{"progress": sentence}`, and once the machine can be reached
    `{"ready": status}`.
    """
    lock = try_lock(place.lock)
    if lock is None:
        raise UserError("another towline keeps this machine reachable", "", ExitCode.TRY_AGAIN)
    place.status.unlink(missing_ok=True)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_on_signal, tasks.cancel_scope)
            await _Supervisor(place, request, open_way, tell).run()
            tasks.cancel_scope.cancel()
    finally:
        place.status.unlink(missing_ok=True)
        os.close(lock)


async def _end_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            scope.cancel()
            return


class _Supervisor:
    def __init__(
        self, place: Place, request: Request, open_way: OpenWay, tell: Callable[[Json], None]
    ) -> None:
        self._place = place
        self._request = request
        self._open_way = open_way
        self._tell = tell
        self._account = own_account(request.environment)
        self._began = time.time()
        self._ready = anyio.Event()

    async def run(self) -> None:
        identity = ensure_identity(self._place)
        end_left_over(self._place)  # Of a supervisor that was killed: it would hold our port.
        port = ensure_port(identity.port)
        keep_port(self._place, identity, port)
        passed = passed_on(self._request.environment, self._account.home)
        passed[STATUS_VARIABLE] = str(self._place.status)
        self._progress("starting an SSH server of its own")
        with path_kept(self._place, passed, identity.machine) as environment:
            async with open_ssh_server(
                self._place,
                port,
                identity.host_key,
                self._account,
                environment,
                self._progress,
                embedded=self._request.embedded,
            ) as server:
                about = self._about(identity, port, server)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._lay_bundle)
                    await self._keep_open(port, identity.host_key, about)

    async def _lay_bundle(self) -> None:
        """Once somebody may come, what they would have to bring is there."""
        await self._ready.wait()
        try:
            await anyio.to_thread.run_sync(lay_bundle)
        except OSError as error:
            self._progress(f"the agent cannot be laid ready: {error}")

    def _about(self, identity: Identity, port: int, server: str) -> Json:
        platform = platform_of(self._request.environment)
        return {
            "pid": os.getpid(),
            "alias": self._request.alias,
            "machine": identity.machine,
            "host_key": identity.host_key,
            "user": self._account.name,
            "folder": self._request.folder,
            "wanted": self._request.routes,
            "port": port,
            "server": server,
            "since": self._began,
            "until": expected_end(platform, machine_began()),
            "life": platform.life,
        }

    async def _keep_open(self, port: int, host_key: str, about: Json) -> None:
        """Say which ways in are open, at each change; the caller of `up` is told of the first."""
        file = StatusFile(self._place.status, self._progress)

        def announce() -> None:
            routes = [{"route": way.route, "address": str(way.address)} for way in ways.open]
            status = {**about, "routes": routes, "reason": "" if routes else ways.reason}
            file.write(status)
            if routes:
                self._tell({"ready": status})
                self._ready.set()

        ways = Ways(self._request.routes, self._open_way, announce, self._progress)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(file.keep)
            await ways.keep_open(port, host_key)

    def _progress(self, sentence: str) -> None:
        self._tell({"progress": sentence})
