"""A workspace that a laptop is linked to, seen through the socket of its agent on this machine.

The socket is kept open and made again where the agent has been: a kernel outlives agents. What
the agent says is checked; paths outside the workspace's folders are dropped.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterable, Sequence
from typing import Any, cast

from towline.agent.ask import ANSWER_MAX, NoAgentError, connect_to
from towline.notebook.find import Found, find
from towline.notebook.policy import Kind, Trouble
from towline.notebook.source import Answer, Source, Waiting, shown

CONNECT_S = 2.0  # The agent is on this machine; it answers late only where that is very busy.
ANSWER_MARGIN_S = 2.0  # The agent keeps the time of a flush; past this it is not to be waited for.
TURN_S = 0.05  # How often a waiting kernel looks whether it is to give up.
PATHS_ASKED = 100  # In one request, which is a line of at most 64 KiB.
AGAIN_S = 0.05  # Between questions while a link is being made.


class Linked(Source):
    """`found` is where the workspace was when it was found; the agent may be another one later."""

    def __init__(self, found: Found) -> None:
        self.name = found.name
        self.roots = found.roots
        self._found = found
        self._sock: socket.socket | None = None
        self._incoming = bytearray()
        self._is_asked = False  # And has not answered.
        self._position: str | None = None
        self._revision: int | None = None
        self._away_since: float | None = None
        self._asked_at = 0.0
        self._timeout_s = 0.0
        self._failure: str | None = None

    @property
    def about(self) -> str:
        return f"{self.name} from {self._found.laptop}, in {', '.join(map(shown, self.roots))}"

    def begin(self, timeout_s: float) -> None:
        self._asked_at, self._timeout_s = time.monotonic(), timeout_s
        self._ask_flush(timeout_s)

    def finish(self, waiting: Waiting) -> Answer:
        limit = self._asked_at + self._timeout_s
        while True:
            answer = self._answer(self._read(limit + ANSWER_MARGIN_S, waiting))
            trouble = answer.trouble
            left_s = limit - time.monotonic()
            is_making = trouble is not None and trouble.kind is Kind.SLOW and self.is_beginning
            if not is_making or left_s <= 0:
                return answer
            waiting()
            time.sleep(min(AGAIN_S, left_s))
            self._ask_flush(left_s)

    def peek(self) -> Answer:
        self._send({"verb": "changes", "since": self._position})
        return self._answer(self._read(time.monotonic() + ANSWER_MARGIN_S, _patiently))

    def wait(self, timeout_s: float) -> Answer:
        self._send({"verb": "wait", "since": self._position, "timeout": timeout_s})
        limit = time.monotonic() + timeout_s + ANSWER_MARGIN_S
        return self._answer(self._read(limit, _patiently))

    def unwatched(self, paths: Sequence[str]) -> Sequence[str]:
        found: list[str] = []
        for at in range(0, len(paths), PATHS_ASKED):
            asked = paths[at : at + PATHS_ASKED]
            self._send({"verb": "unwatched", "paths": asked})
            said = self._read(time.monotonic() + ANSWER_MARGIN_S, _patiently) or {}
            told = said.get("unwatched")
            known = cast("list[object]", told) if isinstance(told, list) else list(asked)
            found += [path for path in asked if path in known]
        return found

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
        self._sock = None
        self._is_asked = False
        self._incoming.clear()

    # -- The socket ---------------------------------------------------------------------------

    def _ask_flush(self, timeout_s: float) -> None:
        self._send({"verb": "flush", "since": self._position, "timeout": timeout_s})

    def _send(self, request: dict[str, Any]) -> None:
        """Send a request, over a new connection if the old one has ended meanwhile."""
        self._failure = None
        line = json.dumps(request).encode() + b"\n"
        if self._sock is not None and not self._is_usable(self._sock):
            self.close()
        try:
            if self._sock is None:
                self._sock = self._connect()
            self._is_asked = True
            self._sock.sendall(line)
        except (OSError, NoAgentError) as error:
            self._failure = str(error)
            self.close()

    def _is_usable(self, sock: socket.socket) -> bool:
        """Whether nothing has come that was not asked for, the end of the stream least of all, and
        nothing is to come: what another workspace kept from being read."""
        readable, _, _ = select.select([sock], [], [], 0)
        return not readable and not self._incoming and not self._is_asked

    def _connect(self) -> socket.socket:
        try:
            return connect_to(self._found.socket, CONNECT_S)
        except NoAgentError:
            # Another agent may serve the folder by now: the workspace was forgotten, linked anew.
            same = [found for found in find() if set(self.roots) & set(found.roots)]
            if not same:
                raise
            self._found, self._position = same[0], None
            return connect_to(self._found.socket, CONNECT_S)

    def _read(self, limit: float, waiting: Waiting) -> dict[str, Any] | None:
        """Return the answer; None if there is none. What interrupts also ends the connection."""
        if self._sock is None:
            return None
        try:
            line = self._read_line(self._sock, limit, waiting)
            answer: object = json.loads(line)
        except (OSError, ValueError) as error:
            self._failure = str(error)
            self.close()
            return None
        except BaseException:
            self.close()  # Its answer may come yet, and would be taken for that of the next.
            raise
        return cast("dict[str, Any]", answer) if isinstance(answer, dict) else None

    def _read_line(self, sock: socket.socket, limit: float, waiting: Waiting) -> bytes:
        while b"\n" not in self._incoming:
            left_s = limit - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("the agent does not answer")
            readable, _, _ = select.select([sock], [], [], min(TURN_S, left_s))
            if not readable:
                waiting()
                continue
            part = sock.recv(1 << 16)
            if not part:
                raise ConnectionError("the agent has ended")
            self._incoming += part
            if len(self._incoming) > ANSWER_MAX:
                raise ConnectionError(f"the agent sent a line of over {ANSWER_MAX} bytes")
        self._is_asked = False
        line, _, rest = bytes(self._incoming).partition(b"\n")
        self._incoming[:] = rest
        return line

    # -- What it says -------------------------------------------------------------------------

    def _answer(self, said: dict[str, Any] | None) -> Answer:
        if said is None:
            return self._away(self._failure or "the agent's answer is no JSON object", 0.0)
        self._take(said)
        changed = self._ours(said.get("changes"))
        whole = said.get("whole") is True
        error = said.get("error")
        if said.get("connected") is False:
            away = self._away(str(error or "the laptop is not connected"), said.get("away_s"))
            return Answer(changed, self._revision, away.trouble, whole)
        self._away_since = None
        if error is not None:
            return Answer(changed, self._revision, Trouble(Kind.SLOW, str(error)), whole)
        return Answer(changed, self._revision, None, whole)

    def _take(self, said: dict[str, Any]) -> None:
        position, revision = said.get("position"), said.get("revision")
        self._position = position if isinstance(position, str) else None
        self._revision = revision if type(revision) is int else self._revision
        in_s, why = said.get("ends_in_s"), said.get("ends_why")
        if isinstance(in_s, int | float) and isinstance(why, str):
            self.ends = (float(in_s), why)
        self.is_beginning = said.get("beginning") is True

    is_beginning = False
    """Whether the link is being made: the laptop is there and has not said yet what it keeps."""

    def _away(self, reason: str, away_s: object) -> Answer:
        if isinstance(away_s, int | float) and self._away_since is None:
            self._away_since = time.time() - away_s
        trouble = Trouble(Kind.AWAY, reason, self._away_since)
        return Answer(None, self._revision, trouble)

    def _ours(self, paths: object) -> tuple[str, ...] | None:
        """Return those of the paths that lie in our folders; None if it is no list of them."""
        if not isinstance(paths, list):
            return None
        named = cast("list[object]", paths)
        return tuple(path for path in named if isinstance(path, str) and _is_in(path, self.roots))


def _is_in(path: str, roots: Iterable[str]) -> bool:
    inside = any(path == root or path.startswith(f"{root}/") for root in roots)
    return inside and "\0" not in path and ".." not in path.split("/")


def _patiently() -> None:
    return None
