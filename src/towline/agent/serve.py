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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeGuard, cast

from towline.agent.changes import Changes
from towline.agent.ending import Ending
from towline.agent.forwards import Forwards
from towline.agent.lifetime import age_s, deadline_of, environment
from towline.agent.loop import TransportDeadError
from towline.agent.mirror import Lane, Mirror
from towline.agent.offer import offer, own_bundle
from towline.agent.place import ensure_place
from towline.agent.programs import HungUp, Programs
from towline.agent.reverse import Reverses
from towline.agent.roots import Roots
from towline.agent.stamps import Stamps
from towline.agent.streams import Streams
from towline.agent.watches import Watches
from towline.agent.ways import Ways, status_file
from towline.core.deadline import Deadline
from towline.core.ignore import Rules
from towline.core.wire.events import Closed, Event, Lost, Message, Opened, Sendable, Silent
from towline.core.wire.frames import LINE_ID_SIZE, Hello, ProtocolError
from towline.core.wire.line import Line
from towline.core.wire.messages import Flushed, decode, encode
from towline.core.wire.messages import Message as SyncMessage

Reply = Callable[[dict[str, Any]], None]

FLUSH_DEFAULT_S = 2.0
FLUSH_MAX_S = 60.0
WAIT_MAX_S = 3600.0
WHEN_MAX_S = 366 * 86400.0
ASKED_MAX = 256  # Programs beside us that wait for an answer: many more than kernels there can be.
SETTLE_S = 0.3  # For our own watch to tell what was changed here, when nobody else is waited for.
MIRRORS_MAX = 64  # Folders of one workspace.
# Then the sockets are looked at again. Bulk messages take ten milliseconds each: a save that comes
# meanwhile waits for one, and what is late with its acknowledgement looks like a slow network.
MESSAGES_PER_TICK = {Lane.SYNC: 16, Lane.BULK: 1}


@dataclass(slots=True)
class _Question:
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


