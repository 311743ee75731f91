"""The SSH server of this machine, whichever can be had: the real one, else the embedded one.

Both listen on the same loopback port, have the same host key and let the same keys in.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from towline.errors import UserError
from towline.machine.account import Account
from towline.machine.check import CheckError, NoTerminalError, check_server
from towline.machine.place import Place
from towline.machine.sshd import SshdError, find_sshd, open_sshd, prepare

PORTS = range(42022, 42122)  # Looked at in this order: the usual one is easy to remember.


def ensure_port(wanted: int) -> int:
    """Return the port of the last time if it is free, else one that is. Raises `UserError`."""
    for port in (wanted, *PORTS) if wanted else PORTS:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise UserError("no port is free on this machine's loopback")


@asynccontextmanager
async def open_ssh_server(
    place: Place,
    port: int,
    host_key: str,
    account: Account,
    environment: Mapping[str, str],
    tell: Callable[[str], None],
    *,
    embedded: bool = False,
) -> AsyncGenerator[str]:
    """Serve on 127.0.0.1:`port` while the context lasts; yield which server it is.

    `embedded`: do not try the real one. Raises `UserError` if none of them works here.
    """
    async with AsyncExitStack() as stack:
        if not embedded:
            try:
                await _open_real(stack, place, port, host_key, account, environment)
            except (SshdError, CheckError) as error:
                tell(f"sshd cannot be used ({error}); towline's own server takes its place")
                await stack.aclose()
                embedded = True
        if embedded:
            await _open_embedded(stack, place, port, account, environment)
            try:
                await check_server(place, port, host_key, account.name)
            except NoTerminalError as error:
                tell(f"{error}: commands, files and forwards work, shells have no terminal")
            except CheckError as error:
                raise UserError(f"no SSH server works on this machine: {error}") from None
        yield "embedded" if embedded else "sshd"


async def _open_real(
    stack: AsyncExitStack,
    place: Place,
    port: int,
    host_key: str,
    account: Account,
    environment: Mapping[str, str],
) -> None:
    program = find_sshd(os.environ.get("PATH", os.defpath))
    if program is None:
        raise SshdError("there is none")
    sshd = prepare(program, place, port, account.name, environment)
    await stack.enter_async_context(open_sshd(sshd))
    await check_server(place, port, host_key, account.name)


async def _open_embedded(
    stack: AsyncExitStack,
    place: Place,
    port: int,
    account: Account,
    environment: Mapping[str, str],
) -> None:
    from towline.machine.command import Surroundings
    from towline.machine.embedded import Access, open_server

    home, shell = environment.get("HOME", account.home), account.shell
    own = {"HOME": home, "SHELL": shell, "USER": account.name, "LOGNAME": account.name}
    access = Access(account.name, place.authorized_keys, place.host_key)
    surroundings = Surroundings(Path(home), shell, {"PATH": os.defpath, **environment, **own})
    await stack.enter_async_context(open_server(access, surroundings, port=port))
