"""Messages survive the wire as they were; what is not a message ends in a protocol error."""

from __future__ import annotations

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.trees import entries, roots
from towline.core.change import Change, Outcome, Result
from towline.core.entry import DIRECTORY, Directory, File, Symlink, Unsynced, digest_of
from towline.core.problem import Problem, ProblemKind
from towline.core.tree import Tree
from towline.core.wire import messages, records, telling
from towline.core.wire.frames import ProtocolError
from towline.core.wire.messages import COMPRESSED, PLAIN_MAX, PREFIX, Message, decode, encode

CONTENT = b"print('hello')\n" * 100
FILE = File(digest_of(CONTENT), True, len(CONTENT))
PROBLEM = Problem("x", ProblemKind.UNREADABLE, "Permission denied")

EXAMPLES: list[Message] = [
    messages.Begin("~/project", "laptop", "cd" * 16, 7, [["rules"]], "vision", 43200, FILE.digest),
    messages.Begun(
        "/srv/project", "gpu", "ab" * 16, True, ((FILE.digest, 10),), "polled", "%run x"
    ),
    messages.SetRules({"any": "value"}),
    messages.TreePart((("d", DIRECTORY), ("d/x", FILE), ("l", Symlink("d/x")))),
    messages.TreeEnd(False, (PROBLEM,), (("x", FILE), ("y", None)), True),
    messages.Apply(
        3, 9, True, (Change("x", None, FILE, keep="x.conflict"),), {FILE.digest: CONTENT}
    ),
    messages.Applied(
        3,
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
    messages.Observed(("x", "d"), (("x", None), ("d", DIRECTORY), ("d/y", FILE)), (PROBLEM,)),
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
    assert decode(encode(message, compress=compress)) == message


def test_every_kind_of_message_is_tried() -> None:
    assert {type(message) for message in EXAMPLES} == set(messages.Message.__args__)


@given(roots)
def test_a_tree_told_in_parts_is_the_same_tree(root: Directory) -> None:
    told = Tree(DIRECTORY)
    for part in telling.tree_parts(Tree(root).walk()):
        for path, entry in decode(encode(part)).rows:  # type: ignore[union-attr]
            told.put_shallow(path, entry)
    assert told.root == root


@given(entries)
def test_the_rows_of_an_entry_rebuild_it(entry: File) -> None:
    tree = Tree(DIRECTORY)
    for path, row in telling.rows_of("at", entry):
        tree.put_shallow(path, row)
    assert tree.get("at") == entry


@given(st.binary(max_size=200))
def test_noise_is_a_protocol_error_and_nothing_else(noise: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(noise)


def made(kind: int, header: object, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return PREFIX.pack(kind, len(text)) + text + body


HEX = FILE.digest.hex()


@pytest.mark.parametrize(
    "data",
    [
        made(77, []),
        made(13, "no list"),
        made(13, [1, 2]),
        made(13, [True]),
        made(13, [-1]),
        made(13, [1 << 63]),
        made(5, [1, [], []]),
        made(10, ["../x", HEX]),
        made(10, ["/etc/passwd", HEX]),
        made(10, [".towline/lock", HEX]),
        made(10, ["x", "ab"]),
        made(10, ["x", "zz" * 16]),
        made(4, [["x", ["f", HEX, 1, 5]]]),
        made(4, [["x", ["q"]]]),
        made(4, [["x", ["l", ""]]]),
        made(4, [["x", ["l", "a\0b"]]]),
        made(4, [["x", ["u", "NO_SUCH", ""]]]),
        made(6, [1, 1, True, [["x", None, None, "../keep"]], []]),
        made(6, [1, 1, True, [], [[HEX, 10]]], b"short"),
        made(6, [1, 1, True, [], []], b"too much"),
        made(7, [1, [["x", "perhaps", None, None, None]]]),
        made(8, [HEX, 10, 8], b"beyond"),
        made(9, [["x", ["d"], 0]]),
        PREFIX.pack(13, 1000) + b"[1]",
        PREFIX.pack(13 | COMPRESSED, 3) + b"not zlib",
        PREFIX.pack(13, 100_000) + b"[" * 100_000,
        b"\x01",
    ],
)
def test_a_hostile_message_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(data)


def test_a_compressed_bomb_is_refused_at_the_limit() -> None:
    bomb = zlib.compress(bytes(PLAIN_MAX + 1), 9)
    with pytest.raises(ProtocolError, match="exceeds"):
        decode(PREFIX.pack(13 | COMPRESSED, 3) + bomb)


def test_a_message_too_large_to_be_received_is_not_sent() -> None:
    with pytest.raises(ValueError, match="exceeds"):
        encode(messages.Part(FILE.digest, PLAIN_MAX, 0, bytes(PLAIN_MAX)))


LONG = "/".join(
    ["\ud7ff" * 85] * 16
)  # As long as a path may be, and six bytes a character in JSON.


def test_the_longest_rows_still_fit_their_messages() -> None:
    tree = Tree(DIRECTORY)
    for number in range(300):
        tree.put(f"{number}/{LONG}"[:4000].rstrip("/"), FILE)
    parts = list(telling.tree_parts(tree.walk()))
    assert len(parts) > 1
    assert all(len(encode(part)) <= PLAIN_MAX for part in parts)


def test_of_too_many_rows_the_first_are_told() -> None:
    problems = [Problem(f"{number}/{LONG[:1300]}", ProblemKind.SPECIAL) for number in range(1000)]
    told = telling.fitting(problems, lambda at: telling.header_size_of(at.path, at))
    assert list(told) == problems[: len(told)]
    assert 0 < len(told) < len(problems)
    assert len(encode(messages.TreeEnd(True, told))) <= PLAIN_MAX