class AgentService:
    """`notebook` is the line that loads the extension in a notebook here.

    `start_beside` is called when the first laptop comes, and starts what asks for notices.
    `lifetime` says when this machine ends, given how long it lives as the laptop says (0: unsaid);
    what is known of that goes by `wall`, in Unix time. `ways` is the file in which `towline up`
    says how this machine is reached.
    """

    def __init__(
        self,
        roots: Roots,
        software: str,
        now: float,
        notebook: str = "",
        ways: str = "",
        *,
        ending: Ending | None = None,
        lifetime: Callable[[float], Deadline | None] = lambda _: None,
        wall: Callable[[], float] = time.time,
        start_beside: Callable[[], object] = lambda: None,
    ) -> None:
        self.stopping = False
        self._roots = roots
        self._software = software
        self._line = Line(bytes(LINE_ID_SIZE), initiator=False, software=software, now=now)
        self._ways_file = ways
        self._watches = _watches_on(self._line, ways)
        self._hung_up = HungUp()
        self._streams = self._streams_on(self._line)
        self._line_is_over = False
        self._attached = False
        self._now = now
        self._away_since = now
        self._mirrors: dict[int, Mirror] = {}
        self._lanes: dict[int, tuple[int, Lane]] = {}  # Channel → (mirror, lane).
        self._inbox: dict[Lane, deque[tuple[int, bytes]]] = {lane: deque() for lane in Lane}
        self._notebook = notebook
        self.ending = ending or Ending()
        self._lifetime = lifetime
        self._wall = wall
        self._start_beside = start_beside
        self._beside: object = None  # A program, kept for as long as we are.
        self._end_told: dict[int, int] = {}  # Mirror → the number of what its laptop was told.
        self._changes = Changes(os.urandom(4).hex())
        self._revision = 0  # The last one the laptop said is here.
        self._questions: dict[int, _Question] = {}
        self._listeners: list[_Listener] = []
        self._next_token = 0

    # -- The transport, as the loop sees it ---------------------------------------------------

    def accept(self, hello: Hello, now: float) -> None:
        """A transport begins. A Line that is not the one we hold is a new one: ours is dead."""
        self._now = now
        self._beside = self._beside or self._start_beside()
        if self._line.line_id != hello.line_id or self._line_is_over:
            self._start_line(hello.line_id, now)
        self._line.attach(now)
        self._attached = True
        self._end_told.clear()  # How much is left is another thing after a cut.

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
        due += [listener.deadline for listener in self._listeners]
        if (end_at := self.ending.next_at()) is not None:
            due.append(self._now + end_at - self._wall())
        if self._attached:
            due += [self._line.deadline(), self._line.acks_at()]
            due += [watch.deadline() for watch in self._watches]
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
        for watch in self._watches:
            watch.look(now)
        self._tell_end()
        for streams in self._streams:
            streams.step()
        more = False
        for number, mirror in self._mirrors.items():
            more = mirror.step(now, busy=bool(self._inbox[Lane.BULK])) or more
            while mirror.flushed:
                self._flushed(number, mirror.flushed.pop())
            while mirror.settled:
                self._settled(number, mirror.settled.pop())
        self._close_gone()
        self._give_up_waiting(now)
        self._tell_listeners(now)
        return more or self._can_take()

    def watched(self) -> Mapping[int, Callable[[float], None]]:
        """The descriptors to wait for besides the transport. Readable: `tick` looks by itself.

        Only those it would look at: one that stays readable would keep the loop from sleeping.
        """
        roots = [mirror.watched for mirror in self._mirrors.values()]
        watches = [root.follower.watch.fileno() for root in roots if root]
        readable = [fd for streams in self._streams for fd in streams.readable()]
        return dict.fromkeys([*watches, *readable], _look)

    def writable(self) -> Collection[int]:
        return {fd for streams in self._streams for fd in streams.writable()}

    def close(self) -> None:
        self._close_streams()
        self._roots.close()

    # -- Programs on the machine --------------------------------------------------------------

    def request(self, request: dict[str, Any], reply: Reply) -> None:
        """Answer a program on the machine, at once or when the answer is there."""
        if len(self._questions) + len(self._listeners) >= ASKED_MAX:
            return reply({"error": f"{ASKED_MAX} programs wait for an answer already"})
        match request.get("verb"):
            case "flush":
                self._flush(request.get("timeout", FLUSH_DEFAULT_S), request.get("since"), reply)
            case "changes":
                reply({**self._news(request.get("since")), **self._presence()})
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
            case "stop":
                self.stopping = True
                reply({"ok": True})
            case op:
                reply({"error": f"unknown request {op!r}"})
        return None

    def _flush(self, timeout_s: object, since: object, reply: Reply) -> None:
        """Answer once all that was saved there, and changed here, before now is here and noted."""
        if not _is_time(timeout_s, FLUSH_MAX_S):
            return reply({"error": f"timeout must be from 0 to {FLUSH_MAX_S:g}"})
        self._next_token += 1
        token, mirrors = self._next_token, self._mirrors
        question = _Question(self._now + timeout_s, reply, since, set(mirrors), set(mirrors))
        self._questions[token] = question
        if not self._attached:
            self._fail(question, "the laptop is not connected")
        elif not mirrors:
            self._fail(question, "the link is being made")
            question.failed["beginning"] = True  # Worth asking again, soon.
        for mirror in mirrors.values():
            mirror.settle(token, self._now)
            if self._attached:
                mirror.flush(token, timeout_s)
        self._answer_if_done(token)
        return None

    def _fail(self, question: _Question, reason: str) -> None:
        """The laptop's part is not to be had; what was changed here is told all the same."""
        question.failed = {"error": reason, **self._presence()}
        question.laptop.clear()
        question.deadline = min(question.deadline, self._now + SETTLE_S)

    def _flushed(self, number: int, flushed: Flushed) -> None:
        """The laptop has answered for one folder."""
        question = self._questions.get(flushed.token)
        if question is None:  # Given up already.
            return
        question.laptop.discard(number)
        self._revision = max(self._revision, flushed.revision)
        if flushed.reason:
            self._fail(question, flushed.reason)
        self._answer_if_done(flushed.token)

    def _settled(self, number: int, token: int) -> None:
        if question := self._questions.get(token):
            question.here.discard(number)
            self._answer_if_done(token)

    def _answer_if_done(self, token: int) -> None:
        question = self._questions[token]
        if question.laptop or question.here:
            return
        del self._questions[token]
        question.reply({**self._news(question.since), **question.failed})

    def _give_up_waiting(self, now: float) -> None:
        for token, question in list(self._questions.items()):
            if not self._attached and question.laptop:
                self._fail(question, "the laptop left")
                self._answer_if_done(token)
            elif now >= question.deadline:
                del self._questions[token]
                # Without the word of our own watch, anything may have changed here.
                news = self._news(None if question.here else question.since)
                late = {"error": "the laptop did not answer in time", **self._presence()}
                question.reply({**news, **(question.failed or (late if question.laptop else {}))})

    def _news(self, since: object) -> dict[str, Any]:
        """Say what changed after the position `since`; null for anything."""
        return {
            "revision": max([self._revision, *(m.revision for m in self._mirrors.values())]),
            "changes": self._changes.since(since),
            "position": self._changes.position,
            "whole": all(mirror.is_whole for mirror in self._mirrors.values()),
            **self.ending.as_json(self._wall()),
        }

    def _unwatched(self, paths: object) -> dict[str, Any]:
        """Say which of these files nobody would hear of: ignored ones, links that lead out."""
        if not isinstance(paths, list):
            return {"error": "paths must be a list"}
        named = [path for path in cast("list[object]", paths) if isinstance(path, str)]
        mirrors = self._mirrors.values()
        return {"unwatched": [p for p in named if not any(mirror.holds(p) for mirror in mirrors)]}

    def _presence(self) -> dict[str, Any]:
        away_s = 0.0 if self._attached else round(self._now - self._away_since, 3)
        return {"connected": self._attached, "away_s": away_s}

    def _learn_end(self, in_s: object, why: object) -> dict[str, Any]:
        if not _is_time(in_s, WHEN_MAX_S) or not isinstance(why, str):
            return {"error": f"in_s must be from 0 to {WHEN_MAX_S:g}, and why a text"}
        self.ending.tell(self._wall() + in_s, why or "a program on the machine says so")
        return {"ok": True}

    def _tell_end(self) -> None:
        """Warn here, and let each laptop know when the machine ends, once it wants a folder."""
        for number, mirror in self._mirrors.items():
            if mirror.root is not None and number not in self._end_told:
                self.ending.learn(self._lifetime(mirror.lives_s), mirror.lives_s)
                self._end_told[number] = 0
        self.ending.step(self._wall())
        deadline = self.ending.deadline
        for number, told in self._end_told.items():
            if deadline is not None and told != self.ending.number and number in self._mirrors:
                self._end_told[number] = self.ending.number
                left_s = max(0.0, deadline.at - self._wall())
                self._mirrors[number].tell_end(left_s, deadline.why)

    def _listen(self, timeout_s: object, since: object, reply: Reply) -> None:
        if not _is_time(timeout_s, WAIT_MAX_S):
            return reply({"error": f"timeout must be from 0 to {WAIT_MAX_S:g}"})
        self._listeners.append(_Listener(self._now + timeout_s, reply, since))
        return None

    def _tell_listeners(self, now: float) -> None:
        """Answer whoever waits for a change, at the change or at the end of the time."""
        for listener in list(self._listeners):
            if now >= listener.deadline or self._changes.since(listener.since) != []:
                self._listeners.remove(listener)
                listener.reply({**self._news(listener.since), **self._presence()})

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            **self._presence(),
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
        self._revision = 0  # The laptop may have begun to count anew.
        self._line = Line(line_id, initiator=False, software=self._software, now=now)
        self._close_streams()
        self._watches = _watches_on(self._line, self._ways_file)
        self._streams = self._streams_on(self._line)
        self._mirrors.clear()
        self._lanes.clear()
        for inbox in self._inbox.values():
            inbox.clear()

    def _streams_on(self, line: Line) -> list[Streams]:
        own = (Forwards(line), Reverses(line), Programs(line, self._hung_up))
        return [*own, *self._watches]

    def _close_streams(self) -> None:
        for streams in self._streams:
            streams.close()

    def _take_events(self) -> None:
        while (event := self._line.next_event()) is not None:
            self._take_event(event)

    def _take_event(self, event: Event) -> None:
        match event:
            case Opened(channel, greeting):
                self._open(channel, greeting)
            case Message(channel, data) if channel in self._lanes:
                self._inbox[self._lanes[channel][1]].append((channel, data))
            case Message(channel, data):
                for streams in self._streams:
                    if channel in streams:
                        streams.put(channel, data)
            case Sendable(channel):
                for streams in self._streams:
                    streams.stir(channel)
            case Closed(channel):
                for streams in self._streams:
                    streams.closed(channel)
                self._close(channel)
            case Silent(silent_s):
                raise TransportDeadError(f"the laptop has been silent for {silent_s:.0f} s")
            case Lost():
                self._line_is_over = True
                raise TransportDeadError("the laptop has forgotten this line")
            case _:
                pass

    def _open(self, channel: int, greeting: bytes) -> None:
        """Take a channel as its greeting says: a stream, or a lane of a mirror; refuse others."""
        try:
            named = _read_greeting(greeting)
            for streams in self._streams:
                if streams.wants(named):
                    return streams.open(channel, named)
            number, lane = _read_lane(named)
        except (ValueError, RecursionError):
            return self._line.close_channel(channel, "this agent knows no such channel")
        if number not in self._mirrors:
            outlet = _LineOutlet(self._line, self._lanes, number)
            self._mirrors[number] = Mirror(outlet, self._roots.open, self._changes, self._notebook)
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
        if not gone:
            return
        for channel, (number, _) in list(self._lanes.items()):
            if number in gone:
                self._line.close_channel(channel, "the folder on the machine is gone")
                self._close(channel)

    def _take_messages(self, now: float) -> None:
        """Give mirrors what has arrived for them, small things first, a few at a time."""
        for lane, inbox in self._inbox.items():
            for _ in range(min(MESSAGES_PER_TICK[lane], len(inbox)) if inbox else 0):
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


