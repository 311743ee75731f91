"""Frames: the unit on the wire, and the HELLO that opens every transport.

Bytes to frames and back, with every limit checked on the header, before the payload is buffered.
What a frame means for a channel, and in which order frames go, is not decided here.
"""

from __future__ import annotations

import enum
import json
import struct
from dataclasses import dataclass
from typing import NamedTuple, cast

VERSION = 4  # Of everything after it on the wire; the magic and the version itself never change.
MAGIC = b"towline "
LINE_ID_SIZE = 16  # Bytes. Random, so no two lines ever share one.

PAYLOAD_MAX = 48 << 10  # Bytes. On a line that carries it in a millisecond; most make less.
GREETING_MAX = 4 << 10  # Bytes. A greeting names what a channel is for; content comes after it.
REASON_MAX = 1 << 10  # Bytes of UTF-8. A sentence for a person.
HELLO_MAX = 4 << 10  # Bytes of JSON. Ours takes about 120.
SOFTWARE_MAX = 200  # Characters. A name and a version.
COUNT_MAX = (1 << 63) - 1  # Frames per direction; at a million a second 292,000 years.

HEADER = struct.Struct(">BBIH")  # Kind, flags, channel, payload length.
_PREAMBLE = struct.Struct(">8sHH")  # Magic, version, length of the JSON.
_COUNT = struct.Struct(">Q")
_CREDIT = struct.Struct(">I")

MORE = 1  # Flag of DATA: the message goes on in the channel's next DATA.


class ProtocolError(Exception):
    """The peer broke the protocol. The Line cannot be used any further."""


class VersionMismatchError(ProtocolError):
    """The peer speaks another version of the protocol. Nothing else about it is known."""

    def __init__(self, theirs: int) -> None:
        older = "this" if theirs > VERSION else "the other"
        super().__init__(
            f"this side speaks version {VERSION} of the protocol, the other side version {theirs}: "
            f"update towline on {older} side"
        )
        self.theirs = theirs


class Kind(enum.IntEnum):
    OPEN = 1
    DATA = 2
    CLOSE = 3
    CREDIT = 4
    ACK = 5
    PING = 6
    PONG = 7


class Priority(enum.IntEnum):
    """Which channel goes first when the transport has room. Lower numbers win, always."""

    CONTROL = 0
    SYNC = 1
    INTERACTIVE = 2
    BULK = 3


class Frame(NamedTuple):
    """`flags` is the priority of an OPEN, MORE or 0 of a DATA, else 0."""

    kind: int
    flags: int
    channel: int
    payload: bytes


class _Shape(NamedTuple):
    shortest: int
    longest: int
    flags_max: int
    on_channel: bool


_SHAPES: dict[int, _Shape] = {
    Kind.OPEN: _Shape(0, GREETING_MAX, max(Priority), True),
    Kind.DATA: _Shape(0, PAYLOAD_MAX, MORE, True),
    Kind.CLOSE: _Shape(0, REASON_MAX, 0, True),
    Kind.CREDIT: _Shape(_CREDIT.size, _CREDIT.size, 0, True),
    Kind.ACK: _Shape(_COUNT.size, _COUNT.size, 0, False),
    Kind.PING: _Shape(_COUNT.size, _COUNT.size, 0, False),
    Kind.PONG: _Shape(_COUNT.size, _COUNT.size, 0, False),
}
_SHAPE_OF = tuple(_SHAPES.get(number) for number in range(256))


def encode_frame(kind: Kind, flags: int, channel: int, payload: bytes) -> bytes:
    return HEADER.pack(kind, flags, channel, len(payload)) + payload


def encode_open(channel: int, priority: Priority, greeting: bytes) -> bytes:
    return encode_frame(Kind.OPEN, priority, channel, greeting)


def encode_close(channel: int, reason: str) -> bytes:
    """Encode a CLOSE; a reason that is too long is cut, at a whole character."""
    cut = reason.encode("utf-8", "replace")[:REASON_MAX].decode("utf-8", "ignore")
    return encode_frame(Kind.CLOSE, 0, channel, cut.encode())


def encode_credit(channel: int, size: int) -> bytes:
    return encode_frame(Kind.CREDIT, 0, channel, _CREDIT.pack(size))


def encode_count(kind: Kind, count: int) -> bytes:
    """Encode an ACK (frames received), or a PING or PONG (any number, sent back as it is)."""
    return encode_frame(kind, 0, 0, _COUNT.pack(count))


def count_of(frame: Frame) -> int:
    count: int = _COUNT.unpack(frame.payload)[0]
    return count


def credit_of(frame: Frame) -> int:
    size: int = _CREDIT.unpack(frame.payload)[0]
    return size


@dataclass(frozen=True, slots=True)
class Hello:
    """The first thing each end says on every transport.

    `transport` counts the transports of this line, as the initiator began them; the acceptor
    repeats it. `received` counts the numbered frames that have arrived on this line so far; `known`
    says that the sender of the HELLO has been connected on this line before.
    """

    line_id: bytes
    transport: int
    received: int
    known: bool
    software: str
    version: int = VERSION

    def encode(self) -> bytes:
        fields = {
            "line": self.line_id.hex(),
            "transport": self.transport,
            "received": self.received,
            "known": self.known,
            "software": self.software[:SOFTWARE_MAX],
        }
        body = json.dumps(fields, separators=(",", ":")).encode()
        return _PREAMBLE.pack(MAGIC, self.version, len(body)) + body


