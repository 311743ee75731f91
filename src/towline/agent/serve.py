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
from typing import Any, cast

from towline.agent.changes import Changes
from towline.agent.ending import Ending
from towline.agent.forwards import Forwards
from towline.agent.lifetime import age_s, deadline_of, environment
from towline.agent.loop import TransportDeadError
from towline.agent.mirror import Lane, Mirror
from towline.agent.offer import offer, own_bundle
from towline.agent.place import ensure_place
from towline.agent.programs import HungUp, Programs
from towline.agent.questions import Laptop, Questions, Reply
from towline.agent.reverse import Reverses
from towline.agent.roots import Roots
from towline.agent.stamps import Stamps
from towline.agent.streams import Streams
from towline.agent.watches import Watches
from towline.agent.ways import Ways, status_file
from towline.agent.zstd import find as find_zstd
from towline.core.deadline import Deadline
from towline.core.wire.events import Closed, Event, Late, Lost, Message, Opened, Sendable, Silent
from towline.core.wire.frames import LINE_ID_SIZE, Hello, ProtocolError
from towline.core.wire.line import Line
from towline.core.wire.messages import Message as SyncMessage
from towline.core.wire.messages import decode, encode
from towline.core.wire.packing import Packer, Unpacker

FORWARD_AGAIN_S = 0.05  # Until a connection that has to wait is tried again.
MIRRORS_MAX = 64  # Folders of one workspace.
# Then the sockets are looked at again. Bulk messages take ten milliseconds each: a save that comes
# meanwhile waits for one, and what is late with its acknowledgement looks like a slow network.
MESSAGES_PER_TICK = {Lane.SYNC: 16, Lane.BULK: 1}


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
        self._has_news = True  # Since the last tick, for what is no stream.
        self._laptop = Laptop(now, away_since=now)
        self._mirrors: dict[int, Mirror] = {}
        self._lanes: dict[int, tuple[int, Lane]] = {}  # Channel → (mirror, lane).
        self._unpackers: dict[int, Unpacker] = {}  # By lane's channel.
        self._inbox: dict[Lane, deque[tuple[int, bytes]]] = {lane: deque() for lane in Lane}
        self._notebook = notebook
        self.ending = ending or Ending()
        self._lifetime = lifetime
        self._wall = wall
        self._start_beside = start_beside
        self._beside: object = None  # A program, kept for as long as we are.
        self._end_told: dict[int, int] = {}  # Mirror → the number of what its laptop was told.
        self._changes = Changes(os.urandom(4).hex())
        self._questions = Questions(
            self._laptop, self._mirrors, self._changes, self.ending, self._wall
        )

    # -- The transport, as the loop sees it ---------------------------------------------------

    def accept(self, hello: Hello, now: float) -> None:
        """A transport begins. A Line that is not the one we hold is a new one: ours is dead."""
        self._laptop.now, self._has_news = now, True
        self._beside = self._beside or self._start_beside()
        if self._line.line_id != hello.line_id or self._line_is_over:
            self._start_line(hello.line_id, now)
        self._line.attach(now)
        self._laptop.is_here = True
        self._end_told.clear()  # How much is left is another thing after a cut.

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the transport. Raises `ProtocolError` if the peer broke the rules."""
        with self._noting_the_end():
            self._line.receive_bytes(data, now)
            self._take_events()

    def bytes_to_send(self, now: float) -> bytes:
        return self._line.bytes_to_send(now) if self._laptop.is_here else b""

    def detached(self, now: float) -> None:
        if self._laptop.is_here:
            self._line.detach(now)
        self._laptop.is_here, self._laptop.away_since = False, now
        self._has_news = True

    def deadline(self) -> float | None:
        due = [mirror.deadline() for mirror in self._mirrors.values()]
        due += self._questions.deadlines()
        if (end_at := self.ending.next_at()) is not None:
            due.append(self._laptop.now + end_at - self._wall())
        if self._forwards.waits:
            due.append(self._laptop.now + FORWARD_AGAIN_S)
        if self._laptop.is_here:
            due.append(self._line.deadline())
            due += [watch.deadline() for watch in self._watches]
        return min((at for at in due if at is not None), default=None)

    def writes_at(self) -> float | None:
        return self._line.acks_at() if self._laptop.is_here else None

    @property
    def is_calm(self) -> bool:
        return not self._has_news

    def tick(self, now: float) -> bool:
        """Do what is due and one step of what is long. True: call again without waiting.

        Raises `ProtocolError` as `receive` does, and `TransportDeadError` after long silence.
        """
        self._laptop.now = now
        self._has_news = False
        with self._noting_the_end():
            if self._laptop.is_here:
                self._line.handle_timer(now)
                self._take_events()
            self._take_messages(now)
        for watch in self._watches:
            watch.look(now)
        self._tell_end()
        self.carry()
        more = False
        for number, mirror in self._mirrors.items():
            more = mirror.step(now, busy=bool(self._inbox[Lane.BULK])) or more
            while mirror.flushed:
                self._questions.flushed(number, mirror.flushed.pop())
            while mirror.settled:
                self._questions.settled(number, mirror.settled.pop())
        self._close_gone()
        self._questions.step()
        return more or self._can_take()

    def carry(self) -> None:
        for streams in self._streams:
            streams.step()

    def watched(self) -> Collection[int]:
        """What the folders' watches have to tell.

        Only those that would be looked at: one that stays readable would keep the loop from
        sleeping.
        """
        roots = [mirror.watched for mirror in self._mirrors.values()]
        return [root.follower.watch.fileno() for root in roots if root]

    def readable(self) -> Collection[int]:
        return {fd for streams in self._streams for fd in streams.readable()}

    def writable(self) -> Collection[int]:
        return {fd for streams in self._streams for fd in streams.writable()}

    def close(self) -> None:
        self._close_streams()
        self._roots.close()

    def request(self, request: dict[str, Any], reply: Reply) -> None:
        """Answer a program on the machine, at once or when the answer is there."""
        self._has_news = True
        if request.get("verb") == "stop":
            self.stopping = True
            return reply({"ok": True})
        return self._questions.ask(request, reply)

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
        self._questions.begin_anew()
        self._line = Line(line_id, initiator=False, software=self._software, now=now)
        self._close_streams()
        self._watches = _watches_on(self._line, self._ways_file)
        self._streams = self._streams_on(self._line)
        self._mirrors.clear()
        self._lanes.clear()
        self._unpackers.clear()
        for inbox in self._inbox.values():
            inbox.clear()

    def _streams_on(self, line: Line) -> list[Streams]:
        self._forwards = Forwards(line)
        own = (self._forwards, Reverses(line), Programs(line, self._hung_up))
        return [*own, *self._watches]

    def _close_streams(self) -> None:
        for streams in self._streams:
            streams.close()

    def _take_events(self) -> None:
        while (event := self._line.next_event()) is not None:
            self._take_event(event)

    def _take_event(self, event: Event) -> None:
        match event:
            case Message(channel, data) if channel in self._lanes:
                self._inbox[self._lanes[channel][1]].append((channel, data))
            case Message(channel, data):
                return self._put(channel, data)
            case Sendable(channel) if channel not in self._lanes:
                return self._stir(channel)
            case Opened(channel, greeting):
                self._open(channel, greeting)
            case Closed(channel):
                for streams in self._streams:
                    streams.closed(channel)
                self._close(channel)
            case Silent(silent_s):
                raise TransportDeadError(f"the laptop has been silent for {silent_s:.0f} s")
            case Late():
                raise TransportDeadError("the laptop gave this transport up before the last one")
            case Lost():
                self._line_is_over = True
                raise TransportDeadError("the laptop has forgotten this line")
            case _:
                pass
        self._has_news = True
        return None

    def _put(self, channel: int, data: bytes) -> None:
        for streams in self._streams:
            if channel in streams:
                streams.put(channel, data)
                self._has_news |= streams in self._watches  # It may be due to look.

    def _stir(self, channel: int) -> None:
        for streams in self._streams:
            streams.stir(channel)

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
        self._unpackers[channel] = Unpacker(find_zstd())
        return None

    def _close(self, channel: int) -> None:
        """A lane is closed: its mirror is no longer wanted. The folder stays warm."""
        self._unpackers.pop(channel, None)
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
            for _ in range(min(MESSAGES_PER_TICK[lane], len(inbox))):
                channel, data = inbox.popleft()
                number, _lane = self._lanes.get(channel, (-1, lane))
                mirror = self._mirrors.get(number)
                if mirror is None:
                    continue
                if not mirror.takes():
                    inbox.appendleft((channel, data))
                    break
                mirror.receive(decode(data, self._unpackers[channel].unpack), now)
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
        self._packer = Packer()
        self._number = number

    def room(self, lane: Lane) -> bool:
        channel = self._channel(lane)
        return channel is not None and self._line.sendable(channel) > 0

    def send(self, lane: Lane, message: SyncMessage) -> None:
        channel = self._channel(lane)
        if channel is not None:
            packed = encode(message, self._packer.pack) if lane is Lane.SYNC else encode(message)
            self._line.send(channel, packed)

    def _channel(self, lane: Lane) -> int | None:
        wanted = (self._number, lane)
        return next((channel for channel, at in self._lanes.items() if at == wanted), None)


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
