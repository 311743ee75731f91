"""What the agent does with a Line: folders kept in step, and answers for programs beside it.

An `AgentService` is driven from outside, by the loop or by a simulator: bytes in, bytes out,
steps of work. It owns the machine's end of the Line and one mirror for each folder; it opens no
socket and starts no thread.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from towline.agent.forwards import Forwards
from towline.agent.forwards import read_greeting as read_forward
from towline.agent.loop import TransportDeadError
from towline.agent.mirror import Lane, Mirror
from towline.agent.roots import Roots
from towline.core.wire.events import Closed, Event, Lost, Message, Opened, Sendable, Silent
from towline.core.wire.frames import LINE_ID_SIZE, Hello, ProtocolError
from towline.core.wire.line import Line
from towline.core.wire.messages import Flushed, decode, encode
from towline.core.wire.messages import Message as SyncMessage

Reply = Callable[[dict[str, Any]], None]

FLUSH_DEFAULT_S = 2.0
FLUSH_MAX_S = 60.0
MIRRORS_MAX = 64  # Folders of one workspace.
# Then the sockets are looked at again. Bulk messages take ten milliseconds each: a save that comes
# meanwhile waits for one, and what is late with its acknowledgement looks like a slow network.
MESSAGES_PER_TICK = {Lane.SYNC: 16, Lane.BULK: 1}


@dataclass(slots=True)
class _Question:
    """A program beside us waits for a flush."""

    deadline: float
    reply: Reply
    waiting: set[int]  # Mirrors that have not answered yet.
    revision: int = 0


class AgentService:
    def __init__(self, roots: Roots, software: str, now: float) -> None:
        self.stopping = False
        self._roots = roots
        self._software = software
        self._line = Line(bytes(LINE_ID_SIZE), initiator=False, software=software, now=now)
        self._forwards = Forwards(self._line)
        self._line_is_over = False
        self._attached = False
        self._now = now
        self._away_since = now
        self._mirrors: dict[int, Mirror] = {}
        self._lanes: dict[int, tuple[int, Lane]] = {}  # Channel → (mirror, lane).
        self._inbox: dict[Lane, deque[tuple[int, bytes]]] = {lane: deque() for lane in Lane}
        self._questions: dict[int, _Question] = {}
        self._next_token = 0

    # -- The transport, as the loop sees it ---------------------------------------------------

    def accept(self, hello: Hello, now: float) -> None:
        """A transport begins. A Line that is not the one we hold is a new one: ours is dead."""
        self._now = now
        if self._line.line_id != hello.line_id or self._line_is_over:
            self._start_line(hello.line_id, now)
        self._line.attach(now)
        self._attached = True

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the transport. Raises `ProtocolError` if the peer broke the rules."""
        with self._noting_the_end():
            self._line.receive_bytes(data, now)
            self._take_events()

    def bytes_to_send(self, now: float) -> bytes:
        return self._line.bytes_to_send(now) if self._attached else b""

    def detached(self, now: float) -> None:
        if self._attached:
            self._line.detach(now)
        self._attached = False
        self._away_since = now

    def deadline(self) -> float | None:
        due = [mirror.deadline() for mirror in self._mirrors.values()]
        due += [question.deadline for question in self._questions.values()]
        if self._attached:
            due.append(self._line.deadline())
        return min((at for at in due if at is not None), default=None)

    def tick(self, now: float) -> bool:
        """Do what is due and one step of what is long. True: call again without waiting.

        Raises `ProtocolError` as `receive` does, and `TransportDeadError` after long silence.
        """
        self._now = now
        with self._noting_the_end():
            if self._attached:
                self._line.handle_timer(now)
                self._take_events()
            self._take_messages(now)
        self._forwards.step()
        more = False
        for number, mirror in self._mirrors.items():
            more = mirror.step(now) or more
            while mirror.flushed:
                self._answer(number, mirror.flushed.pop())
        self._close_gone()
        self._give_up_waiting(now)
        return more or self._can_take()

    def watched(self) -> Mapping[int, Callable[[float], None]]:
        """The descriptors to wait for besides the transport. Readable: `tick` looks by itself.

        Only those it would look at: one that stays readable would keep the loop from sleeping.
        """
        roots = [mirror.watched for mirror in self._mirrors.values()]
        watches = {root.follower.watch.fileno(): lambda _now: None for root in roots if root}
        return {**watches, **self._forwards.readable()}

    def writable(self) -> Collection[int]:
        return self._forwards.writable()

    def close(self) -> None:
        self._forwards.close()
        self._roots.close()

    # -- Programs on the machine --------------------------------------------------------------

    def request(self, request: dict[str, Any], reply: Reply) -> None:
        """Answer a program on the machine, at once or when the answer is there."""
        match request.get("verb"):
            case "flush":
                self._flush(request.get("timeout", FLUSH_DEFAULT_S), reply)
            case "status":
                reply(self._status())
            case "stop":
                self.stopping = True
                reply({"ok": True})
            case op:
                reply({"error": f"unknown request {op!r}"})

    def _flush(self, timeout_s: object, reply: Reply) -> None:
        if not isinstance(timeout_s, int | float) or not 0 <= timeout_s <= FLUSH_MAX_S:
            return reply({"error": f"timeout must be from 0 to {FLUSH_MAX_S:g}"})
        if not self._attached or not self._mirrors:
            away_s = round(self._now - self._away_since, 3)
            return reply({"error": "the laptop is not connected", "away_s": away_s})
        self._next_token += 1
        question = _Question(self._now + timeout_s, reply, set(self._mirrors))
        self._questions[self._next_token] = question
        for mirror in self._mirrors.values():
            mirror.flush(self._next_token, timeout_s)
        return None

    def _answer(self, number: int, flushed: Flushed) -> None:
        """Pass an answer on once every folder has given its own, or one cannot."""
        question = self._questions.get(flushed.token)
        if question is None:  # Given up already.
            return
        question.waiting.discard(number)
        question.revision = max(question.revision, flushed.revision)
        if flushed.reason or not question.waiting:
            del self._questions[flushed.token]
            failed = {"error": flushed.reason} if flushed.reason else {}
            question.reply({"revision": question.revision, **failed})

    def _give_up_waiting(self, now: float) -> None:
        for token, question in list(self._questions.items()):
            if now >= question.deadline or not self._attached:
                del self._questions[token]
                why = "the laptop did not answer in time" if self._attached else "the laptop left"
                question.reply({"error": why})

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "connected": self._attached,
            "away_s": 0.0 if self._attached else round(self._now - self._away_since, 3),
            "folders": [
                {"path": str(mirror.root.path), "revision": mirror.revision}
                for mirror in self._mirrors.values()
                if mirror.root is not None
            ],
        }

    # -- The Line -----------------------------------------------------------------------------

    @contextmanager
    def _noting_the_end(self) -> Generator[None, None, None]:
        """A Line whose peer broke the rules is of no more use; the next transport gets another."""
        try:
            yield
        except ProtocolError:
            self._line_is_over = True
            raise

    def _start_line(self, line_id: bytes, now: float) -> None:
        self._line_is_over = False
        self._line = Line(line_id, initiator=False, software=self._software, now=now)
        self._forwards.close()
        self._forwards = Forwards(self._line)
        self._mirrors.clear()
        self._lanes.clear()
        for inbox in self._inbox.values():
            inbox.clear()

    def _take_events(self) -> None:
        while (event := self._line.next_event()) is not None:
            self._take_event(event)

    def _take_event(self, event: Event) -> None:
        match event:
            case Opened(channel, greeting):
                self._open(channel, greeting)
            case Message(channel, data) if channel in self._lanes:
                self._inbox[self._lanes[channel][1]].append((channel, data))
            case Message(channel, data) if channel in self._forwards:
                self._forwards.put(channel, data)
            case Sendable(channel):
                self._forwards.stir(channel)
            case Closed(channel):
                self._forwards.closed(channel)
                self._close(channel)
            case Silent(silent_s):
                raise TransportDeadError(f"the laptop has been silent for {silent_s:.0f} s")
            case Lost():
                self._line_is_over = True
                raise TransportDeadError("the laptop has forgotten this line")
            case _:
                pass

    def _open(self, channel: int, greeting: bytes) -> None:
        """Take a channel as its greeting says: a forward, or a lane of a mirror; refuse others."""
        try:
            if (port := read_forward(greeting)) is not None:
                return self._forwards.open(channel, port)
            number, lane = _read_greeting(greeting)
        except ValueError:
            return self._line.close_channel(channel, "this agent knows no such channel")
        if number not in self._mirrors:
            outlet = _LineOutlet(self._line, self._lanes, number)
            self._mirrors[number] = Mirror(outlet, self._roots.open)
        self._lanes[channel] = (number, lane)
        return None

    def _close(self, channel: int) -> None:
        """A lane is closed: its mirror is no longer wanted. The folder stays warm."""
        number, _ = self._lanes.pop(channel, (None, None))
        if number is not None:
            self._mirrors.pop(number, None)

    def _close_gone(self) -> None:
        """A folder that is gone comes back as another one, in a life of its own."""
        gone = {number for number, mirror in self._mirrors.items() if mirror.is_over}
        for channel, (number, _) in list(self._lanes.items()):
            if number in gone:
                self._line.close_channel(channel, "the folder on the machine is gone")
                self._close(channel)

    def _take_messages(self, now: float) -> None:
        """Give mirrors what has arrived for them, small things first, a few at a time."""
        for lane in (Lane.SYNC, Lane.BULK):
            inbox = self._inbox[lane]
            for _ in range(min(MESSAGES_PER_TICK[lane], len(inbox))):
                channel, data = inbox.popleft()
                number, _lane = self._lanes.get(channel, (-1, lane))
                mirror = self._mirrors.get(number)
                if mirror is None:
                    continue
                if not mirror.takes():
                    inbox.appendleft((channel, data))
                    break
                mirror.receive(decode(data), now)
                self._line.consumed(channel, len(data))

    def _can_take(self) -> bool:
        return any(
            (mirror := self._mirrors.get(self._lanes.get(channel, (-1, lane))[0])) is not None
            and mirror.takes()
            for lane, inbox in self._inbox.items()
            for channel, _ in list(inbox)[:1]
        )


