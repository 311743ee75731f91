"""`ssh -R`: what all routes share whose provider is an SSH server.

Providers get no key of the person's unless one was named, and their host key is kept in a file of
the route's own: the first one is remembered, or compared with the fingerprint that is known. Who
stands in the middle gains nothing but the choice to carry or not: SSH goes through end to end.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from towline.core.address import BadAddressError, check_user, split_place
from towline.routes.base import Setting, Surroundings
from towline.routes.errors import RouteError, Saying
from towline.routes.program import Program, open_program

SSH_PORT = 22
RSA = "rsa-sha2-512,rsa-sha2-256"
DEBUG = re.compile(r"debug\d: |Authenticated to |OpenSSH_|Transferred: |Bytes per second: ")

ALLOCATED = re.compile(r"Allocated port (\d+) for remote forward to ")
FORWARDED = re.compile(r"debug1: remote forward success for: listen ")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # Colours; whoever prints them means the text.

NO_SSH = "there is no ssh program: install the OpenSSH client"

SAYINGS = (
    Saying(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed",
        "the server has another host key than before",
        "ask whoever runs it; if it was set up anew, remove the route's known_hosts file",
    ),
    Saying(
        r"remote port forwarding failed for listen port [1-9]",
        "the server does not give that port: it is taken, or not allowed",
        "choose another port, or none; what held it before may need a minute to let go",
        passing=True,
        is_taken=True,
    ),
    Saying(
        r"remote port forwarding failed for listen (?:port 0|path)",
        "the server does not forward for this account",
        "allow it there (AllowTcpForwarding, permitlisten), or use an account that may",
    ),
    Saying(
        r"Permission denied \(",
        "the server does not accept the key",
        "add this machine's public key there, or set the key that it knows",
    ),
    Saying(
        r"Load key \".*\": ",
        "the key cannot be read",
        "it must be a private key without a passphrase, as ssh-keygen writes it",
    ),
    Saying(
        r"Could not resolve hostname",
        "the name of the server is not known",
        "check the name, and whether this machine has internet at all",
        passing=True,
    ),
    Saying(
        r"Connection refused|Connection timed out|Network is unreachable|No route to host",
        "the server cannot be reached",
        "check that it runs, and that a firewall lets this machine out to its port",
        passing=True,
    ),
    Saying(
        r"Timeout, server .* not responding",
        "the server stopped answering",
        "the network was cut; it is tried again",
        passing=True,
    ),
    Saying(
        r"kex_exchange_identification|Connection (?:to \S+ )?closed by|Connection reset by",
        "the server closed the connection",
        "it may be overloaded, restarting, or refusing this network; try later or another route",
        passing=True,
    ),
)
"""What OpenSSH's client says when a forward does not stand, for every server."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where to log in, and as whom."""

    host: str
    port: int = SSH_PORT
    user: str = ""
    fingerprint: str = ""  # "SHA256:…" of its host key; empty: the first one is believed.
    key: Path | None = None  # Ours to read. None: no key at all is offered.
    algorithms: str = ""  # Of its host key, where the known one is one of several that it has.

    @property
    def alias(self) -> str:
        """Its name among known host keys: another server's must not pass for its own.

        In lower case, for so OpenSSH writes it whatever it is told.
        """
        return f"{self.host.lower()}-{self.port}"


def parse_server(
    text: str,
    *,
    fingerprint: str = "",
    key: Path | None = None,
    user: str = "",
    rsa: str = "",
) -> Server:
    """Read `[user@]host[:port]`; `user` logs in if none is named. Raises `BadAddressError`.

    `rsa` is a fingerprint known to be of an RSA key: where it is the one to be compared with, no
    other kind of key is asked for.
    """
    named, at, place = text.rpartition("@")
    if at:
        check_user(named)
    algorithms = RSA if rsa and fingerprint == rsa else ""
    return Server(*split_place(place, SSH_PORT), named or user, fingerprint, key, algorithms)


def why_no_server(text: str, variable: str) -> str:
    """Return what is wrong with a server's name, or nothing."""
    try:
        parse_server(text)
    except BadAddressError as error:
        return f"{variable}: {error}"
    return ""


def why_no_key(path: str, variable: str) -> str:
    """Return what is wrong with the path of a key, or nothing."""
    if path and not Path(path).expanduser().is_file():
        return f"{variable}: there is no file {path}"
    return ""


