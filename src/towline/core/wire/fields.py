"""Strict readers for the plain values a message header is made of.

Each takes a value that a peer sent and returns it typed, or raises `FieldError`. They never
coerce: a number in place of a string is a fault of the peer, not something to make the best of.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard, TypeVar

from towline.core.entry import DIGEST_SIZE, DIRECTORY, Entry, File, Symlink, Unsynced
from towline.core.path import BadPathError, check_path, encode_path
from towline.core.problem import Problem, ProblemKind

T = TypeVar("T")

SIZE_MAX = 1 << 62  # Bytes; the file systems of today end at 2**63.
TARGET_MAX = 4096  # Characters of a link's text, as PATH_MAX on Linux.
TEXT_MAX = 4096  # Characters of a sentence for people.


class FieldError(ValueError):
    """A field is not of the type, or outside the range, that its message allows."""


def is_list(value: object) -> TypeGuard[list[Any]]:
    return type(value) is list


def integer(value: Any, low: int = 0, high: int = SIZE_MAX) -> int:
    if type(value) is not int or not low <= value <= high:
        raise FieldError(f"expected an integer from {low} to {high}, got {value!r:.80}")
    return value


def boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise FieldError(f"expected true or false, got {value!r:.80}")
    return value


def text(value: Any, longest: int = TEXT_MAX) -> str:
    if type(value) is not str or len(value) > longest:
        raise FieldError(f"expected a text of at most {longest} characters, got {value!r:.80}")
    return value


def token(value: Any, longest: int) -> str:
    """Return what names something to programs: nothing that a file or a database could not hold."""
    word = text(value, longest)
    if not (word.isascii() and word.isprintable()):
        raise FieldError(f"expected a word of ASCII, got {value!r:.80}")
    return word


def sentence(value: Any) -> str:
    """Return a text for people, with nothing in it that a terminal would obey."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text(value))


def path(value: Any) -> str:
    try:
        return check_path(text(value))
    except BadPathError as error:
        raise FieldError(str(error)) from None


def path_or_root(value: Any) -> str:
    return value if value == "" else path(value)


def digest(value: Any) -> bytes:
    try:
        raw = bytes.fromhex(text(value, 2 * DIGEST_SIZE))
    except ValueError:
        raw = b""
    if len(raw) != DIGEST_SIZE:
        raise FieldError(f"expected a digest, got {value!r:.80}")
    return raw


def sequence(value: Any, read: Callable[[Any], T]) -> tuple[T, ...]:
    if not is_list(value):
        raise FieldError(f"expected a list, got {value!r:.80}")
    return tuple(read(item) for item in value)


def record(value: Any, length: int) -> list[Any]:
    """Return a list of exactly `length` fields."""
    if not is_list(value) or len(value) != length:
        raise FieldError(f"expected {length} fields, got {value!r:.80}")
    return value


def optional(value: Any, read: Callable[[Any], T]) -> T | None:
    return None if value is None else read(value)


# An entry is its kind, then what the kind needs. Directories come without their children.


def pack_entry(entry: Entry | None) -> list[Any] | None:
    if isinstance(entry, File):
        return ["f", entry.digest.hex(), entry.executable, entry.size]
    if isinstance(entry, Symlink):
        return ["l", entry.target]
    if isinstance(entry, Unsynced):
        return ["u", entry.kind.name, entry.detail]
    return None if entry is None else ["d"]


def entry_or_absent(value: Any) -> Entry | None:
    return None if value is None else entry(value)


def entry(value: Any) -> Entry:
    kind = value[0] if is_list(value) and value else None
    if kind == "f":
        _, hex_digest, executable, size = record(value, 4)
        return File(digest(hex_digest), boolean(executable), integer(size))
    if kind == "l":
        return Symlink(_link_target(record(value, 2)[1]))
    if kind == "d":
        record(value, 1)
        return DIRECTORY
    if kind == "u":
        _, problem, detail = record(value, 3)
        return Unsynced(problem_kind(problem), sentence(detail))
    raise FieldError(f"expected an entry, got {value!r:.80}")


def _link_target(value: Any) -> str:
    target = text(value, TARGET_MAX)
    if not target or "\0" in target or not _can_be_encoded(target):
        raise FieldError(f"expected the text of a link, got {value!r:.80}")
    return target


def _can_be_encoded(target: str) -> bool:
    try:
        return target.isascii() or bool(encode_path(target))
    except BadPathError:
        return False


def problem_kind(value: Any) -> ProblemKind:
    try:
        return ProblemKind[text(value)]
    except KeyError:
        raise FieldError(f"unknown problem {value!r:.80}") from None


def pack_problem(problem: Problem) -> list[Any]:
    return [problem.path, problem.kind.name, problem.detail]


def problem(value: Any) -> Problem:
    at, kind, detail = record(value, 3)
    return Problem(path_or_root(at), problem_kind(kind), sentence(detail))
