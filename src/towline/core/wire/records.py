"""Rows, changes and results as the plain values of a message header, packed and read strictly.

As in `fields`, what reads raises `FieldError`, and nothing is coerced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from towline.core.change import Change, Outcome, Result
from towline.core.entry import Entry, File
from towline.core.wire import fields
from towline.core.wire.fields import FieldError

Row = tuple[str, Entry | None]
"""A path, and what stands there; a directory comes without its children."""


@dataclass(frozen=True, slots=True)
class Want:
    """A file to be sent, from `offset` bytes on.

    `basis`: the content at the same path on the asking side, where it has a version of it.
    """

    path: str
    file: File
    offset: int = 0
    basis: bytes | None = None


def pack_rows(rows: Iterable[Row]) -> list[Any]:
    return [[path, fields.pack_entry(entry)] for path, entry in rows]


def row(value: Any) -> Row:
    path, entry = fields.record(value, 2)
    return fields.path(path), fields.entry_or_absent(entry)


def partial(value: Any) -> tuple[bytes, int]:
    digest, size = fields.record(value, 2)
    return fields.digest(digest), fields.integer(size)


def pack_change(change: Change) -> list[Any]:
    old, new = fields.pack_entry(change.old), fields.pack_entry(change.new)
    return [change.path, old, new, change.keep]


def change(value: Any) -> Change:
    path, old, new, keep = fields.record(value, 4)
    if old is None and keep is None:  # Most of a first copy.
        return Change(fields.path(path), None, fields.entry_or_absent(new))
    return Change(
        fields.path(path),
        fields.entry_or_absent(old),
        fields.entry_or_absent(new),
        fields.optional(keep, fields.path),
    )


def pack_want(want: Want) -> list[Any]:
    basis = None if want.basis is None else want.basis.hex()
    return [want.path, fields.pack_entry(want.file), want.offset, basis]


def want(value: Any) -> Want:
    path, file, offset, basis = fields.record(value, 4)
    entry = fields.entry(file)
    if not isinstance(entry, File):
        raise FieldError("only files have content to fetch")
    digest = fields.optional(basis, fields.digest)
    return Want(fields.path(path), entry, fields.integer(offset), digest)


def pack_result(result: Result) -> list[Any]:
    return [
        result.path,
        result.outcome.value,
        fields.pack_entry(result.actual),
        None if result.problem is None else fields.pack_problem(result.problem),
        result.kept,
    ]


def result(value: Any) -> Result:
    path, outcome, actual, problem, kept = fields.record(value, 5)
    try:
        known = Outcome(fields.text(outcome))
    except ValueError:
        raise FieldError(f"unknown outcome {outcome!r:.80}") from None
    return Result(
        fields.path(path),
        known,
        fields.entry_or_absent(actual),
        fields.optional(problem, fields.problem),
        fields.optional(kept, fields.path),
    )


def split(body: bytes, sizes: Iterable[tuple[bytes, int]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield (digest, content) cut from the body, which must be used up exactly."""
    offset = 0
    for digest, size in sizes:
        yield digest, body[offset : offset + size]
        offset += size
    if offset != len(body):
        raise FieldError(f"contents of {offset} bytes in a body of {len(body)}")
