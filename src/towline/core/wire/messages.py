"""What the two ends of a sync channel say to each other, and its form in bytes.

A message is one byte of kind and flags, the length of a JSON header, the header, and a body of
raw content. Decoding checks every length, type, path and digest: what `decode` returns can be
used as it is. What the messages mean to either side is not decided here; docs/protocol.md tells.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args

from towline.core.change import Change, Result
from towline.core.problem import Problem
from towline.core.wire import fields, records
from towline.core.wire.fields import FieldError
from towline.core.wire.frames import ProtocolError
from towline.core.wire.packing import FLAGS, PLAIN_MAX, Packed, unpacked
from towline.core.wire.records import Row, Want

PREFIX = struct.Struct(">BI")  # Kind and flags, length of the header as sent.
COPY_SIZE = 4 << 20  # Bytes copied for one message at most: some two milliseconds.
PART_SIZE = 256 << 10  # Content per message: small enough that its digest state stays cheap.
AHEAD_MAX = 16 << 20  # Of a checkpoint that nobody has asked for: one second at 130 Mbit/s.
HEADER_SIZE = PLAIN_MAX // 4  # Bytes of rows in one message, its longest row on top.
CHANGES_MAX = 1 << 20  # In one message: more would not fit it.


@dataclass(frozen=True, slots=True)
class Begin:
    """Laptop → machine, first: keep this folder in step."""

    kind: ClassVar[int] = 1
    root: str  # The machine path as the person gave it; `~` is the machine's to expand.
    host: str  # The laptop's name, for conflict copies.
    life: str  # The incarnation of the laptop's folder.
    revision: int  # The last one of this workspace so far.
    rules: Any  # `Rules.to_wire()`.
    name: str = ""  # Of the workspace, for people on the machine.
    lives_s: int = 0  # How long the machine lives, from its start, as the person says; 0: unsaid.
    agreed: bytes | None = None  # The digest of the tree both sides held last, if that is known.

    def pack(self) -> tuple[list[Any], bytes]:
        told = (self.root, self.host, self.life, self.revision, self.rules, self.name)
        agreed = None if self.agreed is None else self.agreed.hex()
        return [*told, self.lives_s, agreed], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Begin:
        root, host, life, revision, rules, name, lives_s, agreed = fields.record(header, 8)
        return cls(
            fields.text(root),
            fields.text(host, 255),
            fields.text(life, 64),
            fields.integer(revision),
            rules,
            fields.text(name, 64),
            fields.integer(lives_s),
            fields.optional(agreed, fields.digest),
        )


@dataclass(frozen=True, slots=True)
class Begun:
    """Machine → laptop: the folder is there, in this life; a tree follows."""

    kind: ClassVar[int] = 2
    root: str  # Absolute.
    host: str
    incarnation: str
    new: bool  # This life has just begun: nothing was agreed with it yet.
    partials: tuple[tuple[bytes, int], ...] = ()  # Digest → bytes already staged.
    watching: str = ""  # How changes are noticed, where it is not simply by notification.
    notebook: str = ""  # What to type in a notebook there to load the extension.
    boot: str = ""  # Which start of the machine this is; empty where nobody knows.
    zstd: bool = False  # What the laptop sends may be compressed as a stream of it.

    def pack(self) -> tuple[list[Any], bytes]:
        partials = [[digest.hex(), size] for digest, size in self.partials]
        about = [self.root, self.host, self.incarnation, self.new]
        return [*about, partials, self.watching, self.notebook, self.boot, self.zstd], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Begun:
        root, host, incarnation, new, *rest = fields.record(header, 9)
        partials, watching, notebook, boot, zstd = rest
        return cls(
            fields.sentence(root),
            fields.sentence(host),
            fields.token(incarnation, 64),
            fields.boolean(new),
            fields.sequence(partials, records.partial),
            fields.sentence(watching),
            fields.sentence(notebook),
            fields.token(boot, 64),
            fields.boolean(zstd),
        )


@dataclass(frozen=True, slots=True)
class SetRules:
    """Laptop → machine: what is synced has changed; look again and tell the tree."""

    kind: ClassVar[int] = 3
    rules: Any

    def pack(self) -> tuple[list[Any], bytes]:
        return [self.rules], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> SetRules:
        return cls(fields.record(header, 1)[0])


@dataclass(frozen=True, slots=True)
class TreePart:
    """Machine → laptop: entries of the tree, parents before children."""

    kind: ClassVar[int] = 4
    rows: tuple[Row, ...]

    def pack(self) -> tuple[list[Any], bytes]:
        return records.pack_rows(self.rows), b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> TreePart:
        return cls(fields.sequence(header, records.row))


@dataclass(frozen=True, slots=True)
class TreeEnd:
    """Machine → laptop: the tree is told. What is wrong with which path comes along.

    `carried_out` tells again what was lately done for this life of the laptop's folder, and was not
    seen to be anything else since, for an engine that ended before the answers reached it: both
    sides did agree on these entries.
    With `as_agreed` the tree is the one that `Begin` named, and what was told of it is only what
    cannot be synced.
    """

    kind: ClassVar[int] = 5
    exists: bool = True  # False: the root itself is gone.
    problems: tuple[Problem, ...] = ()
    carried_out: tuple[Row, ...] = ()
    as_agreed: bool = False

    def pack(self) -> tuple[list[Any], bytes]:
        problems = [fields.pack_problem(problem) for problem in self.problems]
        carried_out = records.pack_rows(self.carried_out)
        return [self.exists, problems, carried_out, self.as_agreed], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> TreeEnd:
        exists, problems, carried_out, as_agreed = fields.record(header, 4)
        return cls(
            fields.boolean(exists),
            fields.sequence(problems, fields.problem),
            fields.sequence(carried_out, records.row),
            fields.boolean(as_agreed),
        )


@dataclass(frozen=True, slots=True)
class Apply:
    """Laptop → machine: carry out these changes, together.

    `contents` holds the bytes of the new files by digest; what is not there has been staged by
    `Part` before, or is in a file that the same changes remove (`core.change.moved_contents`).
    With `last`, the revision is whole once this is applied.
    """

    kind: ClassVar[int] = 6
    group: int
    revision: int
    last: bool
    changes: tuple[Change, ...]
    contents: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])

    def pack(self) -> tuple[list[Any], bytes]:
        changes = [records.pack_change(change) for change in self.changes]
        sizes = [[digest.hex(), len(content)] for digest, content in self.contents.items()]
        body = b"".join(self.contents.values())
        return [self.group, self.revision, self.last, changes, sizes], body

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Apply:
        group, revision, last, changes, sizes = fields.record(header, 5)
        return cls(
            fields.integer(group),
            fields.integer(revision),
            fields.boolean(last),
            fields.sequence(changes, records.change),
            dict(records.split(body, fields.sequence(sizes, records.partial))),
        )


@dataclass(frozen=True, slots=True)
class Applied:
    """Machine → laptop: what became of each change of a group.

    The first `done` of them went as planned; `results` tells of all that follow.
    """

    kind: ClassVar[int] = 7
    group: int
    done: int
    results: tuple[Result, ...]

    def pack(self) -> tuple[list[Any], bytes]:
        results = [records.pack_result(result) for result in self.results]
        return [self.group, self.done, results], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Applied:
        group, done, results = fields.record(header, 3)
        return cls(
            fields.integer(group),
            fields.integer(done, 0, CHANGES_MAX),
            fields.sequence(results, records.result),
        )


@dataclass(frozen=True, slots=True)
class Part:
    """Either way: a stretch of a large content, to be staged until a change asks for it."""

    kind: ClassVar[int] = 8
    digest: bytes
    size: int  # Of the whole content, in bytes.
    offset: int
    data: bytes

    def pack(self) -> tuple[list[Any], bytes]:
        return [self.digest.hex(), self.size, self.offset], self.data

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Part:
        digest, size, offset = fields.record(header, 3)
        part = cls(fields.digest(digest), fields.integer(size), fields.integer(offset), body)
        if part.offset + len(body) > part.size:
            raise FieldError("a part reaches beyond its content")
        return part


@dataclass(frozen=True, slots=True)
class Copy:
    """Either way: a stretch of a large content that the receiver has, in the version before.

    It is staged as a `Part` would be, if the file `path` is still the content `basis`. Without a
    path `basis` is itself what is staged, a draft.
    """

    kind: ClassVar[int] = 19
    digest: bytes
    size: int  # Of the whole content, in bytes.
    offset: int
    length: int
    path: str
    basis: bytes
    source: int  # Where the stretch begins in the file.

    def pack(self) -> tuple[list[Any], bytes]:
        stretch = [self.digest.hex(), self.size, self.offset, self.length]
        return [*stretch, self.path, self.basis.hex(), self.source], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Copy:
        digest, size, offset, length, path, basis, source = fields.record(header, 7)
        copy = cls(
            fields.digest(digest),
            fields.integer(size),
            fields.integer(offset),
            fields.integer(length, 1, COPY_SIZE),
            fields.path_or_root(path),
            fields.digest(basis),
            fields.integer(source),
        )
        if copy.offset + copy.length > copy.size:
            raise FieldError("a copy reaches beyond its content")
        return copy


@dataclass(frozen=True, slots=True)
class Adopt:
    """Either way: the first `size` bytes staged as `draft` are the start of `digest`.

    A draft is what was copied or sent before the digest of the new content was known. With a size
    of 0 it is of no use.
    """

    kind: ClassVar[int] = 20
    draft: bytes
    digest: bytes
    size: int

    def pack(self) -> tuple[list[Any], bytes]:
        return [self.draft.hex(), self.digest.hex(), self.size], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Adopt:
        draft, digest, size = fields.record(header, 3)
        return cls(fields.digest(draft), fields.digest(digest), fields.integer(size))


@dataclass(frozen=True, slots=True)
class Ahead:
    """Machine → laptop: a stretch of a new checkpoint that is still being read, as a draft."""

    kind: ClassVar[int] = 22
    path: str
    draft: bytes
    offset: int
    data: bytes

    def pack(self) -> tuple[list[Any], bytes]:
        return [self.path, self.draft.hex(), self.offset], self.data

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Ahead:
        path, draft, offset = fields.record(header, 3)
        ahead = cls(fields.path(path), fields.digest(draft), fields.integer(offset), body)
        if ahead.offset + len(body) > AHEAD_MAX:
            raise FieldError(f"more than {AHEAD_MAX} bytes of a draft that nobody asked for")
        return ahead


@dataclass(frozen=True, slots=True)
class Fetch:
    """Laptop → machine: send the content of these files, from the given offsets."""

    kind: ClassVar[int] = 9
    wants: tuple[Want, ...]  # The digest: of the version at that path on the laptop.

    def pack(self) -> tuple[list[Any], bytes]:
        return [records.pack_want(want) for want in self.wants], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Fetch:
        return cls(fields.sequence(header, records.want))


@dataclass(frozen=True, slots=True)
class Gone:
    """Machine → laptop: this file is no longer what was asked for."""

    kind: ClassVar[int] = 10
    path: str
    digest: bytes

    def pack(self) -> tuple[list[Any], bytes]:
        return [self.path, self.digest.hex()], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Gone:
        path, digest = fields.record(header, 2)
        return cls(fields.path(path), fields.digest(digest))


@dataclass(frozen=True, slots=True)
class Observed:
    """Machine → laptop: these paths are different now, not by our doing.

    A directory comes whole: its row, then the rows of what is in it. Paths in `replaced` hold
    exactly what the rows say; everything known below them before is void. What one message does not
    hold comes in several, and counts once the last of them is there.
    """

    kind: ClassVar[int] = 11
    replaced: tuple[str, ...]
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...] = ()
    more: bool = False  # The next one belongs to it.

    def pack(self) -> tuple[list[Any], bytes]:
        problems = [fields.pack_problem(problem) for problem in self.problems]
        return [list(self.replaced), records.pack_rows(self.rows), problems, self.more], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Observed:
        replaced, rows, problems, more = fields.record(header, 4)
        return cls(
            fields.sequence(replaced, fields.path),
            fields.sequence(rows, records.row),
            fields.sequence(problems, fields.problem),
            fields.boolean(more),
        )


@dataclass(frozen=True, slots=True)
class Rescan:
    """Machine → laptop: the watch could not keep up; the tree follows anew."""

    kind: ClassVar[int] = 12
    reason: str

    def pack(self) -> tuple[list[Any], bytes]:
        return [self.reason], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Rescan:
        return cls(fields.sentence(fields.record(header, 1)[0]))


@dataclass(frozen=True, slots=True)
class Settle:
    """Laptop → machine: answer when every change made there before this is told."""

    kind: ClassVar[int] = 13
    token: int

    def pack(self) -> tuple[list[Any], bytes]:
        return [self.token], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Settle:
        return cls(fields.integer(fields.record(header, 1)[0]))


@dataclass(frozen=True, slots=True)
class Settled:
    kind: ClassVar[int] = 14
    token: int

    def pack(self) -> tuple[list[Any], bytes]:
        return [self.token], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Settled:
        return cls(fields.integer(fields.record(header, 1)[0]))


@dataclass(frozen=True, slots=True)
class Flush:
    """Machine → laptop: a cell is about to run; bring everything saved before this."""

    kind: ClassVar[int] = 15
    token: int
    timeout_s: float

    def pack(self) -> tuple[list[Any], bytes]:
        return [self.token, int(self.timeout_s * 1000)], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Flush:
        token, timeout_ms = fields.record(header, 2)
        return cls(fields.integer(token), fields.integer(timeout_ms, 0, 3_600_000) / 1000)


@dataclass(frozen=True, slots=True)
class Flushed:
    """Laptop → machine: all of it is in `revision`, or the reason why it is not."""

    kind: ClassVar[int] = 16
    token: int
    revision: int
    reason: str = ""

    def pack(self) -> tuple[list[Any], bytes]:
        return [self.token, self.revision, self.reason], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Flushed:
        token, revision, reason = fields.record(header, 3)
        return cls(fields.integer(token), fields.integer(revision), fields.sentence(reason))


@dataclass(frozen=True, slots=True)
class Ends:
    """Machine → laptop: the machine ends in so many seconds, as far as it knows."""

    kind: ClassVar[int] = 25
    in_ms: int
    why: str

    def pack(self) -> tuple[list[Any], bytes]:
        return [self.in_ms, self.why], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Ends:
        in_ms, why = fields.record(header, 2)
        return cls(fields.integer(in_ms), fields.sentence(why))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Machine → laptop: this folder cannot be kept in step; the reason is for a person."""

    kind: ClassVar[int] = 17
    reason: str

    def pack(self) -> tuple[list[Any], bytes]:
        return [self.reason], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Refusal:
        return cls(fields.sentence(fields.record(header, 1)[0]))


