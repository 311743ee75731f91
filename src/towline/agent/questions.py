"""What programs on the machine ask of the agent, and when each is answered.

A kernel waits before a cell until all that was saved is here, another waits for a change, a person
asks for the status. Questions come by the agent's socket and never by the Line; what the laptop is
asked because of them goes through the mirrors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard, cast

from towline.agent.changes import Changes
from towline.agent.ending import Ending
from towline.agent.mirror import Mirror
from towline.core.ignore import Rules
from towline.core.wire.messages import Flushed

Reply = Callable[[dict[str, Any]], None]

FLUSH_DEFAULT_S = 2.0
FLUSH_MAX_S = 60.0
WAIT_MAX_S = 3600.0
WHEN_MAX_S = 366 * 86400.0
ASKED_MAX = 256  # Programs beside us that wait for an answer: many more than kernels there can be.
SETTLE_S = 0.3  # For our own watch to tell what was changed here, when nobody else is waited for.


@dataclass(slots=True)
class Laptop:
    """Whether the laptop is connected, and since when it is not, by the clock that drives us."""

    now: float
    away_since: float
    is_here: bool = False

    def as_json(self) -> dict[str, Any]:
        away_s = 0.0 if self.is_here else round(self.now - self.away_since, 3)
        return {"connected": self.is_here, "away_s": away_s}


@dataclass(slots=True)
class _Flush:
    """A program beside us waits for a flush."""

    deadline: float
    reply: Reply
    since: object  # The position of the one who asks.
    laptop: set[int]  # Mirrors for which the laptop has not answered yet.
    here: set[int]  # Mirrors whose own watch has not told yet what was changed here.
    failed: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class _Listener:
    """A program beside us waits until something changes."""

    deadline: float
    reply: Reply
    since: object


class Questions:
    """All that are asked; `mirrors` are the folders there are at that moment."""

    def __init__(
        self,
        laptop: Laptop,
        mirrors: Mapping[int, Mirror],
        changes: Changes,
        ending: Ending,
        wall: Callable[[], float],
    ) -> None:
        self._laptop = laptop
        self._mirrors = mirrors
        self._changes = changes
        self._ending = ending
        self._wall = wall
        self._revision = 0  # The last one the laptop said is here.
        self._flushes: dict[int, _Flush] = {}  # By the token that the laptop sends back.
        self._listeners: list[_Listener] = []
        self._next_token = 0

    def ask(self, request: dict[str, Any], reply: Reply) -> None:
        """Answer a program on the machine, at once or when the answer is there."""
        if len(self._flushes) + len(self._listeners) >= ASKED_MAX:
            return reply({"error": f"{ASKED_MAX} programs wait for an answer already"})
        match request.get("verb"):
            case "flush":
                self._flush(request.get("timeout", FLUSH_DEFAULT_S), request.get("since"), reply)
            case "changes":
                reply({**self._news(request.get("since")), **self._laptop.as_json()})
            case "unwatched":
                reply(self._unwatched(request.get("paths")))
            case "wait":
                self._listen(request.get("timeout", FLUSH_DEFAULT_S), request.get("since"), reply)
            case "status":
                reply(self._status())
            case "rules":
                reply(self._rules())
            case "ends":
                reply(self._learn_end(request.get("in_s"), request.get("why", "")))
            case op:
                reply({"error": f"unknown request {op!r}"})
        return None

    def deadlines(self) -> list[float]:
        flushes = [flush.deadline for flush in self._flushes.values()]
        return [*flushes, *(listener.deadline for listener in self._listeners)]

    def step(self) -> None:
        """Answer whoever has waited long enough, and whoever waited for what has changed."""
        self._give_up_waiting()
        self._tell_listeners()

    def begin_anew(self) -> None:
        """Another laptop, or the same after its end: it may have begun to count anew."""
        self._revision = 0

    def _flush(self, timeout_s: object, since: object, reply: Reply) -> None:
        """Answer once all that was saved there, and changed here, before now is here and noted."""
        if not _is_time(timeout_s, FLUSH_MAX_S):
            return reply({"error": f"timeout must be from 0 to {FLUSH_MAX_S:g}"})
        self._next_token += 1
        token, mirrors = self._next_token, self._mirrors
        question = _Flush(self._laptop.now + timeout_s, reply, since, set(mirrors), set(mirrors))
        self._flushes[token] = question
        if not self._laptop.is_here:
            self._fail(question, "the laptop is not connected")
        elif not mirrors:
            self._fail(question, "the link is being made")
            question.failed["beginning"] = True  # Worth asking again, soon.
        for mirror in mirrors.values():
            mirror.settle(token, self._laptop.now)
            if self._laptop.is_here:
                mirror.flush(token, timeout_s)
        self._answer_if_done(token)
        return None

    def _fail(self, question: _Flush, reason: str) -> None:
        """The laptop's part is not to be had; what was changed here is told all the same."""
        question.failed = {"error": reason, **self._laptop.as_json()}
        question.laptop.clear()
        question.deadline = min(question.deadline, self._laptop.now + SETTLE_S)

    def flushed(self, number: int, flushed: Flushed) -> None:
        """The laptop has answered for one folder."""
        question = self._flushes.get(flushed.token)
        if question is None:  # Given up already.
            return
        question.laptop.discard(number)
        self._revision = max(self._revision, flushed.revision)
        if flushed.reason:
            self._fail(question, flushed.reason)
        self._answer_if_done(flushed.token)

    def settled(self, number: int, token: int) -> None:
        if question := self._flushes.get(token):
            question.here.discard(number)
            self._answer_if_done(token)

    def _answer_if_done(self, token: int) -> None:
        question = self._flushes[token]
        if question.laptop or question.here:
            return
        del self._flushes[token]
        question.reply({**self._news(question.since), **question.failed})

    def _give_up_waiting(self) -> None:
        now = self._laptop.now
        for token, question in list(self._flushes.items()):
            if not self._laptop.is_here and question.laptop:
                self._fail(question, "the laptop left")
                self._answer_if_done(token)
            elif now >= question.deadline:
                del self._flushes[token]
                # Without the word of our own watch, anything may have changed here.
                news = self._news(None if question.here else question.since)
                late = {"error": "the laptop did not answer in time", **self._laptop.as_json()}
                question.reply({**news, **(question.failed or (late if question.laptop else {}))})

    def _news(self, since: object) -> dict[str, Any]:
        """Say what changed after the position `since`; null for anything."""
        return {
            "revision": max([self._revision, *(m.revision for m in self._mirrors.values())]),
            "changes": self._changes.since(since),
            "position": self._changes.position,
            "whole": all(mirror.is_whole for mirror in self._mirrors.values()),
            **self._ending.as_json(self._wall()),
        }

    def _unwatched(self, paths: object) -> dict[str, Any]:
        """Say which of these files nobody would hear of: ignored ones, links that lead out."""
        if not isinstance(paths, list):
            return {"error": "paths must be a list"}
        named = [path for path in cast("list[object]", paths) if isinstance(path, str)]
        mirrors = self._mirrors.values()
        return {"unwatched": [p for p in named if not any(mirror.holds(p) for mirror in mirrors)]}

    def _learn_end(self, in_s: object, why: object) -> dict[str, Any]:
        if not _is_time(in_s, WHEN_MAX_S) or not isinstance(why, str):
            return {"error": f"in_s must be from 0 to {WHEN_MAX_S:g}, and why a text"}
        self._ending.tell(self._wall() + in_s, why or "a program on the machine says so")
        return {"ok": True}

    def _listen(self, timeout_s: object, since: object, reply: Reply) -> None:
        if not _is_time(timeout_s, WAIT_MAX_S):
            return reply({"error": f"timeout must be from 0 to {WAIT_MAX_S:g}"})
        self._listeners.append(_Listener(self._laptop.now + timeout_s, reply, since))
        return None

    def _tell_listeners(self) -> None:
        """Answer whoever waits for a change, at the change or at the end of the time."""
        for listener in list(self._listeners):
            if self._laptop.now >= listener.deadline or self._changes.since(listener.since) != []:
                self._listeners.remove(listener)
                listener.reply({**self._news(listener.since), **self._laptop.as_json()})

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            **self._laptop.as_json(),
            "folders": [
                {
                    "path": str(mirror.root.path),
                    "revision": mirror.revision,
                    "name": mirror.name,
                    "laptop": mirror.laptop,
                }
                for mirror in self._mirrors.values()
                if mirror.root is not None
            ],
        }

    def _rules(self) -> dict[str, Any]:
        """Say what of each folder is synced."""
        roots = [mirror.root for mirror in self._mirrors.values() if mirror.root is not None]
        known = [(root.path, root.replica.rules) for root in roots]
        return {
            "rules": {str(p): rules.to_wire() for p, rules in known if isinstance(rules, Rules)}
        }


def _is_time(value: object, longest_s: float) -> TypeGuard[float]:
    return type(value) in (int, float) and 0 <= cast("float", value) <= longest_s
