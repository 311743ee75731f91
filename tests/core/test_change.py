"""Changes: what lies between two entries, what content they need, and what a group moves."""

from __future__ import annotations

import pytest

from towline.core.change import MOVED_MAX, Change, changes_between, holds, moved_contents
from towline.core.entry import DIRECTORY, Directory, Entry, File, Symlink, digest_of

A, B = (File(digest_of(text), size=len(text)) for text in (b"a", b"bb"))
EMPTY = File(digest_of(b""))
HALF = File(digest_of(b"half"), size=MOVED_MAX // 2 + 1)
OTHER_HALF = File(digest_of(b"other half"), size=MOVED_MAX // 2 + 1)

RUN = File(A.digest, executable=True, size=A.size)
LINK = Symlink("a")
AB = Directory({"x": A, "y": B})


@pytest.mark.parametrize(
    ("old", "new", "between"),
    [
        (None, None, []),
        (A, A, []),
        (AB, AB, []),
        (A, B, [("p", A, B)]),
        (A, None, [("p", A, None)]),
        (A, RUN, [("p", A, RUN)]),
        (LINK, A, [("p", LINK, A)]),
        (None, AB, [("p", None, DIRECTORY), ("p/x", None, A), ("p/y", None, B)]),
        (AB, None, [("p/x", A, None), ("p/y", B, None), ("p", DIRECTORY, None)]),
        (AB, LINK, [("p/x", A, None), ("p/y", B, None), ("p", DIRECTORY, LINK)]),
        (LINK, AB, [("p", LINK, DIRECTORY), ("p/x", None, A), ("p/y", None, B)]),
        (AB, Directory({"y": A, "z": B}), [("p/x", A, None), ("p/y", B, A), ("p/z", None, B)]),
    ],
)
def test_removals_come_before_what_takes_their_place(
    old: Entry | None, new: Entry | None, between: list[tuple[str, Entry | None, Entry | None]]
) -> None:
    changes = list(changes_between("p", old, new))
    assert [(change.path, change.old, change.new) for change in changes] == between


@pytest.mark.parametrize(
    ("change", "size"),
    [
        (Change("p", None, B), 2),
        (Change("p", A, B), 2),
        (Change("p", B, None), 0),
        (Change("p", None, DIRECTORY), 0),
        (Change("p", None, LINK), 0),
        (Change("p", B, File(B.digest, executable=True, size=2)), 0),
        (Change("p", B, File(B.digest, executable=True, size=2), keep="q"), 2),
        (Change("p", LINK, B), 2),
    ],
)
def test_only_new_content_needs_to_be_carried(change: Change, size: int) -> None:
    assert change.content_size == size


@pytest.mark.parametrize(
    ("actual", "expected", "does_hold"),
    [
        (None, None, True),
        (A, A, True),
        (A, B, False),
        (A, None, False),
        (None, A, False),
        (AB, DIRECTORY, True),
        (DIRECTORY, AB, True),
        (A, DIRECTORY, False),
        (DIRECTORY, A, False),
    ],
)
def test_of_a_directory_only_that_it_is_one_is_expected(
    actual: Entry | None, expected: Entry | None, does_hold: bool
) -> None:
    assert holds(actual, expected) is does_hold


def test_a_renamed_directory_moves_all_that_is_in_it() -> None:
    changes = [
        Change("new", None, DIRECTORY),
        Change("new/a", None, A),
        Change("new/b", None, B),
        Change("old/a", A, None),
        Change("old/b", B, None),
        Change("old", DIRECTORY, None),
    ]
    assert moved_contents(changes) == {A.digest: ("old/a", A), B.digest: ("old/b", B)}


def test_what_is_only_removed_or_only_made_is_not_moved() -> None:
    assert moved_contents([Change("a", A, None), Change("b", None, B)]) == {}
    assert moved_contents([Change("a", A, None), Change("b", EMPTY, None)]) == {}
    assert moved_contents([Change("a", A, B), Change("b", None, A)]) == {}


def test_nothing_is_moved_twice_and_no_empty_file() -> None:
    changes = [Change("a", A, None), Change("b", None, A), Change("c", None, A)]
    assert moved_contents(changes) == {A.digest: ("a", A)}
    assert moved_contents([Change("a", EMPTY, None), Change("b", None, EMPTY)]) == {}


def test_a_group_takes_only_so_much_from_what_it_removes() -> None:
    removed = [Change("a", HALF, None), Change("b", OTHER_HALF, None)]
    made = [Change("c", None, HALF), Change("d", None, OTHER_HALF)]
    assert moved_contents([*removed, *made]) == {HALF.digest: ("a", HALF)}


def test_a_group_may_take_exactly_that_much_and_goes_no_further_beyond_it() -> None:
    whole = File(digest_of(b"whole"), size=MOVED_MAX)
    removed = [Change("a", whole, None), Change("b", A, None)]
    made = [Change("c", None, whole), Change("d", None, A)]
    assert moved_contents([*removed, *made[:1]]) == {whole.digest: ("a", whole)}
    assert moved_contents([*removed, *made]) == {whole.digest: ("a", whole)}
    assert moved_contents([*removed, *reversed(made)]) == {A.digest: ("b", A)}
