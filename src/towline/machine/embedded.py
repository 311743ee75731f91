"""An SSH server in this process: for a machine that has no sshd, or where sshd cannot have a pty.

OpenSSH's own clients are its clients: commands with and without a terminal, sftp, scp, forwards to
loopback. It lets one user in, by the keys of one file, and runs everything as the user it itself
is. It runs on asyncio, as asyncssh does; those who use it need anyio's words only.
"""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import asyncssh
from anyio.abc import TaskGroup
from asyncssh.kex import get_kex_algs

from towline.machine.authorized import is_current
from towline.machine.command import Channel, Surroundings, run_command

CONNECTIONS_MAX = 32  # At a time, let in or not. A laptop needs one or two, editors a few.
COMMANDS_MAX = 128  # At a time: sshd's ten for each of a dozen connections.
LOGIN_TIMEOUT_S = 20.0
ALIVE_INTERVAL_S = 15.0  # With the count: a client that is gone is noticed within a minute.
ALIVE_COUNT = 3

# As our sshd has them; of the first, those that the libraries of this asyncssh can do.
KEX = ("mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org")
CIPHERS = "aes256-gcm*,aes128-gcm*,aes256-ctr,aes128-ctr"
MACS = "hmac-sha2-256-etm*,hmac-sha2-512-etm*"

LOOPBACK = ("127.0.0.1", "::1", "localhost")  # Forwards lead to the machine itself only.
SHELL = "/bin/sh"

SSH_CONFIG = """\
Host {name}
    HostName {address}
    Port {port}
    User {user}
    HostKeyAlias {name}
    IdentityFile "{directory}/user_key"
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile "{directory}/known_hosts"
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    UpdateHostKeys no
    PreferredAuthentications publickey
    ControlPath none
    BatchMode yes
"""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in. The file of keys is read at each login, so it may change meanwhile."""

    user: str
    authorized_keys: Path
    host_key: Path


class Server:
    """Made by `open_server`. It may be away for a while, as a machine behind a network may be."""

    def __init__(self, access: Access, surroundings: Surroundings, tasks: TaskGroup) -> None:
        self.blocked = False  # True: every new connection is cut as soon as it is made.
        self.port = 0
        self._access = access
        self._surroundings = surroundings
        self._tasks = tasks
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._commands = 0

    def cut_connections(self) -> int:
        """Cut every connection, unannounced; return how many. What listens goes on."""
        for connection in (cut := list(self._connections)):
            connection.abort()
        return len(cut)

    # -- For its connections ------------------------------------------------------------------

    def admit(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connections.add(connection)
        if self.blocked or len(self._connections) > CONNECTIONS_MAX:
            connection.abort()

    def forget(self, connection: asyncssh.SSHServerConnection) -> None:
        self._connections.discard(connection)

    def keys_of(self, user: str) -> asyncssh.SSHAuthorizedKeys:
        """Return the keys that let `user` in: none at all for anybody but the one."""
        if user != self._access.user:
            return asyncssh.import_authorized_keys("")
        return _keys_in(self._access.authorized_keys, time.time())

    def start_command(self, channel: Channel) -> None:
        if channel.subsystem is not None or self._commands >= COMMANDS_MAX:
            channel.stderr.write(b"this machine does not run that, or no more at a time\n")
            channel.exit(1)
            return
        self._commands += 1
        self._tasks.start_soon(self._run_command, channel)

    async def _run_command(self, channel: Channel) -> None:
        try:
            await run_command(channel, self._surroundings)
        finally:
            self._commands -= 1

    def sftp(self, channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        return _Sftp(channel, self._surroundings.home)


def _keys_in(path: Path, now: float) -> asyncssh.SSHAuthorizedKeys:
    """Read a file of keys. asyncssh knows no time at which a line ends; that is looked at here."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        lines = []
    try:
        return asyncssh.import_authorized_keys(
            "\n".join(line for line in lines if is_current(line, now))
        )
    except ValueError:  # No line of it can be used.
        return asyncssh.import_authorized_keys("")