def parse_hello(buffer: bytes) -> tuple[Hello, bytes] | None:
    """Return the HELLO at the start of `buffer` and the bytes after it; None if more are needed.

    Raises `ProtocolError` as soon as the bytes cannot become a HELLO, `VersionMismatchError` if
    they become one of another version.
    """
    start = buffer[: len(MAGIC)]
    if start != MAGIC[: len(start)]:
        said = buffer[:80].decode("utf-8", "replace")
        raise ProtocolError(f"the other side does not speak towline; it said {said!r}")
    if len(buffer) < _PREAMBLE.size:
        return None
    _, version, length = _PREAMBLE.unpack_from(buffer)
    if version != VERSION:
        raise VersionMismatchError(version)
    if length > HELLO_MAX:
        raise ProtocolError(f"the other side sent a HELLO of {length} bytes, over {HELLO_MAX}")
    end = _PREAMBLE.size + length
    if len(buffer) < end:
        return None
    return _hello_from(buffer[_PREAMBLE.size : end]), buffer[end:]


def _hello_from(body: bytes) -> Hello:
    try:
        fields: object = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ProtocolError("the other side sent a HELLO that is not JSON") from None
    names = {"line", "transport", "received", "known", "software"}
    if not isinstance(fields, dict) or set(cast("dict[str, object]", fields)) != names:
        raise ProtocolError(f"the other side sent a HELLO without exactly {sorted(names)}")
    values = cast("dict[str, object]", fields)
    line, transport, received = values["line"], values["transport"], values["received"]
    known, software = values["known"], values["software"]
    if not isinstance(line, str) or not _is_hex(line, LINE_ID_SIZE):
        raise ProtocolError("the other side sent a HELLO with a bad line id")
    if type(transport) is not int or not 1 <= transport <= COUNT_MAX:
        raise ProtocolError("the other side sent a HELLO with a bad count of transports")
    if type(received) is not int or not 0 <= received <= COUNT_MAX:
        raise ProtocolError("the other side sent a HELLO with a bad count of frames received")
    if not isinstance(known, bool):
        raise ProtocolError("the other side sent a HELLO that does not say if the line is known")
    if not isinstance(software, str) or len(software) > SOFTWARE_MAX:
        raise ProtocolError("the other side sent a HELLO with a bad name of its software")
    return Hello(bytes.fromhex(line), transport, received, known, software)


def _is_hex(text: str, size: int) -> bool:
    return len(text) == 2 * size and all(digit in "0123456789abcdef" for digit in text)


class FrameReader:
    """Cuts a byte stream into frames. Holds at most one incomplete frame once it is drained."""

    def __init__(self) -> None:
        self._buffer = b""
        self._start = 0  # Of the next frame: moving it is cheaper than cutting the buffer.

    @property
    def rest(self) -> bytes:
        """The bytes that no frame has taken yet."""
        return self._buffer[self._start :]

    def feed(self, data: bytes) -> None:
        left = self._start < len(self._buffer)
        self._buffer = self._buffer[self._start :] + data if left else data
        self._start = 0

    def take_hello(self) -> Hello | None:
        """Return the HELLO, or None if bytes are missing. Raises `ProtocolError`."""
        parsed = parse_hello(self.rest)
        if parsed is None:
            return None
        hello, self._buffer = parsed
        self._start = 0
        return hello

    def take_frame(self) -> Frame | None:
        """Return the next frame, or None if bytes are missing. Raises `ProtocolError`."""
        buffer, start = self._buffer, self._start
        body = start + HEADER.size
        if len(buffer) < body:
            return None
        header: tuple[int, int, int, int] = HEADER.unpack_from(buffer, start)
        kind, flags, channel, length = header
        shape = _SHAPE_OF[kind]
        if (
            shape is None
            or not shape.shortest <= length <= shape.longest
            or flags > shape.flags_max
            or (channel > 0) is not shape.on_channel
        ):
            raise ProtocolError(_what_is_wrong(kind, flags, channel, length))
        end = body + length
        if len(buffer) < end:
            return None
        self._start = end
        return Frame(kind, flags, channel, buffer[body:end])


def _what_is_wrong(kind: int, flags: int, channel: int, length: int) -> str:
    shape = _SHAPE_OF[kind]
    if shape is None:
        if kind == MAGIC[0]:
            return "the other side sent a second HELLO on one transport"
        return f"the other side sent a frame of unknown kind {kind}"
    name = Kind(kind).name
    if not shape.shortest <= length <= shape.longest:
        wanted = f"{shape.shortest} to {shape.longest}"
        return f"the other side sent {name} with a payload of {length} bytes, not {wanted}"
    if flags > shape.flags_max:
        return f"the other side sent {name} with unknown flags {flags}"
    return f"the other side sent {name} on channel {channel}"
