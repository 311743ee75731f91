"""What commands do on the machine by way of a running engine: run a program, reach a port.

Each is a channel of the Line: it starts in one round trip, needs no ssh of its own, and goes on
after a cut. Blocking, for commands; it starts no engine. The machine's half is `agent/programs.py`.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from towline.agent.programs import RECORD
from towline.control import Json, open_stream
from towline.errors import ExitCode, UserError
from towline.places import Binding

CONTENT_MAX = 1 << 20  # Bytes of one record; the agent sends parts of 64 KiB.
SAID_MAX = 64 << 20  # Bytes that a program may say to its end: `git status` of a million files.


@dataclass(frozen=True, slots=True)
class Finished:
    """What became of a program: its exit code, a signal as a negative number, and all it wrote."""

    code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """A program to run on the machine, in a folder there, with more of an environment.

    `agent` puts the machine's own Python and towline's bundle before `argv`.
    """

    argv: Sequence[str]
    cwd: str = "~"
    env: Mapping[str, str] | None = None
    agent: bool = False

    def to_line(self) -> bytes:
        plain = {
            "argv": list(self.argv),
            "cwd": self.cwd,
            "env": dict(self.env or {}),
            "agent": self.agent,
        }
        return json.dumps(plain).encode() + b"\n"


class Program:
    """A program that runs there. Leaving the `with` block hangs up on it."""

    def __init__(self, binding: Binding, call: Call, *, bulk: bool = False) -> None:
        """Raises UserError."""
        self.code: int | None = None  # Known once `records` has come to its end.
        self._name = call.argv[0]
        self._socket = open_stream(binding, "channel", greeting={"program": True}, bulk=bulk)
        self._socket.settimeout(None)
        try:
            self._socket.sendall(call.to_line())
        except OSError:
            self._socket.close()
            raise self._lost() from None

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()

    def write(self, data: bytes) -> None:
        """Send more for the program to read. Raises OSError once it is gone."""
        self._socket.sendall(data)

    def end_input(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def records(self) -> Iterator[tuple[str, bytes]]:
        """Yield what it writes, as it comes: `o` or `e` for which output, and the bytes.

        Raises UserError if it cannot be started, and if the machine is gone before its end.
        """
        while True:
            kind, size = RECORD.unpack(self._read(RECORD.size))
            content = self._read(size)
            if kind == b"x":
                self.code = _exit_code(self._name, content)
                return
            yield kind.decode("ascii", "replace"), content

    def _read(self, size: int) -> bytes:
        if size > CONTENT_MAX:
            raise not_understood()
        content = bytearray()
        with suppress(ConnectionError):
            while len(content) < size and (part := self._socket.recv(size - len(content))):
                content += part
        if len(content) < size:
            raise self._lost()
        return bytes(content)

    def _lost(self) -> UserError:
        return _lost(f"{self._name} ran there")


def run(binding: Binding, call: Call, given: bytes = b"", *, bulk: bool = False) -> Finished:
    """Run a program to its end with `given` to read. Raises UserError, as `Program.records`."""
    output = {"o": bytearray(), "e": bytearray()}
    left = SAID_MAX
    with Program(binding, call, bulk=bulk) as program:
        # Beside: a program that writes while it reads must find a reader.
        feeding = threading.Thread(target=_feed, args=(program, given), daemon=True)
        feeding.start()
        for kind, content in program.records():
            left -= len(content)
            if left < 0 or kind not in output:
                raise not_understood()
            output[kind] += content
    feeding.join()
    assert program.code is not None
    return Finished(program.code, bytes(output["o"]), bytes(output["e"]))


def open_port(binding: Binding, port: int) -> socket.socket:
    """Return a connection to a port of the machine's loopback. Raises UserError."""
    return open_stream(binding, "channel", greeting={"forward": port})


def ask_once(binding: Binding, greeting: Json, question: Json, *, bulk: bool = False) -> Json:
    """Put a question on a channel and wait for the one answer: lines of JSON. Raises UserError."""
    line = bytearray()
    channel = open_stream(binding, "channel", greeting=greeting, bulk=bulk)
    with channel as stream, suppress(ConnectionError):
        stream.settimeout(None)
        stream.sendall(json.dumps(question).encode() + b"\n")
        while b"\n" not in line and len(line) < CONTENT_MAX and (part := stream.recv(CONTENT_MAX)):
            line += part
    if not line:
        raise _lost("it was asked")
    return object_in(bytes(line))


def lines_of(rest: bytes, content: bytes, longest: int = CONTENT_MAX) -> tuple[list[bytes], bytes]:
    """Return the lines that are whole by now, and the rest. Raises UserError for an endless one."""
    *whole, rest = (rest + content).split(b"\n")
    if len(rest) > longest:
        raise not_understood()
    return whole, rest


def object_in(line: bytes) -> Json:
    """Return the object that a line of JSON is. Raises UserError if it is none."""
    try:
        plain: object = json.loads(line)
    except (ValueError, RecursionError):
        plain = None
    if not isinstance(plain, dict):
        raise not_understood()
    return cast("Json", plain)


def not_understood() -> UserError:
    return UserError("the machine's answer is not understood", "", ExitCode.BAD_DATA)


def _feed(program: Program, given: bytes) -> None:
    with suppress(OSError):
        program.write(given)
    program.end_input()


def _exit_code(name: str, content: bytes) -> int:
    try:
        last = json.loads(content)
        error, code = last.get("error"), last.get("code")
    except (ValueError, AttributeError, RecursionError):
        error, code = None, None
    if isinstance(error, str):
        raise UserError(f"{name} cannot be started on the machine: {error}")
    if not isinstance(code, int):
        raise not_understood()
    return code


def _lost(meanwhile: str) -> UserError:
    return UserError(
        f"the machine was lost while {meanwhile}",
        "`towline status` says how the machine is",
        ExitCode.UNAVAILABLE,
    )
