"""One way in to a machine, as a URL: `tcp://host:port`, `wss://host/path`, `jump://relay/…`.

The scheme says how bytes get there; what a scheme means is a route's to know. Here is only what
holds for all of them: the grammar, and that no part of it can be taken for an option of a program.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ADDRESS_MAX = 1024  # Characters: a host name has 253, a token of a provider some 200.

_SCHEME = re.compile(r"[a-z][a-z0-9+-]{0,31}")
_NAME = re.compile(r"(?![.-])[A-Za-z0-9._-]{1,253}(?<![.-])")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~:@%+=,-]*)*")
_SECRET = re.compile(r"[A-Za-z0-9._~-]*")
_URL = re.compile(
    r"(?P<scheme>[^:/?#]+)://(?:(?P<user>[^@/?#]*)@)?(?P<host>\[[^\]]*\]|[^:/?#\[\]]*)"
    r"(?::(?P<port>[^/?#]*))?(?P<path>/[^?#]*)?(?:#(?P<secret>.*))?"
)


class BadAddressError(ValueError):
    """What was given is no address, or one that must not be used."""


@dataclass(frozen=True, slots=True)
class Address:
    """Made by its parts it is checked as one that was read. `port` 0: the scheme's usual one."""

    scheme: str
    host: str
    port: int = 0
    user: str = ""
    path: str = ""
    secret: str = ""  # What the way in asks for; it travels in the ticket, never in a URL.

    def __post_init__(self) -> None:
        parts = (
            _SCHEME.fullmatch(self.scheme),
            _NAME.fullmatch(self.host) or (":" in self.host and _IPV6.fullmatch(self.host)),
            0 <= self.port < 1 << 16,
            not self.user or _USER.fullmatch(self.user),
            _PATH.fullmatch(self.path),
            _SECRET.fullmatch(self.secret),
        )
        if not all(parts) or len(str(self)) > ADDRESS_MAX:
            raise BadAddressError(f"not an address: {str(self)!r:.80}")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        secret = f"#{self.secret}" if self.secret else ""
        return f"{self.scheme}://{user}{host}{port}{self.path}{secret}"


def parse_address(text: str) -> Address:
    """Read what `str` of an address gives. Raises `BadAddressError`."""
    match = _URL.fullmatch(text) if len(text) <= ADDRESS_MAX else None
    if match is None:
        raise BadAddressError(f"not an address: {text!r:.80}")
    port = match["port"]
    if port is not None and not re.fullmatch(r"[1-9][0-9]{0,4}", port):
        raise BadAddressError(f"not a port: {port!r:.20}")
    return Address(
        scheme=match["scheme"],
        host=match["host"].strip("[]"),
        port=int(port or 0),
        user=match["user"] or "",
        path=match["path"] or "",
        secret=match["secret"] or "",
    )
