"""`DEST[:PATH]` as people write it: what ssh takes, and the folder on the machine."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_URL = re.compile(r"(?P<host>ssh://[^/]+)(?:/(?P<path>.*))?")
_BRACKETED = re.compile(r"(?P<user>[^\[\]]*@)?\[(?P<host>[^\]]+)\](?::(?P<path>.*))?")
_PLAIN = re.compile(r"(?P<host>[^:]+)(?::(?P<path>.*))?")
_UNSAFE = re.compile(r"[\s\0-\x1f\x7f'\"`$;|&<>()\\]")  # In no host or user name; ssh refuses some.


class BadDestinationError(ValueError):
    """What was given is no destination."""


@dataclass(frozen=True, slots=True)
class Destination:
    """`host` is for ssh as it is: an alias, user@host or an ssh:// URL. `path` may be empty."""

    host: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.host}:{self.path}" if self.path else self.host


def parse_destination(text: str) -> Destination:
    """Split `user@host:path`, `alias`, `[::1]:path` or `ssh://user@host:port/path`.

    In a URL the path is absolute, or relative to the home folder after `/~/`. Raises
    `BadDestinationError`.
    """
    destination = _split(text)
    user, at, host = destination.host.removeprefix("ssh://").rpartition("@")
    # A leading dash would make it an option of ssh, or of its proxy.
    if not host or (at and not user) or user.startswith("-") or host.startswith("-"):
        raise BadDestinationError(f"not a destination: {text!r}")
    if _UNSAFE.search(destination.host) or "\0" in destination.path:
        raise BadDestinationError(f"a destination cannot hold such characters: {text!r}")
    return destination


def _split(text: str) -> Destination:
    if match := _URL.fullmatch(text):
        path = match["path"] or ""
        return Destination(match["host"], path if path.startswith("~") or not path else f"/{path}")
    if match := _BRACKETED.fullmatch(text):
        return Destination(f"{match['user'] or ''}{match['host']}", match["path"] or "")
    if _is_ipv6(text.rpartition("@")[2]):
        return Destination(text)
    if not text.startswith("ssh:/") and (match := _PLAIN.fullmatch(text)):
        return Destination(match["host"], match["path"] or "")
    raise BadDestinationError(f"not a destination: {text!r}")


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
