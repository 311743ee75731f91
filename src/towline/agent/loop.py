"""The agent's one loop: a single thread that owns the sockets, the service and all state.

It moves bytes between the transport of the moment and the service, and requests between local
clients and the service. It knows no message of the Line beyond the HELLO that opens a transport.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, cast

from towline.agent.client import ANSWERS_MAX, Client, LineTooLongError, Role, is_ours
from towline.agent.log import Log
from towline.core.wire.frames import Hello, ProtocolError, parse_hello

LOCAL_MAX = 32  # Local clients at a time: kernels and commands of one workspace, generously.
UNKNOWN_MAX = 8  # Clients that have not said who they are; the oldest goes first.
IDLE_LIFE_S = 24 * 3600.0  # Without a transport: a laptop that sleeps over a day still resumes.
PLACE_CHECK_S = 30.0  # How long an agent that nobody can find any more may live on.
FEED_MAX = 256 << 10  # Bytes handed to the transport before other clients have their turn.
FAREWELL_S = 1.0  # How long the last words to a transport may take.

Reply = Callable[[dict[str, Any]], None]


class TransportDeadError(Exception):
    """Raised by the service when its Line has given the transport up; the message is why."""


class Service(Protocol):
    """What the loop drives. All times are seconds of `time.monotonic`."""

    stopping: bool
    """Set by the service when the agent is to end."""

    def accept(self, hello: Hello, now: float) -> None:
        """A new transport begins with this HELLO; `receive` gets its bytes too, as the first."""

    def receive(self, data: bytes, now: float) -> None:
        """Take what came over the transport.

        Here and in `tick`, `ProtocolError` and `TransportDeadError` end the transport, after the
        Line's last words. After the former the service forgets its Line.
        """

    def bytes_to_send(self, now: float) -> bytes:
        """Return the next bytes for the transport, b"" for none. Asked only while it drains."""
        ...

    def detached(self, now: float) -> None:
        """The transport is gone."""

    def deadline(self) -> float | None:
        """When `tick` is due though nothing happens."""
        ...

    def writes_at(self) -> float | None:
        """When there are bytes to send though nothing happens."""
        ...

    def tick(self, now: float) -> bool:
        """Do what is due, or one short step of long work; True asks to be called again at once."""
        ...

    @property
    def is_calm(self) -> bool:
        """Whether nothing came since the last `tick` but for streams: none is due for it."""
        ...

    def carry(self) -> None:
        """Move what can be moved on streams. A `tick` does so, too."""

    def watched(self) -> Collection[int]:
        """Descriptors to call `tick` for when they can be read. Asked for after each turn."""
        ...

    def readable(self) -> Collection[int]:
        """Descriptors of streams, to call `carry` for when they can be read; as `watched`."""
        ...

    def writable(self) -> Collection[int]:
        """Descriptors of streams, to call `carry` for when they can be written; as `watched`."""
        ...

    def request(self, request: dict[str, Any], reply: Reply) -> None:
        """A local client asks. `reply` may be called later, repeatedly, and after it has left."""

    def close(self) -> None:
        """Let go of everything. `bytes_to_send` is asked once more afterwards."""


class Loop:
    """Serve one workspace on a listening unix socket until told to stop or left alone."""

    def __init__(
        self,
        listener: socket.socket,
        service: Service,
        *,
        path: str,
        bundle: str,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listener = listener
        self._service = service
        self._bundle = bundle
        self._log = log
        self._clock = clock
        self._path = path
        self._inode = os.stat(path).st_ino
        # Poll keeps nothing in the kernel, so a descriptor number that the service closes and
        # opens again between two ticks is simply the new one.
        self._selector = selectors.PollSelector()
        self._clients: list[Client] = []
        self._transport: Client | None = None
        self._wanted: dict[int, int] = {}  # Descriptors of the service, and for what they wait.
        self._watched: Collection[int] = ()  # Those of them that are of no stream.
        self._is_stirred = True  # Something other than streams has moved since the last tick.
        self._can_carry = False
        self._stopping = False
        now = clock()
        self._started = now
        self._idle_since = now
        self._place_check = now + PLACE_CHECK_S
        self._due_at = now

    def run(self) -> None:
        """Serve. Whatever goes wrong in the service is written to the log, and ends the agent."""
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept_client)
        try:
            with self._stopped_by_signals():
                while not self._is_over():
                    self._turn()
        except Exception as error:
            self._log.write_traceback(error)
            raise
        finally:
            self._close()

    def _turn(self) -> None:
        busy = False
        with self._transport_faults(self._transport):
            busy = self._let_work(self._clock())
        self._is_stirred |= busy
        self._follow_wanted()
        self._feed_transport()
        for key, _ in self._selector.select(0 if busy else self._timeout()):
            key.data()

    def _let_work(self, now: float) -> bool:
        """A turn of streams alone leaves folders alone: there are a thousand in a second."""
        is_stirred, self._is_stirred = self._is_stirred, False
        can_carry, self._can_carry = self._can_carry, False
        if is_stirred or now >= self._due_at or not self._service.is_calm:
            busy = self._service.tick(now)
            self._due_at = self._next_due()
            return busy
        if can_carry:
            self._service.carry()
        return False

    def _is_over(self) -> bool:
        now = self._clock()
        if self._transport is None and now >= self._idle_since + IDLE_LIFE_S:
            self._log.write("ends: no laptop came back")
            return True
        if now >= self._place_check:
            self._place_check = now + PLACE_CHECK_S
            if not self._can_be_found():
                self._log.write("ends: its socket is gone")
                return True
        return self._stopping or self._service.stopping

    def _can_be_found(self) -> bool:
        try:
            return os.stat(self._path).st_ino == self._inode
        except OSError:
            return False

    def _timeout(self) -> float:
        writes_at = self._service.writes_at() if self._drains() else None
        wakes_at = self._due_at if writes_at is None else min(self._due_at, writes_at)
        return max(0.0, wakes_at - self._clock())

    def _drains(self) -> bool:
        """Whether the transport takes more. If not, no clock makes it, and the system tells."""
        return self._transport is not None and not self._transport.outgoing

    def _next_due(self) -> float:
        deadlines = [self._place_check]
        if self._transport is None:
            deadlines.append(self._idle_since + IDLE_LIFE_S)
        if (due := self._service.deadline()) is not None:
            deadlines.append(due)
        return min(deadlines)

    # Clients

    def _accept_client(self) -> None:
        self._is_stirred = True
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        if not is_ours(sock):
            sock.close()
            return
        unknown = [client for client in self._clients if client.role is Role.UNKNOWN]
        if len(unknown) >= UNKNOWN_MAX:
            self._drop(unknown[0])
        client = Client(sock)
        self._clients.append(client)
        self._selector.register(
            sock, selectors.EVENT_READ, lambda client=client: self._serve_client(client)
        )

    def _serve_client(self, client: Client) -> None:
        if client.closed:  # By an event earlier in the same turn.
            return
        self._is_stirred |= client is not self._transport
        if client.role is Role.ATTACHING and not client.has_taken_over:
            self._take_over(client)
            return
        if (data := client.read()) is not None:
            if not data:
                self._drop(client)
                return
            self._take(client, data)
        if not client.closed and client is not self._transport:
            self._flush(client)

    def _take_over(self, client: Client) -> None:
        """Go on with what `attach` was given, and say READY: with our HELLO, if theirs is there.

        A relay may keep a second small packet back until the first is acknowledged.
        """
        try:
            if not client.take_over():
                return
        except OSError:
            self._drop(client)
            return
        client.outgoing += b"TOWLINE %s READY\n" % client.nonce
        # The socket says no more: it can only end.
        self._selector.modify(client.socket, selectors.EVENT_READ, lambda: self._drop(client))
        self._selector.register(
            client.source, selectors.EVENT_READ, lambda: self._serve_client(client)
        )
        self._serve_client(client)

    def _take(self, client: Client, data: bytes) -> None:
        if client.role is Role.TRANSPORT:
            with self._transport_faults(client):
                self._service.receive(data, self._clock())
            return
        client.incoming += data
        try:
            if client.role is Role.UNKNOWN:
                self._learn_role(client)
            if client.role is Role.ATTACHING:
                self._await_hello(client)
            elif client.role is Role.LOCAL:
                self._take_requests(client)
        except LineTooLongError:
            self._refuse(client, "the line is too long")

    def _learn_role(self, client: Client) -> None:
        if (first := client.take_line()) is None:
            return
        if first.startswith(b"ATTACH "):
            self._answer_attach(client, first.split())
        elif sum(other.role is Role.LOCAL for other in self._clients) >= LOCAL_MAX:
            self._refuse(client, f"the agent has {LOCAL_MAX} local clients already")
        else:
            client.role = Role.LOCAL
            self._take_request(client, first)

    def _answer_attach(self, client: Client, words: list[bytes]) -> None:
        if len(words) != 3 or words[1] != self._bundle.encode():
            client.outgoing += f"OTHER {self._bundle}\n".encode()
            client.closes_when_sent = True
            return
        client.role = Role.ATTACHING
        client.nonce = words[2]
        client.outgoing += b"OK\n"
        self._flush(client)

    def _await_hello(self, client: Client) -> None:
        with self._transport_faults(client):
            arrived = bytes(client.incoming)
            parsed = parse_hello(arrived)
            if parsed is None:
                return
            client.incoming.clear()
            self._replace_transport(client)
            self._service.accept(parsed[0], self._clock())
            self._service.receive(arrived, self._clock())
            client.outgoing += self._service.bytes_to_send(self._clock())  # Behind READY, as one.

    def _replace_transport(self, client: Client) -> None:
        if self._transport is not None:
            self._drop(self._transport)
        client.role = Role.TRANSPORT
        self._transport = client
        self._log.write("attached")

    @contextmanager
    def _transport_faults(self, client: Client | None) -> Generator[None]:
        """A peer that breaks the protocol or is silent loses its transport; the agent lives on."""
        try:
            yield
        except (ProtocolError, TransportDeadError) as error:
            self._log.write(f"transport dropped: {error}")
            if client is not None:
                if client is self._transport:
                    self._feed_transport()  # Last words, if the Line has any.
                self._drop(client)

    def _drop(self, client: Client) -> None:
        if client.closed:
            return
        self._is_stirred = True
        for descriptor in client.descriptors & self._selector.get_map().keys():
            self._selector.unregister(descriptor)
        self._clients.remove(client)
        client.close()
        if client is self._transport:
            self._transport = None
            self._idle_since = self._clock()
            self._service.detached(self._idle_since)

    # Local requests

    def _take_requests(self, client: Client) -> None:
        while not client.closes_when_sent and (line := client.take_line()) is not None:
            self._take_request(client, line)

    def _take_request(self, client: Client, line: bytes) -> None:
        if (request := _parse_request(line)) is None:
            self._refuse(client, "a request is one JSON object on one line")
            return
        reply = self._reply_to(client, request.get("id"))
        if request.get("verb") == "stop":
            self._log.write("ends: asked to")
            self._stopping = True
            reply({"stopping": True})
        elif request.get("verb") == "status":
            own = self._status()
            self._service.request(request, lambda answer: reply({**answer, **own}))
        else:
            self._service.request(request, reply)

    def _reply_to(self, client: Client, identity: object) -> Reply:
        def reply(answer: dict[str, Any]) -> None:
            if client.closed:
                return
            if identity is not None:
                answer = {"id": identity, **answer}
            client.outgoing += json.dumps(answer).encode() + b"\n"
            self._flush(client)

        return reply

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "bundle": self._bundle,
            "attached": self._transport is not None,
            "uptime_s": round(self._clock() - self._started, 3),
        }

    def _refuse(self, client: Client, reason: str) -> None:
        client.outgoing += json.dumps({"error": reason}).encode() + b"\n"
        client.closes_when_sent = True

    # Bytes out

    def _feed_transport(self) -> None:
        """Hand over what the service has, as far as the transport drains."""
        if (transport := self._transport) is None:
            return
        fed = 0
        try:
            transport.write()
            while not transport.outgoing and fed < FEED_MAX:
                data = self._service.bytes_to_send(self._clock())
                if not data:
                    break
                fed += len(data)
                transport.send(data)
        except OSError:
            self._drop(transport)
            return
        self._want(transport, writable=bool(transport.outgoing) or fed >= FEED_MAX)

    def _flush(self, client: Client) -> None:
        try:
            client.write()
        except OSError:
            self._drop(client)
            return
        too_slow = client.role is Role.LOCAL and len(client.outgoing) > ANSWERS_MAX
        if too_slow or (client.closes_when_sent and not client.outgoing):
            self._drop(client)
            return
        self._want(client, writable=bool(client.outgoing))

    def _want(self, client: Client, *, writable: bool) -> None:
        """Wait until the client takes bytes, or no longer."""
        known = self._selector.get_map().get(client.target)
        events = selectors.EVENT_WRITE if writable else 0
        if not client.has_taken_over:  # One descriptor for both ways.
            events |= selectors.EVENT_READ
        if known is None and events:
            self._selector.register(client.target, events, lambda: self._serve_client(client))
        elif known is not None and not events:
            self._selector.unregister(client.target)
        elif known is not None and known.events != events:
            self._selector.modify(client.target, events, known.data)

    # Descriptors of the service

    def _follow_wanted(self) -> None:
        self._watched = self._service.watched()
        readable, writable = self._service.readable(), self._service.writable()
        wanted = dict.fromkeys([*self._watched, *readable], selectors.EVENT_READ)
        for descriptor in writable:
            wanted[descriptor] = wanted.get(descriptor, 0) | selectors.EVENT_WRITE
        if wanted == self._wanted:
            return
        for descriptor in [fd for fd in self._wanted if fd not in wanted]:
            self._selector.unregister(descriptor)
        for descriptor, events in wanted.items():
            if descriptor not in self._wanted:
                self._selector.register(descriptor, events, lambda fd=descriptor: self._note(fd))
            elif self._wanted[descriptor] != events:
                key = self._selector.get_key(descriptor)
                self._selector.modify(descriptor, events, key.data)
        self._wanted = wanted

    def _note(self, descriptor: int) -> None:
        """The service looks by itself; this says at what."""
        if descriptor in self._watched:
            self._is_stirred = True
        else:
            self._can_carry = True

    # The end

    @contextmanager
    def _stopped_by_signals(self) -> Generator[None]:
        """Let SIGTERM and SIGINT end the loop; the socket pair wakes it from its sleep."""
        wake, woken = socket.socketpair()
        wake.setblocking(False)
        woken.setblocking(False)
        self._selector.register(woken, selectors.EVENT_READ, lambda: self._drain(woken))
        before = [(number, signal.signal(number, self._stop)) for number in _ENDING]
        descriptor = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(descriptor)
            for number, action in before:
                signal.signal(number, action)
            self._selector.unregister(woken)
            wake.close()
            woken.close()

    def _stop(self, number: int, _: object) -> None:
        self._log.write(f"ends: signal {number}")
        self._stopping = True

    @staticmethod
    def _drain(woken: socket.socket) -> None:
        with suppress(BlockingIOError):
            woken.recv(4096)

    def _close(self) -> None:
        """Close the service first and the clients last: their end of stream says it is done."""
        if self._can_be_found():
            os.unlink(self._path)
        self._listener.close()
        try:
            self._service.close()
            self._say_farewell()
        except Exception as error:
            self._log.write_traceback(error)
        for client in self._clients:
            client.close()
        self._selector.close()
        self._log.write("ended")

    def _say_farewell(self) -> None:
        if (transport := self._transport) is None:
            return
        with suppress(OSError):
            transport.write_last(self._service.bytes_to_send(self._clock()), FAREWELL_S)


def _parse_request(line: bytes) -> dict[str, Any] | None:
    try:
        request: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", request) if isinstance(request, dict) else None


_ENDING = (signal.SIGTERM, signal.SIGINT)