def open_service(workspace: str) -> AgentService:
    """Return the service of a workspace's agent, by the clock of this machine."""
    return AgentService(Roots(), f"towline agent of {workspace}", time.monotonic())


class _LineOutlet:
    """Sends a mirror's messages on its channels of the Line."""

    def __init__(self, line: Line, lanes: Mapping[int, tuple[int, Lane]], number: int) -> None:
        self._line = line
        self._lanes = lanes
        self._number = number

    def room(self, lane: Lane) -> bool:
        channel = self._channel(lane)
        return channel is not None and self._line.sendable(channel) > 0

    def send(self, lane: Lane, message: SyncMessage) -> None:
        channel = self._channel(lane)
        if channel is not None:
            self._line.send(channel, encode(message, compress=lane is Lane.SYNC))

    def _channel(self, lane: Lane) -> int | None:
        wanted = (self._number, lane)
        return next((channel for channel, at in self._lanes.items() if at == wanted), None)


def _read_greeting(greeting: bytes) -> tuple[int, Lane]:
    """Return the mirror's number and the lane a channel asks to be. Raises `ValueError`."""
    plain = json.loads(greeting)
    if type(plain) is not dict:
        raise ValueError("not an object")
    known = cast("dict[str, Any]", plain)
    number = known.get("mirror")
    if type(number) is not int or not 0 <= number < MIRRORS_MAX:
        raise ValueError("no mirror")
    return number, Lane(known.get("lane"))