@dataclass(frozen=True, slots=True)
class Rename:
    """Laptop → machine: a directory has another name, and all in it is the same.

    It is answered as an Apply of one change, that of `target`.
    """

    kind: ClassVar[int] = 24
    group: int
    revision: int
    source: str
    target: str
    digest: bytes  # Of what is in it, as `core.rename` reckons.

    def pack(self) -> tuple[list[Any], bytes]:
        return [self.group, self.revision, self.source, self.target, self.digest.hex()], b""

    @classmethod
    def unpack(cls, header: list[Any], body: bytes) -> Rename:
        group, revision, source, target, digest = fields.record(header, 5)
        return cls(
            fields.integer(group),
            fields.integer(revision),
            fields.path(source),
            fields.path(target),
            fields.digest(digest),
        )


Message = (
    Begin
    | Begun
    | SetRules
    | TreePart
    | TreeEnd
    | Apply
    | Applied
    | Part
    | Copy
    | Adopt
    | Fetch
    | Gone
    | Observed
    | Rescan
    | Settle
    | Settled
    | Flush
    | Flushed
    | Refusal
    | Rename
    | Ends
    | Ahead
)

_to_json = json.JSONEncoder(separators=(",", ":")).encode

_UNPACK: dict[int, Callable[[list[Any], bytes], Message]] = {
    cls.kind: cls.unpack for cls in get_args(Message)
}


