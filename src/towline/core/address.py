"""Where a machine can be reached: the value that a route yields and a ticket carries.

An address names places, never a command: there is no form of it that a shell or `ssh` could take
for an option. What a provider says is not trusted, so each value is checked as it is made.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Union

HOST_MAX = 253  # Characters of a DNS name.
TEXT_MAX = 1024  # Characters of any address as text: a ticket holds several.

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBERS = re.compile(r"[0-9.]+|0[xX][0-9a-fA-F.xX]*")  # What resolvers take for an IPv4 address.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}")
_PATH = re.compile(r"(?=.{1,512}\Z)(?:/[A-Za-z0-9_.~-]*){1,16}")  # Its text must be readable.
_TUNNEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,127}")  # frp puts "me@host." before some.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{0,128}")

PROGRAMS = ("colab", "frp", "zrok")
"""Whose tunnels can only be entered with a program of theirs, on the laptop too."""


class BadAddressError(ValueError):
    """What was given is no address, or one that nobody honest would give."""


@dataclass(frozen=True, slots=True)
class Tcp:
    """A port that anybody can connect to."""

    host: str
    port: int

    def __post_init__(self) -> None:
        check_host(self.host)
        check_port(self.port)

    def __str__(self) -> str:
        return f"tcp://{_joined(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class Jump:
    """A port that can be seen from an SSH server only: `ssh -J user@host:port`, then the target.

    The target may be a name that only that server knows. `user` may be empty: the laptop's own.
    """

    user: str
    host: str
    port: int
    target_host: str
    target_port: int

    def __post_init__(self) -> None:
        if self.user:
            check_user(self.user)
        for host in (self.host, self.target_host):
            check_host(host)
        for port in (self.port, self.target_port):
            check_port(port)

    @property
    def hop(self) -> str:
        """What `ProxyJump` takes."""
        return f"{self.user}@" * bool(self.user) + _joined(self.host, self.port)

    def __str__(self) -> str:
        return f"jump://{self.hop}/{_joined(self.target_host, self.target_port)}"


@dataclass(frozen=True, slots=True)
class WebSocket:
    """A URL that carries SSH in binary messages.

    `token` is what our own bridge asks for, so that passers-by do not reach the sshd; it opens
    nothing by itself. Without one the other end is a provider's, which knows no half-close.
    """

    host: str
    port: int = 443
    path: str = "/"
    token: str = ""
    secure: bool = True

    def __post_init__(self) -> None:
        check_host(self.host)
        check_port(self.port)
        _check(_PATH, self.path, "path of a URL")
        _check(_TOKEN, self.token, "token")

    @property
    def url(self) -> str:
        """The URL, without the token."""
        usual = self.port == (443 if self.secure else 80)
        place = _bracketed(self.host) if usual else _joined(self.host, self.port)
        return f"{'wss' if self.secure else 'ws'}://{place}{self.path}"

    def __str__(self) -> str:
        return f"{self.url}#{self.token}" if self.token else self.url


@dataclass(frozen=True, slots=True)
class Visit:
    """A private tunnel, entered by the provider's own program on the laptop.

    `name` is the tunnel's, `secret` what the provider asks visitors for; `host` and `port` are the
    provider's server, where there are several.
    """

    program: str  # One of `PROGRAMS`.
    name: str
    secret: str = ""
    host: str = ""
    port: int = 0

    def __post_init__(self) -> None:
        if self.program not in PROGRAMS:
            raise BadAddressError(f"no such program: {self.program!r}")
        _check(_TUNNEL, self.name, "name of a tunnel")
        _check(_TOKEN, self.secret, "secret")
        if self.host:
            check_host(self.host)
            check_port(self.port)
        elif self.port:
            raise BadAddressError("a port without a host")

    def __str__(self) -> str:
        place = f"/{_joined(self.host, self.port)}" if self.host else ""
        return f"{self.program}://{self.name}{place}" + (f"#{self.secret}" if self.secret else "")


Address = Union[Tcp, Jump, WebSocket, Visit]  # noqa: UP007 - as in Python 3.10's own words.


def check_host(host: str) -> None:
    """Raises `BadAddressError` unless it is a DNS name or an IP address, without brackets."""
    if len(host) > HOST_MAX:
        raise BadAddressError("the name of a host is too long")
    if ":" in host or _NUMBERS.fullmatch(host):
        _check_ip(host)
    else:
        _check(_HOST, host, "host")


def check_port(port: int) -> None:
    if isinstance(port, bool) or not 0 < port < 1 << 16:
        raise BadAddressError(f"not a port: {port!r}")


def check_user(user: str) -> None:
    _check(_USER, user, "user")


def parse_address(text: str) -> Address:
    """Read what `str` of an address gives. Raises `BadAddressError` at anything else."""
    if len(text) > TEXT_MAX:
        raise BadAddressError("an address is too long")
    scheme, colon, rest = text.partition("://")
    rest, _, secret = rest.partition("#")
    if not colon:
        raise BadAddressError(f"not an address: {text!r}")
    address = _parsed(scheme, rest, secret)
    if str(address) != text:  # One place, one spelling: what was not looked at is refused.
        raise BadAddressError(f"not an address: {text!r}")
    return address


def _parsed(scheme: str, rest: str, secret: str) -> Address:
    if scheme == "tcp":
        return Tcp(*_split(rest))
    if scheme == "jump":
        hop, _, target = rest.partition("/")
        user, _, server = hop.rpartition("@")
        return Jump(user, *_split(server), *_split(target))
    if scheme in ("ws", "wss"):
        place, _, path = rest.partition("/")
        secure = scheme == "wss"
        host, port = _split(place, 443 if secure else 80)
        return WebSocket(host, port, f"/{path}", secret, secure)
    name, _, place = rest.partition("/")
    host, port = _split(place) if place else ("", 0)
    return Visit(scheme, name, secret, host, port)


def server_of(address: Address) -> str:
    """Return whom a laptop would show more than an SSH or TLS client shows anybody, "" for nobody.

    The server of a person's own ssh, or of a provider's program with their account, or one to which
    a token would go in the clear.
    """
    if isinstance(address, Jump):
        return address.hop
    if isinstance(address, Visit):
        return f"{address.program} at {address.host}:{address.port}".removesuffix(" at :0")
    if isinstance(address, WebSocket) and not address.secure:
        return f"{address.host}:{address.port} without encryption"
    return ""


def split_place(text: str, otherwise: int | None = None) -> tuple[str, int]:
    """Split `host:port` or `[host]:port`, checked; `otherwise` is the port where none is given."""
    host, port = _split(text, otherwise)
    check_host(host)
    check_port(port)
    return host, port


def _split(text: str, otherwise: int | None = None) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::([0-9]{1,5}))?", text)
    if match is None or (match[3] is None and otherwise is None):
        raise BadAddressError(f"not host:port: {text!r}")
    return match[1] or match[2] or "", int(match[3]) if match[3] else otherwise or 0


def _joined(host: str, port: int) -> str:
    return f"{_bracketed(host)}:{port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _check_ip(host: str) -> None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise BadAddressError(f"not a host: {host!r}") from None
    if "%" in host or address.is_unspecified or address.is_multicast:
        raise BadAddressError(f"not a host: {host!r}")


def _check(pattern: re.Pattern[str], text: str, what: str) -> None:
    if not pattern.fullmatch(text):
        raise BadAddressError(f"not a {what}: {text!r}")
