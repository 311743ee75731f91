"""Which TCP ports of this machine are listened on, by whom: `ports`, what the laptop runs here.

It reads what Linux tells of sockets and of this account's processes, and prints one line of JSON. A
listener of another account is named without its program. The port of `towline up`'s own server is
left out, for nobody means that one. Nothing is connected to, and no other system is known.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass

from towline.agent.ways import status_file

TABLES = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6}  # Below /proc/net.
LISTENS = "0A"  # TCP_LISTEN, as the tables have it.
STATUS_MAX = 64 << 10  # Bytes of the file of `towline up`.


@dataclass(frozen=True, slots=True)
class Listener:
    """`program` is empty and `pid` null where the process is not this account's."""

    address: str
    port: int
    program: str = ""
    pid: int | None = None


def ports_main() -> int:
    """Print `{"listeners": […]}`, or `{"error": …}` and return 1."""
    try:
        answer: dict[str, object] = {"listeners": [asdict(found) for found in listeners()]}
    except OSError as error:
        answer = {"error": f"the machine does not tell who listens: {error}"}
    print(json.dumps(answer))  # noqa: T201
    return 1 if "error" in answer else 0


def listeners(proc: str = "/proc", environment: Mapping[str, str] = os.environ) -> list[Listener]:
    """Return all there are, by port. Raises OSError where there is no such table."""
    own = _port_of_up(status_file(dict(environment)))
    holders = _holders(proc)
    found: list[Listener] = []
    for address, port, inode in _sockets(proc):
        if port != own:
            program, pid = holders.get(inode, ("", None))
            found.append(Listener(address, port, program, pid))
    return sorted(found, key=lambda listener: (listener.port, listener.address))


def _sockets(proc: str) -> Iterator[tuple[str, int, str]]:
    """Yield address, port and inode of each socket that listens."""
    for name, family in TABLES.items():
        try:
            with open(f"{proc}/net/{name}", encoding="ascii") as table:
                lines = table.read().splitlines()[1:]
        except FileNotFoundError:
            if family == socket.AF_INET6:  # The kernel may be without.
                continue
            raise
        for fields in map(str.split, lines):
            if len(fields) > 9 and fields[3] == LISTENS:
                yield (*read_address(fields[1], family), fields[9])


def read_address(text: str, family: int) -> tuple[str, int]:
    """Read `0100007F:1F90`: words of 32 bits in this machine's order of bytes, and the port."""
    words, _, port = text.partition(":")
    packed = b"".join(
        struct.pack("=I", int(words[start : start + 8], 16)) for start in range(0, len(words), 8)
    )
    return socket.inet_ntop(family, packed), int(port, 16)


def _holders(proc: str) -> dict[str, tuple[str, int]]:
    """Return program and process by inode; of several that share one, the oldest number."""
    holders: dict[str, tuple[str, int]] = {}
    for pid in sorted(map(int, filter(str.isdigit, os.listdir(proc)))):
        with suppress(OSError):  # It has ended, or is somebody else's.
            for name in os.listdir(f"{proc}/{pid}/fd"):
                with suppress(OSError):
                    kind, _, inode = os.readlink(f"{proc}/{pid}/fd/{name}").partition(":")
                    if kind == "socket":
                        holders.setdefault(inode.strip("[]"), (_program(proc, pid), pid))
    return holders


def _program(proc: str, pid: int) -> str:
    with open(f"{proc}/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().rstrip("\n")


def _port_of_up(path: str) -> int | None:
    """Return the port of the server of `towline up`, if it runs here."""
    try:
        with open(path, "rb") as file:
            port: object = json.loads(file.read(STATUS_MAX))["port"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return port if type(port) is int else None
