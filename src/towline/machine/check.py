"""Whether the server really lets people work: a login over its port, a command, a terminal.

An sshd that starts is no proof. Where the terminals of a container are mounted oddly, one without
root cannot give any; where the account is locked, none lets anybody in.
"""

from __future__ import annotations

import anyio
import asyncssh

from towline.machine.authorized import add_key, remove_marked
from towline.machine.place import Place

MARK = "towline-check"
CHECK_S = 15.0
WORD = "towline-is-here"


class CheckError(Exception):
    """The server does not do what it must; the message says what."""


class NoTerminalError(CheckError):
    """Commands run, but nothing can be had that has a terminal."""


async def check_server(place: Place, port: int, host_key: str, user: str) -> None:
    """Log in as a laptop would, by a key that lasts as long as this. Raises `CheckError`."""
    key = asyncssh.generate_private_key("ssh-ed25519")  # pyright: ignore[reportUnknownMemberType]
    line = key.export_public_key().decode().split()
    add_key(place, f"restrict,pty {line[0]} {line[1]} {MARK}")
    try:
        with anyio.fail_after(CHECK_S):
            async with asyncssh.connect(
                "127.0.0.1",
                port,
                username=user,
                client_keys=[key],
                known_hosts=([asyncssh.import_public_key(host_key)], [], []),
                config=None,
                agent_path=None,
            ) as connection:
                await _run(connection, "a command", None)
                await _run(connection, "a terminal", "xterm")
    except TimeoutError:
        raise CheckError(f"it does not answer within {CHECK_S:g} s") from None
    except (OSError, asyncssh.Error) as error:
        raise CheckError(f"{type(error).__name__}: {error}") from None
    finally:
        remove_marked(place, MARK)


async def _run(connection: asyncssh.SSHClientConnection, what: str, terminal: str | None) -> None:
    kind = NoTerminalError if terminal else CheckError
    try:
        test = "test -t 1 && " * bool(terminal)
        done = await connection.run(f"{test}echo {WORD}", term_type=terminal)
    except asyncssh.Error as error:
        raise kind(f"it gives no {what.split()[1]}: {error}") from None
    if done.exit_status != 0 or WORD not in str(done.stdout):
        raise kind(f"{what} does not run on it")
