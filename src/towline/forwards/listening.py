"""What listens on the machine, as its agent tells, and which of it is forwarded already.

Values only; the machine is not believed: what is no port or no text is refused, and nothing of it
reaches a terminal that is not printable.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

from towline.control import Json
from towline.errors import ExitCode, UserError
from towline.forwards.place import Place, place_from_json

LISTENERS_MAX = 10_000  # More than ports that anybody reads of.
PROGRAM_MAX = 64  # Characters; Linux keeps 15.


@dataclass(frozen=True, slots=True)
class Listening:
    """One target, which may be listened on at several addresses (IPv4 and IPv6)."""

    target: Place
    addresses: tuple[str, ...]
    program: str  # Empty for another account's.
    pid: int | None
    listen: str | None = None  # Where it is forwarded to, on the laptop.

    @property
    def command(self) -> str:
        """The line that forwards it."""
        return f"towline forward {self.target.text}"

    def as_json(self) -> Json:
        return {
            "port": self.target.port,
            "addresses": list(self.addresses),
            "program": self.program,
            "pid": self.pid,
            "listen": self.listen,
            "command": self.command,
        }


def read_listening(answer: bytes) -> list[Listening]:
    """Return what the machine's answer says, a target at a time. Raises UserError."""
    try:
        plain: Any = json.loads(answer)
        if "error" in plain:
            raise UserError(_printable(str(plain["error"]), 200))
        found = [_read(item) for item in plain["listeners"][:LISTENERS_MAX]]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise UserError("the machine's answer is not understood", "", ExitCode.BAD_DATA) from None
    joined: dict[tuple[Place, int | None], Listening] = {}
    for one in found:
        known = joined.get((one.target, one.pid))
        addresses = (*known.addresses, *one.addresses) if known else one.addresses
        joined[one.target, one.pid] = replace(one, addresses=addresses)
    return list(joined.values())


def with_forwards(found: Iterable[Listening], forwards: Iterable[Json]) -> list[Listening]:
    """Say of each where it is forwarded to, of forwards as the engine lists them."""
    known = {
        forward["target"]: forward["listen"]
        for forward in forwards
        if forward["direction"] == "local"
    }
    return [replace(one, listen=known.get(one.target.text)) for one in found]


def _read(item: Any) -> Listening:
    address = ipaddress.ip_address(cast("str", item["address"]))
    address = getattr(address, "ipv4_mapped", None) or address
    program, pid = item["program"], item["pid"]
    if type(program) is not str or type(pid) not in (int, type(None)):
        raise ValueError("not a program")
    bare = address.is_unspecified or str(address) in ("127.0.0.1", "::1")
    plain = item["port"] if bare else {"host": str(address), "port": item["port"]}
    target = place_from_json(plain)
    if not target.port:
        raise ValueError("no port")
    return Listening(target, (str(address),), _printable(program, PROGRAM_MAX), pid)


def _printable(text: str, size: int) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:size])
