"""Plain values are taken as they are or refused: nothing is coerced."""

from __future__ import annotations

from typing import Any

import pytest

from towline.core.entry import DIRECTORY, File, Symlink, Unsynced
from towline.core.problem import Problem, ProblemKind
from towline.core.wire import fields
from towline.core.wire.fields import SIZE_MAX, TARGET_MAX, TEXT_MAX, FieldError

HEX = "0123456789abcdef" * 2
TAKEN: list[tuple[Any, Any, Any]] = [
    # Reader, what it is given, what it returns.
    (fields.integer, 0, 0),
    (fields.integer, SIZE_MAX, SIZE_MAX),
    (lambda value: fields.integer(value, 1, 3), 1, 1),
    (lambda value: fields.integer(value, 1, 3), 3, 3),
    (fields.boolean, False, False),
    (fields.text, "", ""),
    (fields.text, "x" * TEXT_MAX, "x" * TEXT_MAX),
    (fields.sentence, "a\x1b[2J\nb", "a\ufffd[2J\ufffdb"),
    (fields.path, "a/b", "a/b"),
    (fields.path_or_root, "", ""),
    (fields.path_or_root, "a", "a"),
    (fields.digest, HEX, bytes.fromhex(HEX)),
    (lambda value: fields.sequence(value, fields.integer), [1, 2], (1, 2)),
    (lambda value: fields.sequence(value, fields.integer), [], ()),
    (lambda value: fields.optional(value, fields.integer), None, None),
    (lambda value: fields.optional(value, fields.integer), 0, 0),
    (fields.entry, ["f", HEX, True, 5], File(bytes.fromhex(HEX), True, 5)),
    (fields.entry, ["l", "x" * TARGET_MAX], Symlink("x" * TARGET_MAX)),
    (fields.entry, ["d"], DIRECTORY),
    (fields.entry, ["u", "SPECIAL", "a\npipe"], Unsynced(ProblemKind.SPECIAL, "a\ufffdpipe")),
    (fields.entry_or_absent, None, None),
    (fields.problem, ["", "SPECIAL", "x"], Problem("", ProblemKind.SPECIAL, "x")),
]
REFUSED: list[tuple[Any, Any]] = [
    (fields.integer, -1),
    (fields.integer, SIZE_MAX + 1),
    (fields.integer, True),
    (fields.integer, 1.0),
    (fields.integer, "1"),
    (lambda value: fields.integer(value, 1, 3), 0),
    (lambda value: fields.integer(value, 1, 3), 4),
    (fields.boolean, 1),
    (fields.boolean, None),
    (fields.text, None),
    (fields.text, ["a"]),
    (fields.text, "x" * (TEXT_MAX + 1)),
    (fields.path, ""),
    (fields.path, "../x"),
    (fields.path_or_root, "/"),
    (fields.path_or_root, None),
    (fields.digest, HEX[2:]),
    (fields.digest, HEX + "00"),
    (fields.digest, " ".join(HEX[at : at + 4] for at in range(0, 32, 4))),
    (lambda value: fields.sequence(value, fields.text), "ab"),
    (lambda value: fields.sequence(value, fields.text), {"a": 1}),
    (lambda value: fields.record(value, 2), [1]),
    (lambda value: fields.record(value, 2), "ab"),
    (fields.entry, None),
    (fields.entry, []),
    (fields.entry, "d"),
    (fields.entry, ["d", 1]),
    (fields.entry, ["f", HEX, True]),
    (fields.entry, ["l", ""]),
    (fields.entry, ["l", "a\0b"]),
    (fields.entry, ["l", "x" * (TARGET_MAX + 1)]),
    (fields.entry, ["u", "NO_SUCH", ""]),
    (fields.problem, ["x", "SPECIAL"]),
]


@pytest.mark.parametrize(("read", "value", "taken"), TAKEN)
def test_what_is_of_its_type_and_in_its_range_is_taken(read: Any, value: Any, taken: Any) -> None:
    found = read(value)
    assert found == taken
    assert type(found) is type(taken)


@pytest.mark.parametrize(("read", "value"), REFUSED)
def test_all_else_is_refused(read: Any, value: Any) -> None:
    with pytest.raises(FieldError):
        read(value)
