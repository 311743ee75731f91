"""The contents that a group of changes moves."""

from __future__ import annotations

from towline.core.change import MOVED_MAX, Change, moved_contents
from towline.core.entry import DIRECTORY, File, digest_of

A, B = (File(digest_of(text), size=len(text)) for text in (b"a", b"bb"))
EMPTY = File(digest_of(b""))
HALF = File(digest_of(b"half"), size=MOVED_MAX // 2 + 1)
OTHER_HALF = File(digest_of(b"other half"), size=MOVED_MAX // 2 + 1)


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
