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
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from towline.core.address import Address, BadAddressError, Jump, Tcp, Visit, WebSocket
from towline.core.address import parse_address as parse
from towline.errors import ExitCode, UserError
from towline.line.options import through
from towline.race import Ends, NobodyError, ProgramEnds, SocketEnds, first_to_answer

PART = 256 << 10
ITSELF = (sys.executable, "-P", "-m", "towline.proxy")


def main(arguments: Sequence[str]) -> int:
    """`[--only N] [--by-route | --from FILE] NAME`; FILE holds addresses, one a line."""
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
    only = None
    if arguments[0] == "--only":
        _, number, *arguments = arguments
        only = int(number)
    *source, name = arguments
    if source[:1] == ["--from"]:
        return carry_to(_read(Path(source[1])), arguments, only)
    from towline.machines import machine_named

    machine = machine_named(name)
    if machine is None:
        raise UserError(f"no machine is called {name!r}", "", ExitCode.UNAVAILABLE)
    if only is None and not source and (connection := over_line(name, machine.port)):
        return pump(SocketEnds(connection))
    return carry_to(machine.ways, ["--by-route", name], only)


def _read(path: Path) -> list[Address]:
    """Return the addresses in a file: one may hold a token, which must not stand in an argv."""
    try:
        return [parse(line) for line in path.read_text().splitlines()]
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


def carry_to(ways: Sequence[Address], again: Sequence[str], only: int | None = None) -> int:
    """Carry to the address that is meant, or the first that answers. Raises UserError if none does.

    `again` is what this program is started with for one of several ways, each a process of its own.
    """
    if only is None and len(ways) > 1:
        begins = [_begin(number, address, again) for number, address in enumerate(ways)]
        try:
            return pump(*first_to_answer(begins))
        except NobodyError as error:
            raise _nobody(zip(ways, error.args, strict=True)) from None
    address = _meant(ways, only or 0)
    try:
        return _carry(address)
    except OSError as error:
        raise _nobody([(address, error.strerror or str(error))]) from None


def _meant(ways: Sequence[Address], number: int) -> Address:
    """The machine may have told of fewer ways since the number was given."""
    if number < len(ways):
        return ways[number]
    raise UserError("this way to the machine is known no more", "try again", ExitCode.UNAVAILABLE)


def _begin(number: int, address: Address, again: Sequence[str]) -> Callable[[], Ends]:
    if isinstance(address, Tcp):
        return partial(SocketEnds.to, address.host, address.port)
    return partial(ProgramEnds, [*ITSELF, "--only", str(number), *again])


def _nobody(failures: Iterable[tuple[Address, str]]) -> UserError:
    reasons = [f"{address.host or address.name}: {why}" if isinstance(address, Visit)
               else f"{address.host}: {why}" for address, why in failures]  # fmt: skip
    return UserError(
        "the machine cannot be reached: " + "; ".join(reasons),
        "is it still up? `towline up` there prints its ticket",
        ExitCode.UNAVAILABLE,
    )


def _carry(address: Address) -> int:
    """Carry to one address until it ends. Raises UserError and OSError."""
    if isinstance(address, Jump):
        return _through(address)
    if isinstance(address, Tcp):
        return pump(SocketEnds.to(address.host, address.port))
    if isinstance(address, WebSocket):
        from towline.carry import carry_websocket

        carry_websocket(address)
        return ExitCode.OK
    from towline.visit import visiting

    with visiting(address) as ends:
        return pump(ends)


def _through(address: Jump) -> int:
    """Become the person's own ssh."""
    argv = through(address)
    os.execvp(argv[0], argv)  # noqa: S606 - nothing of it is for a shell.


# Carrying


def pump(ends: Ends, first: bytes = b"") -> int:
    """Carry both ways until the machine has sent everything, the way is cut, or ssh is gone.

    A thread for each way, on every system: neither waits for the other, and Windows cannot wait for
    a pipe and a socket at once. `first` has come already. Raises OSError where nothing ever comes.
    """
    try:
        threading.Thread(target=_send, args=(ends,), daemon=True).start()
        data = first or ends.read()
        with suppress(OSError):  # Of what it had begun, ssh itself says that it has ended.
            while data:
                _write_all(1, data)
                data = ends.read()
    finally:
        ends.close()
    return ExitCode.OK


def _send(ends: Ends) -> None:
    with suppress(OSError):  # The other way ends, too, and says it.
        while data := os.read(0, PART):
            ends.write(data)
        ends.end_writing()


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
