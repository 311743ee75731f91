"""Messages survive the wire as they were; what is not a message ends in a protocol error."""

from __future__ import annotations

import dataclasses
import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.core.change import Change, Outcome, Result
from towline.core.entry import DIRECTORY, File, Symlink, Unsynced, digest_of
from towline.core.problem import Problem, ProblemKind
from towline.core.wire import fields, messages, records
from towline.core.wire.frames import ProtocolError
from towline.core.wire.messages import (
    AHEAD_MAX,
    CHANGES_MAX,
    COPY_SIZE,
    PLAIN_MAX,
    PREFIX,
    Message,
    decode,
    encode,
)
from towline.core.wire.packing import ZLIB, Packer

CONTENT = b"print('hello')\n" * 100
FILE = File(digest_of(CONTENT), True, len(CONTENT))
PROBLEM = Problem("x", ProblemKind.UNREADABLE, "Permission denied")

EXAMPLES: list[Message] = [
    messages.Begin("~/project", "laptop", "cd" * 16, 7, [["rules"]], "vision", 43200, FILE.digest),
    messages.Begun(
        "/srv/project",
        "gpu",
        "ab" * 16,
        True,
        ((FILE.digest, 10),),
        "polled",
        "%run x",
        "12-34",
        True,
    ),
    messages.SetRules({"any": "value"}),
    messages.TreePart((("d", DIRECTORY), ("d/x", FILE), ("l", Symlink("d/x")))),
    messages.TreeEnd(False, (PROBLEM,), (("x", FILE), ("y", None)), True),
    messages.Apply(
        3, 9, True, (Change("x", None, FILE, keep="x.conflict"),), {FILE.digest: CONTENT}
    ),
    messages.Applied(
        3,
        2,
        (
            Result("x", Outcome.DONE, kept="y"),
            Result("z", Outcome.REFUSED, actual=Unsynced(ProblemKind.SPECIAL, "socket")),
            Result("w", Outcome.FAILED, problem=PROBLEM),
        ),
    ),
    messages.Part(FILE.digest, 5000, 100, CONTENT),
    messages.Copy(FILE.digest, 5000, 100, 4000, "x", b"\1" * 16, 900),
    messages.Adopt(FILE.digest, b"\1" * 16, 65536),
    messages.Ahead("x.pt", b"\1" * 16, 65536, CONTENT),
    messages.Fetch((records.Want("x", FILE, 5), records.Want("y", FILE, 0, FILE.digest))),
    messages.Gone("x", FILE.digest),
    messages.Observed(("x", "d"), (("x", None), ("d", DIRECTORY), ("d/y", FILE)), (PROBLEM,), True),
    messages.Rescan("overflow"),
    messages.Settle(5),
    messages.Settled(5),
    messages.Flush(6, 2.5),
    messages.Flushed(6, 12, "held"),
    messages.Refusal("no"),
    messages.Rename(3, 9, "d", "e/d", FILE.digest),
    messages.Ends(30_000, "it is taken back"),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("compress", [False, True])
def test_a_message_survives_the_wire(message: Message, compress: bool) -> None:
    assert decode(encode(message, Packer().pack) if compress else encode(message)) == message


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_header_has_the_fields_in_the_order_of_the_class(message: Message) -> None:
    """docs/protocol.md is made from the classes, and says so."""
    header, body = message.pack()
    values = [getattr(message, field.name) for field in dataclasses.fields(message)]
    told = [value for value in values if body == b"" or value != body]
    if len(told) == 1 and isinstance(told[0], tuple):
        assert len(header) == len(told[0])  # A list alone is the header itself.
        return
    assert len(header) == len(told)
    for value, plain in zip(told, header, strict=True):
        match value:
            case bytes():
                assert plain == value.hex()
            case float():
                assert plain == value * 1000
            case tuple() | dict():
                assert len(plain) == len(value)
            case _:
                assert plain == value


def test_every_kind_of_message_is_tried() -> None:
    assert {type(message) for message in EXAMPLES} == set(messages.Message.__args__)


@given(st.binary(max_size=200))
def test_noise_is_a_protocol_error_and_nothing_else(noise: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(noise)


def made(kind: int, header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return PREFIX.pack(kind, len(text)) + text + body


HEX = FILE.digest.hex()


PART = fields.pack_entry(FILE)
HOSTILE: list[tuple[bytes, str]] = [
    (encode(messages.Begin("~", "h" * 256, "l", 0, None, "n")), "at most 255 characters"),
    (encode(messages.Begin("~", "h", "l" * 65, 0, None, "n")), "at most 64 characters"),
    (encode(messages.Begin("~", "h", "l", 0, None, "n" * 65)), "at most 64 characters"),
    (encode(messages.Begun("/", "h", "i" * 65, True)), "at most 64 characters"),
    (made(30, []), "unknown message kind 30"),
    (made(13, "no list"), "expected 1 fields"),
    (made(13, [1, 2]), "expected 1 fields"),
    (made(13, [True]), "expected an integer"),
    (made(13, [-1]), "expected an integer"),
    (made(13, [1 << 63]), "expected an integer"),
    (made(5, [1, [], [], False]), "expected true or false"),
    (made(10, ["../x", HEX]), "not plain and relative"),
    (made(10, ["/etc/passwd", HEX]), "not plain and relative"),
    (made(10, [".towline/lock", HEX]), "own directory"),
    (made(10, ["x", "ab"]), "expected a digest"),
    (made(10, ["x", "zz" * 16]), "expected a digest"),
    (made(4, [["x", ["f", HEX, 1, 5]]]), "expected true or false"),
    (made(4, [["x", ["q"]]]), "expected an entry"),
    (made(4, [["x", ["l", ""]]]), "text of a link"),
    (made(4, [["x", ["l", "a\0b"]]]), "text of a link"),
    (made(4, [["x", ["u", "NO_SUCH", ""]]]), "unknown problem"),
    (made(6, [1, 1, True, [["x", None, None, "../keep"]], []]), "not plain and relative"),
    (made(6, [1, 1, True, [], [[HEX, 10]]], b"short"), "contents of 10 bytes in a body of 5"),
    (made(6, [1, 1, True, [], []], b"too much"), "contents of 0 bytes in a body of 8"),
    (made(7, [1, 0, [["x", "perhaps", None, None, None]]]), "unknown outcome"),
    (made(7, [1, CHANGES_MAX + 1, []]), "expected an integer"),
    (made(8, [HEX, 10, 5], b"beyond"), "a part reaches beyond its content"),
    (made(19, [HEX, 10, 6, 5, "x", HEX, 0]), "a copy reaches beyond its content"),
    (made(19, [HEX, 10, 6, 0, "x", HEX, 0]), "expected an integer"),
    (made(19, [HEX, 1 << 40, 0, COPY_SIZE + 1, "x", HEX, 0]), "expected an integer"),
    (made(22, ["x", HEX, AHEAD_MAX - 1], b"ab"), "of a draft that nobody asked for"),
    (made(15, [1, 3_600_001]), "expected an integer"),
    (made(15, [1, -1]), "expected an integer"),
    (made(9, [["x", ["d"], 0, None]]), "only files have content"),
    (made(9, [["x", PART, 0]]), "expected 4 fields"),
    (PREFIX.pack(13, 1000) + b"[1]", "shorter than its header"),
    (PREFIX.pack(13 | ZLIB, 3) + b"not zlib", "does not decompress"),
    (PREFIX.pack(13, 100_000) + b"[" * 100_000, "message of kind 13"),
    (b"\x01", "shorter than its prefix"),
    (PREFIX.pack(13, 0)[:-1], "shorter than its prefix"),
    (PREFIX.pack(13, 0), "message of kind 13"),
]


@pytest.mark.parametrize(("data", "match"), HOSTILE)
def test_a_hostile_message_is_a_protocol_error(data: bytes, match: str) -> None:
    with pytest.raises(ProtocolError, match=match):
        decode(data)


EDGES: list[Message] = [
    messages.Part(FILE.digest, 10, 6, b"last"),
    messages.Copy(FILE.digest, 10, 9, 1, "x", b"\1" * 16, 0),
    messages.Copy(FILE.digest, 10, 9, 1, "", b"\1" * 16, 0),
    messages.Copy(FILE.digest, COPY_SIZE, 0, COPY_SIZE, "x", b"\1" * 16, 0),
    messages.Ahead("x.pt", b"\1" * 16, AHEAD_MAX - 4, b"last"),
    messages.Applied(1, CHANGES_MAX, ()),
    messages.Flush(0, 0.0),
    messages.Flush(0, 3600.0),
    messages.Begin("~", "h" * 255, "l" * 64, 0, None, "n" * 64),
]


@pytest.mark.parametrize("message", EDGES)
def test_what_just_fits_is_taken(message: Message) -> None:
    assert decode(encode(message)) == message


def test_a_compressed_bomb_is_refused_at_the_limit() -> None:
    bomb = zlib.compress(bytes(PLAIN_MAX + 1), 9)
    with pytest.raises(ProtocolError, match="exceeds"):
        decode(PREFIX.pack(13 | ZLIB, 3) + bomb)


def test_a_message_too_large_to_be_received_is_not_sent() -> None:
    with pytest.raises(ValueError, match="exceeds"):
        encode(messages.Part(FILE.digest, PLAIN_MAX, 0, bytes(PLAIN_MAX)))


@pytest.mark.parametrize(
    "message",
    [
        messages.Observed((), (("l", Symlink("\ud800")),)),
        messages.Begun("/srv", "gpu", "\ud800", new=True),
        messages.Begun("/srv", "gpu", "ab", new=True, boot="\udc80"),
        messages.Begun("/srv", "gpu", "ab", new=True, boot="\x1b"),
    ],
)
def test_what_no_disk_could_hold_is_a_protocol_error(message: Message) -> None:
    with pytest.raises(ProtocolError):
        decode(encode(message))


def test_the_text_of_a_link_may_be_any_bytes() -> None:
    told = messages.TreePart((("l", Symlink("d/\udcff")),))
    assert decode(encode(told)) == told
