"""The two ends of a forward: what a person writes, and what stands in requests and greetings.

Values only. Whether anything listens there is not asked.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import cast

from towline.errors import ExitCode, UserError

_LOCAL = r"(?:(?P<local>\d+|[/~][^:]*):)?"
_PORT = re.compile(_LOCAL + r"(?:(?P<host>\[[^\]]+\]|[^\s:\[\]/]+):)?(?P<port>\d+)")
_SOCKET = re.compile(_LOCAL + r"(?P<path>[/~].*)")


@dataclass(frozen=True, slots=True)
class Place:
    """A port of loopback, of another host, or a unix socket. As a listener, port 0 is any free."""

    port: int = 0
    host: str = ""
    path: str = ""

    @property
    def text(self) -> str:
        if self.path:
            return self.path
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if host else str(self.port)

    def as_json(self) -> object:
        if self.path:
            return {"path": self.path}
        return {"host": self.host, "port": self.port} if self.host else self.port


ANY_FREE = Place()


def parse(text: str) -> tuple[Place | None, Place]:
    """Read `[LOCAL:]PORT`, `[LOCAL:]HOST:PORT` or `[LOCAL:]SOCKET`; LOCAL is a port or a socket.

    Return the listener, None if it was not named, and the target. Raises UserError.
    """
    found = _PORT.fullmatch(text) or _SOCKET.fullmatch(text)
    if found is None:
        raise UserError(
            f"not a port, HOST:PORT or the path of a socket: {text!r}", "", ExitCode.USAGE
        )
    named = found.groupdict()
    if "path" in named:
        target = Place(path=named["path"])
    else:
        target = Place(_port(named["port"], 1), (named["host"] or "").strip("[]"))
    return None if named["local"] is None else parse_listener(named["local"]), target


def parse_reverse(text: str) -> tuple[Place, Place]:
    """Read `PORT[:TARGET]` or `SOCKET:TARGET`: where the machine listens, and the target here.

    A target is a port, HOST:PORT or a socket. Raises UserError.
    """
    there, colon, here = text.partition(":")
    if there.startswith(("/", "~")):
        listen = Place(path=there)  # ~ is the machine's.
    elif there.isascii() and there.isdigit():
        listen = Place(_port(there, 0))
    else:
        raise UserError(f"not a port of the machine: {there!r}", "", ExitCode.USAGE)
    between, target = parse(here if colon else there)
    if between is not None or not (colon or listen.port):
        raise UserError(f"not PORT[:TARGET]: {text!r}", "", ExitCode.USAGE)
    return listen, replace(target, path=os.path.expanduser(target.path))


def parse_listener(text: str) -> Place:
    """Read the port or socket on which to listen here. Raises UserError."""
    if text.isascii() and text.isdigit():
        return Place(_port(text, 0))
    if not text.startswith(("/", "~")):
        raise UserError(f"not a port or the path of a socket: {text!r}", "", ExitCode.USAGE)
    return Place(path=os.path.expanduser(text))


def place_from_json(plain: object) -> Place:
    """Raises UserError for what `as_json` does not make."""
    if type(plain) is int and 0 <= plain < 1 << 16:
        return Place(plain)
    named = cast("dict[str, object]", plain) if type(plain) is dict else {}
    path, host, port = named.get("path"), named.get("host"), named.get("port")
    if named.keys() == {"path"} and type(path) is str and path:
        return Place(path=path)
    if named.keys() == {"host", "port"} and type(host) is str and type(port) is int and host:
        return Place(_port(str(port), 1), host)
    raise UserError("not a port, {host, port} or {path}", "", ExitCode.USAGE)


def _port(text: str, least: int) -> int:
    port = int(text) if len(text) < 6 else 1 << 16
    if not least <= port < 1 << 16:
        raise UserError(f"not a port: {text}", "ports are 1 to 65535", ExitCode.USAGE)
    return port