def _look(now: float) -> None:
    """The next `tick` looks by itself."""


def open_service(workspace: str) -> AgentService:
    """Return the service of a workspace's agent, by the clock of this machine."""
    software = f"towline agent of {workspace}"
    ways = status_file(dict(os.environ))
    ending = Ending(ensure_place(workspace).deadline)
    ending.warned.append(lambda left_s, _why: _warn_jobs(workspace, left_s))

    def when(lives_s: float) -> Deadline | None:
        return deadline_of(lives_s, environment(), age_s())

    now, notebook = time.monotonic(), offer()
    return AgentService(
        Roots(),
        software,
        now,
        notebook,
        ways,
        ending=ending,
        lifetime=when,
        start_beside=lambda: _start_beside(workspace),
    )


def _warn_jobs(workspace: str, left_s: float) -> None:
    from towline.agent.jobs.deadline import warn  # Few agents see the end of their machine.

    with suppress(OSError):  # A job that cannot be told goes on, as it would have.
        warn(workspace, left_s)


def _start_beside(workspace: str) -> object:
    from towline.agent.notices import start_beside

    return start_beside(workspace, own_bundle())


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


def _is_time(value: object, longest_s: float) -> TypeGuard[float]:
    return type(value) in (int, float) and 0 <= cast("float", value) <= longest_s


def _read_greeting(greeting: bytes) -> dict[str, Any]:
    """Return what a channel says it is for. Raises `ValueError`."""
    plain: object = json.loads(greeting)
    if type(plain) is not dict:
        raise ValueError("not an object")
    return cast("dict[str, Any]", plain)


def _read_lane(greeting: Mapping[str, Any]) -> tuple[int, Lane]:
    """Return the mirror's number and the lane a channel asks to be. Raises `ValueError`."""
    number = greeting.get("mirror")
    if type(number) is not int or not 0 <= number < MIRRORS_MAX:
        raise ValueError("no mirror")
    return number, Lane(greeting.get("lane"))


def _watches_on(line: Line, ways: str) -> list[Watches[Any]]:
    return [Ways(line, ways), Stamps(line)]
