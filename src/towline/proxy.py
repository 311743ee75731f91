"""`ProxyCommand` of a machine: carry standard input and output to its SSH server, and nothing else.

Where an engine has a Line to the machine, the bytes go over it, as one more channel; else they take
the machine's own way in, the first address that answers. It starts for every ssh, so it imports
little, and no event loop.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from towline.core.address import Address, BadAddressError, Jump, Tcp, WebSocket, parse_address
from towline.errors import ExitCode, UserError

PART = 256 << 10
CONNECT_S = 15.0


def main(arguments: Sequence[str]) -> int:
    """`[--by-route | --from FILE] NAME`; FILE holds addresses, one a line."""
    try:
        return _main(list(arguments))
    except UserError as error:
        sys.stderr.write(f"towline: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return int(error.exit_code)
    except (BrokenPipeError, ConnectionError, KeyboardInterrupt):
        return ExitCode.OK


def _main(arguments: list[str]) -> int:
    name = arguments.pop()
    if arguments[:1] == ["--from"]:
        return carry_to(_read(Path(arguments[1])))
    from towline.machines import machine_named

    machine = machine_named(name)
    if machine is None:
        raise UserError(f"no machine is called {name!r}", "", ExitCode.UNAVAILABLE)
    if "--by-route" not in arguments and (connection := over_line(name, machine.port)):
        return pump(connection)
    return carry_to(machine.ways)


def _read(path: Path) -> list[Address]:
    """Return the addresses in a file: one may hold a token, which must not stand in an argv."""
    try:
        return [parse_address(line) for line in path.read_text().splitlines()]
    except (OSError, BadAddressError) as error:
        raise UserError(str(error), "", ExitCode.USAGE) from None


# Over the Line


def over_line(name: str, port: int) -> socket.socket | None:
    """Return a connection to the machine's port over a running engine's Line, if there is one."""
    from towline.control import open_stream
    from towline.places import Workspaces

    for binding in sorted(Workspaces(), key=lambda known: -known.linked):
        if binding.destination == name and port:
            try:
                return open_stream(binding, "channel", greeting={"forward": port})
            except UserError:
                continue
    return None


# By the route


def carry_to(ways: Sequence[Address]) -> int:
    """Carry to the first address that answers. Raises UserError if none does."""
    failures: list[str] = []
    for address in ways:
        if isinstance(address, Jump):
            return _through(address)
        try:
            if isinstance(address, Tcp):
                return pump(_connected(address))
            if isinstance(address, WebSocket):
                return _through_web(address)
            failures.append(f"this towline cannot enter by {address.program}")
        except OSError as error:
            failures.append(f"{address.host}: {error.strerror or error}")
        except UserError as error:
            failures.append(error.message)
    raise UserError(
        "the machine cannot be reached: " + "; ".join(failures),
        "is it still up? `towline up` there prints its ticket",
        ExitCode.UNAVAILABLE,
    )


def _connected(address: Tcp) -> socket.socket:
    connection = socket.create_connection((address.host, address.port), CONNECT_S)
    # What ssh writes is a packet; held back for the next one, each keystroke is 40 ms late.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _through_web(address: WebSocket) -> int:
    from towline.carry import carry_websocket

    carry_websocket(address)
    return ExitCode.OK


def _through(address: Jump) -> int:
    """Become the person's own ssh, which knows their relay: its keys and its host key."""
    port = ["-p", str(address.port)]
    user = ["-l", address.user] if address.user else []
    target = f"{address.target_host}:{address.target_port}"
    program = os.environ.get("TOWLINE_SSH") or "ssh"
    os.execvp(program, [program, "-T", *port, *user, "-W", target, "--", address.host])  # noqa: S606
    raise AssertionError("unreachable")


# Carrying


def pump(connection: socket.socket) -> int:
    """Carry both ways until the machine has sent everything, or ssh is gone.

    A thread for each way, on every system: neither waits for the other, and Windows cannot wait for
    a pipe and a socket at once.
    """
    connection.settimeout(None)
    with connection:
        threading.Thread(target=_send, args=(connection,), daemon=True).start()
        while data := connection.recv(PART):
            _write_all(1, data)
    return ExitCode.OK


def _send(connection: socket.socket) -> None:
    with suppress(OSError):  # The other way ends, too, and says it.
        while data := os.read(0, PART):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
