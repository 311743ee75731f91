"""A digest is the same for what is the same, and for nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.core.trees import roots, three_trees
from towline.core.entry import DIRECTORY, Directory, Entry, File, Symlink, Unsynced
from towline.core.problem import ProblemKind
from towline.core.reconcile import syncable
from towline.core.summary import digest_of_agreed, digest_of_directory

A, B = File(b"a" * 16), File(b"b" * 16)


@given(three_trees())
def test_directories_have_the_same_digest_exactly_if_they_are_equal(
    trees: tuple[Directory, Directory, Directory],
) -> None:
    one, other, _ = trees
    assert (digest_of_directory(one) == digest_of_directory(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (A, B),
        (A, File(b"a" * 16, executable=True)),
        (A, Symlink("a")),
        (Symlink("a"), Symlink("b")),
        (DIRECTORY, Unsynced(ProblemKind.UNREADABLE)),
        (DIRECTORY, Directory({"x": A})),
        (Directory({"x": DIRECTORY}), Directory({"x": Directory({"y": DIRECTORY})})),
    ],
)
def test_the_digest_knows_every_difference(one: Entry, other: Entry) -> None:
    digests = {digest_of_directory(Directory({"n": entry})) for entry in (one, other)}
    assert len(digests) == 2


@given(roots)
def test_the_digest_knows_no_order(root: Directory) -> None:
    backwards = Directory(dict(reversed(root.children.items())))
    assert digest_of_directory(backwards) == digest_of_directory(root)


@given(three_trees())
def test_what_was_agreed_on_is_what_is_synced(
    trees: tuple[Directory, Directory, Directory],
) -> None:
    one, other, _ = trees
    is_same = digest_of_agreed("life", one) == digest_of_agreed("life", other)
    assert is_same == (syncable(one) == syncable(other))


def test_another_life_has_agreed_on_something_else() -> None:
    root = Directory({"x": A})
    assert digest_of_agreed("one", root) != digest_of_agreed("other", root)
