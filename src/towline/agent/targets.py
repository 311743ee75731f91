"""Where a forward leads: what a greeting may name, checked, and the addresses that it stands for.

A bare number is a port of this machine's loopback. Another host, or a unix socket, must be named in
so many words. Nothing is connected to here.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

LOOPBACK = ("127.0.0.1", "::1")  # Some programs listen on one of them only.
HOST_MAX = 253  # Characters of a name, by the rules of DNS.
ANSWER_MAX = 64 << 10  # Bytes. A name has a handful of addresses.

Address = tuple[int, Any]  # A family, and what `connect` takes in it.

_RESOLVE = """\
import json, socket, sys
found = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), type=socket.SOCK_STREAM)
print(json.dumps([[int(item[0]), item[4]] for item in found]))
"""


@dataclass(frozen=True, slots=True)
class Target:
    """`addresses` are tried in turn; there are none yet where a host must be looked up."""

    words: str  # For a person.
    addresses: tuple[Address, ...]
    host: str = ""
    port: int = 0

    def why_not(self, error: OSError) -> str:
        """Say what a failure to connect means."""
        if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
            return f"nothing listens on {self.words}"
        return f"{self.words}: {error.strerror or error}"


def read_target(plain: object) -> Target:
    """Return what a greeting names: a port, `{host, port}` or `{path}`. Raises ValueError."""
    if type(plain) is not dict:
        port = _read_port(plain)
        return Target(f"port {port} of the machine", _on_loopback(port))
    named = cast("Mapping[str, object]", plain)
    if set(named) == {"path"}:
        return _socket_at(named["path"])
    if set(named) == {"host", "port"}:
        return _port_of(named["host"], _read_port(named["port"]))
    raise ValueError("no port, host or path")


class Lookup:
    """A host's name on its way to addresses.

    A process of its own asks: the system's resolver may take many seconds, and blocks.
    """

    def __init__(self, target: Target) -> None:
        words = [sys.executable, "-I", "-S", "-c", _RESOLVE, target.host, str(target.port)]
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        assert self._process.stdout
        self._pipe = self._process.stdout
        self._answer = bytearray()
        os.set_blocking(self.fileno(), False)

    def fileno(self) -> int:
        return self._pipe.fileno()

    def take(self) -> tuple[Address, ...] | None:
        """Return the addresses, None while they are not known. Raises OSError if there are none."""
        try:
            while part := os.read(self.fileno(), ANSWER_MAX):
                self._answer += part
                if len(self._answer) > ANSWER_MAX:
                    break
        except BlockingIOError:
            return None
        try:
            found = tuple((family, tuple(where)) for family, where in json.loads(self._answer))
        except (ValueError, TypeError):
            found = ()
        if not found:
            raise OSError(errno.EHOSTUNREACH, "the machine knows no such host")
        return found

    def close(self) -> None:
        self._pipe.close()
        self._process.kill()  # It has ended, or nobody waits for it any more.
        self._process.wait()


def _on_loopback(port: int) -> tuple[Address, ...]:
    v4, v6 = LOOPBACK
    return (socket.AF_INET, (v4, port)), (socket.AF_INET6, (v6, port))


def _socket_at(path: object) -> Target:
    if type(path) is not str or not path.startswith(("/", "~")) or "\0" in path:
        raise ValueError("a socket's path begins with / or ~")
    return Target(f"{path} of the machine", ((socket.AF_UNIX, os.path.expanduser(path)),))


def _port_of(host: object, port: int) -> Target:
    if type(host) is not str or not 0 < len(host) <= HOST_MAX or not _is_plain(host):
        raise ValueError("no host")
    words = f"{host}:{port}, as the machine sees it"
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return Target(words, ((family, (host, port)),))
    return Target(words, (), host, port)


def _is_plain(host: str) -> bool:
    return host.isascii() and host.isprintable() and " " not in host


def _read_port(port: object) -> int:
    if type(port) is not int or not 0 < port < 1 << 16:
        raise ValueError("no port")
    return port
