"""The first of a machine's ways in at which its SSH server answers, where there are several.

They are begun one after the other, a moment apart, so that an address that swallows what it is sent
costs that moment and no more. Threads and no event loop: every ssh waits for this to start. Whether
it is the right machine that answers, ssh finds out by its host key.
"""

from __future__ import annotations

import os
import queue
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

PART = 256 << 10
BANNER = b"SSH-"  # What an SSH server says unasked; ours says nothing before it.
STAGGER_S = 1.0  # Before the next is begun beside one that has not answered.
CONNECT_S = 15.0
ANSWER_S = 20.0  # After the last was begun.
SILENT = "it does not answer"
# A relay that keeps small packets back does so until the last one is acknowledged, and the kernel
# here would put that off by 40 ms. Linux forgets the wish with each acknowledgement.
QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)
ENDED_S = 2.0  # For a program that is told to end.


class Ends(Protocol):
    """Both directions of a way that is open."""

    def read(self) -> bytes:
        """Return what has come, b"" at the end. Raises OSError."""
        ...

    def write(self, data: bytes) -> None: ...

    def end_writing(self) -> None: ...

    def close(self) -> None: ...


Begin = Callable[[], Ends]
"""Open a way. Raises OSError."""


class SocketEnds:
    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(None)
        self._socket = connection
        self._acknowledges_at_once = False

    @classmethod
    def to(cls, host: str, port: int) -> SocketEnds:
        """Raises OSError."""
        connection = socket.create_connection((host, port), CONNECT_S)
        # What ssh writes is a packet; held back for the next one, each keystroke is 40 ms late.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ends = cls(connection)
        ends._acknowledges_at_once = QUICKACK is not None
        return ends

    def read(self) -> bytes:
        data = self._socket.recv(PART)
        if self._acknowledges_at_once and QUICKACK is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)
        return data

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def end_writing(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with suppress(OSError):  # Wakes whoever reads; closing would not.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class ProgramEnds:
    """A program's standard input and output. What it says of itself is kept for `close`."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._said = b""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def read(self) -> bytes:
        assert self._process.stdout is not None
        data = os.read(self._process.stdout.fileno(), PART)
        if not data:
            self._listener.join(ENDED_S)
        return data

    def write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def end_writing(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def close(self) -> None:
        self._process.terminate()

    @property
    def last_words(self) -> str:
        lines = self._said.decode("utf-8", "replace").strip().splitlines()
        told = [line for line in lines if not line.startswith("hint: ")]
        return told[-1].removeprefix("towline: ") if told else "it ended without a word"

    def _listen(self) -> None:
        """Read all the time: it must never wait for us. The last of it says why it ended."""
        assert self._process.stderr is not None
        while data := os.read(self._process.stderr.fileno(), PART):
            self._said = (self._said + data)[-4096:]


@dataclass
class _Runner:
    """One way on its way: what it has come to is put into the queue, once."""

    begin: Begin
    results: queue.SimpleQueue[tuple[_Runner, bytes, str]]
    ends: Ends | None = None
    lost: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            self.ends = self.begin()
            if self.lost.is_set():  # Meanwhile another has answered.
                return self.ends.close()
            self.results.put((self, *self._answer(self.ends)))
        except OSError as error:
            self.results.put((self, b"", error.strerror or str(error)))
        return None

    def _answer(self, ends: Ends) -> tuple[bytes, str]:
        first = b""
        while len(first) < len(BANNER) and (data := ends.read()):
            first += data
        if first.startswith(BANNER):
            return first, ""
        words = ends.last_words if isinstance(ends, ProgramEnds) else "it hung up"
        return b"", "no SSH server answers there" if first else words

    def lose(self) -> None:
        self.lost.set()
        if self.ends is not None:
            self.ends.close()


class NobodyError(Exception):
    """No way led to an SSH server; each message is the reason of one of them, in order."""


def first_to_answer(begins: Sequence[Begin]) -> tuple[Ends, bytes]:
    """Return the way that is taken, and what has come of it already. Raises `NobodyError`."""
    results: queue.SimpleQueue[tuple[_Runner, bytes, str]] = queue.SimpleQueue()
    runners: list[_Runner] = []
    failures: dict[int, str] = {}
    while len(failures) < len(begins):
        if len(runners) < len(begins):
            runners.append(_Runner(begins[len(runners)], results))
            threading.Thread(target=runners[-1].run, daemon=True).start()
        is_last = len(runners) == len(begins)
        try:
            runner, first, failure = results.get(timeout=ANSWER_S if is_last else STAGGER_S)
        except queue.Empty:
            if is_last:
                failures = {number: failures.get(number, SILENT) for number in range(len(begins))}
            continue
        if failure:
            failures[runners.index(runner)] = failure
            continue
        for other in runners:
            if other is not runner:
                other.lose()
        assert runner.ends is not None
        return runner.ends, first
    raise NobodyError(*(failures[number] for number in range(len(begins))))