class _Connection(asyncssh.SSHServer):
    """What asyncssh asks about one connection."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._server.admit(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._server.forget(self._connection)

    def begin_auth(self, username: str) -> bool:
        assert self._connection is not None
        self._connection.set_authorized_keys(self._server.keys_of(username))
        return True

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> bool:
        return dest_host in LOOPBACK


class _Sftp(asyncssh.SFTPServer):
    """Files as the user sees them, from their home on."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], home: Path) -> None:
        super().__init__(channel)  # pyright: ignore[reportUnknownMemberType] - its `chan` is bare.
        self._own_channel = channel
        self._home = os.fsencode(home)

    def map_path(self, path: bytes) -> bytes:
        return os.path.join(self._home, path)

    def exit(self) -> None:
        """Without an exit status OpenSSH's scp copies everything, then says that it failed."""
        self._own_channel.exit(0)


@asynccontextmanager
async def open_server(
    access: Access, surroundings: Surroundings, *, address: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[Server]:
    """Serve while the context lasts; then nothing that was started over it runs on as its child.

    Port 0 is any free one: see `Server.port`. Raises OSError if it cannot listen there.
    """
    async with anyio.create_task_group() as tasks:
        server = Server(access, surroundings, tasks)
        acceptor = await asyncssh.listen(
            address,
            port,
            server_factory=lambda: _Connection(server),
            server_host_keys=[str(access.host_key)],
            process_factory=server.start_command,
            sftp_factory=server.sftp,
            kex_algs=[name for name in KEX if name.encode() in get_kex_algs()],
            encryption_algs=CIPHERS,
            mac_algs=MACS,
            encoding=None,
            line_editor=False,
            password_auth=False,
            kbdint_auth=False,
            gss_host=None,
            agent_forwarding=False,
            login_timeout=LOGIN_TIMEOUT_S,
            keepalive_interval=ALIVE_INTERVAL_S,
            keepalive_count_max=ALIVE_COUNT,
        )
        server.port = acceptor.get_port()
        try:
            yield server
        finally:
            acceptor.close()
            server.cut_connections()
            tasks.cancel_scope.cancel()


# A whole machine in one folder


@dataclass(frozen=True, slots=True)
class Machine:
    """A host of its own in `ssh_config`, with its own home folder. Its files are its person's."""

    address: str
    port: int
    user: str
    home: Path
    ssh_config: Path
    name: str
    server: Server = field(repr=False)

    def cut_connections(self) -> int:
        """Cut every connection, unannounced; return how many."""
        return self.server.cut_connections()

    @property
    def blocked(self) -> bool:
        return self.server.blocked

    def block(self) -> None:
        """Let no new connection come to anything, until `unblock`."""
        self.server.blocked = True

    def unblock(self) -> None:
        self.server.blocked = False


@asynccontextmanager
async def embedded_machine(
    directory: Path,
    *,
    name: str = "machine",
    environment: Mapping[str, str] | None = None,
) -> AsyncGenerator[Machine]:
    """Make a machine in `directory` (private to its owner) that runs while the context lasts.

    Its keys, its configuration for `ssh -F` and its home are made there. `environment` is what
    commands see besides HOME; by default PATH alone. What detaches itself is not ended.
    """
    home = directory / "home"
    home.mkdir()
    user = getpass.getuser()
    access = _make_keys(directory, name, user)
    own = {"HOME": str(home), "SHELL": SHELL, "USER": user, "LOGNAME": user}
    given = {"PATH": os.environ.get("PATH", os.defpath)} if environment is None else environment
    surroundings = Surroundings(home, SHELL, {**given, **own})
    async with open_server(access, surroundings) as server:
        config = directory / "ssh_config"
        words = {"address": "127.0.0.1", "port": server.port, "user": user, "name": name}
        config.write_text(SSH_CONFIG.format(directory=directory, **words))
        yield Machine("127.0.0.1", server.port, user, home, config, name, server)


def _make_keys(directory: Path, name: str, user: str) -> Access:
    """Make a key for each side, and what tells each side the other's."""
    for side in ("host_key", "user_key"):
        key = _new_key()
        path = directory / side
        path.touch(0o600)
        path.write_bytes(key.export_private_key())
        path.with_suffix(".pub").write_bytes(key.export_public_key())
    host_key = (directory / "host_key.pub").read_text()
    (directory / "known_hosts").write_text(f"{name} {host_key}")
    authorized_keys = directory / "authorized_keys"
    (directory / "user_key.pub").rename(authorized_keys)
    return Access(user, authorized_keys, directory / "host_key")


def _new_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key(  # pyright: ignore[reportUnknownMemberType] - bare kwargs.
        "ssh-ed25519"
    )
