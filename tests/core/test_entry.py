"""What stands at a path: digests, shallow entries, and parts of a tree."""

from __future__ import annotations

import hashlib

import pytest

from towline.core.entry import (
    DIGEST_SIZE,
    DIRECTORY,
    Directory,
    Entry,
    File,
    Symlink,
    digest_of,
    directories_in,
    is_part_of,
    shallow,
)

A, B = File(b"a"), File(b"b")
AB = Directory({"x": A, "y": B})


def test_a_digest_is_blake2b_of_a_size_that_no_two_contents_share_by_chance() -> None:
    assert digest_of(b"content") == hashlib.blake2b(b"content", digest_size=16).digest()
    assert len(digest_of(b"")) == DIGEST_SIZE == 16


@pytest.mark.parametrize(
    ("entry", "left"),
    [(None, None), (A, A), (Symlink("t"), Symlink("t")), (AB, DIRECTORY), (DIRECTORY, DIRECTORY)],
)
def test_a_shallow_entry_has_no_children(entry: Entry | None, left: Entry | None) -> None:
    assert shallow(entry) == left


@pytest.mark.parametrize(
    ("part", "whole", "is_part"),
    [
        (None, None, True),
        (None, AB, True),
        (A, A, True),
        (A, B, False),
        (A, None, False),
        (AB, AB, True),
        (Directory({"y": B}), AB, True),
        (Directory({"y": A}), AB, False),
        (Directory({"x": A, "y": A}), AB, False),
        (Directory({"z": A}), AB, False),
        (DIRECTORY, AB, True),
        (AB, DIRECTORY, False),
        (DIRECTORY, A, False),
        (A, DIRECTORY, False),
        (DIRECTORY, None, False),
        (Directory({"d": DIRECTORY}), Directory({"d": AB}), True),
    ],
)
def test_a_part_holds_nothing_that_the_whole_does_not(
    part: Entry | None, whole: Entry | None, is_part: bool
) -> None:
    assert is_part_of(part, whole) is is_part


def test_equal_directories_are_one_in_a_set() -> None:
    assert {AB, Directory({"y": B, "x": A}), DIRECTORY} == {AB, DIRECTORY}


def test_the_directories_in_one_are_named_with_it() -> None:
    root = Directory({"d": Directory({"e": Directory(), "x": A}), "y": A})
    assert sorted(directories_in("", root)) == ["", "d", "d/e"]
    assert sorted(directories_in("at", root)) == ["at", "at/d", "at/d/e"]