def encode(message: Message, pack: Callable[[bytes], Packed | None] = lambda _: None) -> bytes:
    """Return the bytes of a message; `pack` may make them fewer."""
    header, body = message.pack()
    text = _to_json(header).encode()
    size = len(text) + len(body)
    if size > PLAIN_MAX:
        raise ValueError(f"message of {size} bytes exceeds {PLAIN_MAX}")
    if (packed := pack(text + body)) is not None:
        flags, less = packed
        return PREFIX.pack(message.kind | flags, len(text)) + less
    return b"".join((PREFIX.pack(message.kind, len(text)), text, body))


def decode(data: bytes, unpack: Callable[[int, memoryview], bytes] = unpacked) -> Message:
    """Return the message in `data`. Raises `ProtocolError` for anything that is not one."""
    if len(data) < PREFIX.size:
        raise ProtocolError(f"message of {len(data)} bytes is shorter than its prefix")
    first, header_size = PREFIX.unpack_from(data)
    kind, flags = first & ~FLAGS, first & FLAGS
    plain = memoryview(data)[PREFIX.size :]
    if flags:
        plain = memoryview(unpack(flags, plain))
    if header_size > len(plain):
        raise ProtocolError("message is shorter than its header")
    read = _UNPACK.get(kind)
    if read is None:
        raise ProtocolError(f"unknown message kind {kind}")
    try:
        header = json.loads(bytes(plain[:header_size]))
        return read(header, bytes(plain[header_size:]))
    except (FieldError, ValueError, RecursionError) as error:
        raise ProtocolError(f"message of kind {kind}: {error}") from None