@dataclass(frozen=True, slots=True)
class Login:
    """By which settings of a route a person says where to log in, and by which key."""

    server: Setting
    key: Setting
    host_key: Setting

    def why_not(self, around: Surroundings) -> str:
        """Return what is wrong with what is set, or nothing."""
        return why_no_server(around.value(self.server), self.server.variable) or why_no_key(
            around.value(self.key), self.key.variable
        )

    def read(self, around: Surroundings) -> Server:
        """Return the server, with a private copy of the key if there is one.

        Raises `RouteError` if the key cannot be read.
        """
        path = around.value(self.key)
        return parse_server(
            around.value(self.server),
            fingerprint=around.value(self.host_key),
            key=around.private_copy(self.key.key, Path(path)) if path else None,
            rsa=self.host_key.default,
        )


async def port_there(program: Program, asked: int) -> int:
    """Wait until the forward stands; return its port on the server, which chooses one for 0."""
    if asked == 0:
        return await program.wait_for(allocated_port)
    await program.wait_for(forward_stands)
    return asked


def allocated_port(line: str) -> int | None:
    """The port that the server chose for us, where it is OpenSSH."""
    match = ALLOCATED.match(line)
    return int(match[1]) if match else None


def forward_stands(line: str) -> bool | None:
    """Whether ssh says that the server agreed to the forward."""
    return FORWARDED.match(line) is not None or None


def plain(line: str) -> str:
    return ESCAPES.sub("", line)


@asynccontextmanager
async def open_reverse(
    name: str,
    around: Surroundings,
    server: Server,
    forward: str,
    *,
    command: Sequence[str] = (),
    listen: bool = False,
    sayings: Sequence[Saying] = (),
) -> AsyncGenerator[Program]:
    """Log in with `ssh -R forward` for as long as the context lasts.

    All of it stands in a file that only we can read, for user names and commands hold tokens.
    `command` is run there; with `listen` the server's own program is, which is how some of them
    speak. The table of the route comes before the common one. Check `server` with `check_pin` once
    it has said something.
    """
    options = _options(around, name, server)
    options["RemoteForward"] = " ".join(_forward_words(forward))
    if command:
        options["RemoteCommand"] = " ".join(command)
    elif not listen:
        options["SessionType"] = "none"
    lines = [f"    {key} {value}" for key, value in options.items()]
    config = around.private_file(f"ssh_config.{name}", "\n".join([f"Host {name}", *lines, ""]))
    argv = [around.find("ssh") or "ssh", "-F", str(config), "-v", "-T", name]
    told = (*sayings, *SAYINGS)
    async with open_program(name, argv, around.environment, told, DEBUG) as program:
        yield program


def _forward_words(forward: str) -> tuple[str, str]:
    """Split what `-R` takes into what `RemoteForward` takes: where it listens, where it leads."""
    bind, host, port = forward.rsplit(":", 2)
    return bind, f"{host}:{port}"


def known_hosts(around: Surroundings, name: str) -> Path:
    return around.directory / f"known_hosts.{name}"


def _options(around: Surroundings, name: str, server: Server) -> dict[str, str]:
    options = {
        "HostName": server.host,
        "HostKeyAlias": server.alias,
        "Port": str(server.port),
        "ExitOnForwardFailure": "yes",  # Else a connection that leads nowhere stays up.
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "3",
        "ConnectTimeout": "15",
        "BatchMode": "yes",
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": _quoted(known_hosts(around, name)),
        "GlobalKnownHostsFile": "none",
        "HashKnownHosts": "no",
        "UpdateHostKeys": "no",
        "ControlPath": "none",
        "IdentityAgent": "none",
        "IdentitiesOnly": "yes",
        "IdentityFile": _quoted(server.key) if server.key else "none",
        "ForwardAgent": "no",
    }
    if server.user:
        options["User"] = server.user
    if server.algorithms:
        options["HostKeyAlgorithms"] = server.algorithms
    return options


def _quoted(path: Path) -> str:
    """A path as ssh's configuration takes it: it expands what begins with %."""
    return '"' + str(path).replace("%", "%%") + '"'


def check_pin(around: Surroundings, name: str, server: Server) -> None:
    """Compare the host key that ssh has just seen with the one that is known.

    From ssh's own file, for whatever a server prints could look like ssh's words. Raises
    `RouteError` if it is another.
    """
    if not server.fingerprint:
        return
    seen = set(_fingerprints(known_hosts(around, name), server.alias))
    if server.fingerprint not in seen:
        known_hosts(around, name).unlink(missing_ok=True)
        raise RouteError(
            f"{name}: the server's host key is not the one that is known",
            f"expected {server.fingerprint}, it has {', '.join(sorted(seen)) or 'none'}; ask"
            " whoever runs it, or use another route",
        )


def _fingerprints(file: Path, alias: str) -> list[str]:
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    rows = [line.split() for line in lines]
    keys = [row[2] for row in rows if len(row) >= 3 and row[0] == alias]
    return [fingerprint_of(base64.b64decode(key)) for key in keys]


def fingerprint_of(key: bytes) -> str:
    """Return what `ssh-keygen -l` shows for a public key."""
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"
