"""The rows say which steps of a plan are one rename; the properties, what its digest tells."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.core.trees import roots, three_trees
from towline.core.entry import DIRECTORY, Directory, Entry, File, Symlink, Unsynced
from towline.core.problem import ProblemKind
from towline.core.reconcile import Step, Verdict
from towline.core.rename import digest_of_directory, renames_among
from towline.core.tree import Tree

A, B = File(b"a" * 16), File(b"b" * 16)
D, D2 = Directory({"x": A, "e": Directory({"y": B})}), Directory({"x": B})
PUSH, PULL = Verdict.PUSH, Verdict.PULL
Steps = list[tuple[str, Verdict, Entry | None]]


@pytest.mark.parametrize(
    ("steps", "renames"),
    [
        # One directory is gone, another holds the same.
        ([("d", PUSH, None), ("n", PUSH, D)], [("d", "n")]),
        ([("d", PUSH, None), ("q/n", PUSH, D)], [("d", "q/n")]),
        ([("d", PUSH, None), ("n", PUSH, D), ("z", PUSH, A)], [("d", "n")]),
        ([("d", PUSH, None), ("t", PUSH, None), ("n", PUSH, D), ("m", PUSH, D)], [("d", "n")]),
        ([("d", PUSH, None), ("m", PUSH, D2), ("n", PUSH, D)], [("d", "n")]),
        ([("d", PUSH, None), ("t", PUSH, None), ("d/n", PUSH, D), ("m", PUSH, D2)], [("t", "m")]),
        # It does not hold the same.
        ([("d", PUSH, None), ("n", PUSH, D2)], []),
        ([("t", PUSH, None), ("n", PUSH, D)], []),
        # Something stands at its new name, on the machine.
        ([("d", PUSH, None), ("t", PUSH, D)], []),
        # It is still there, too.
        ([("n", PUSH, D)], []),
        # The other side did it.
        ([("d", PULL, None), ("n", PULL, D)], []),
        ([("d", PULL, None), ("n", PUSH, D)], []),
        ([("d", PUSH, None), ("n", PULL, D)], []),
        # A directory without anything in it is as soon made anew.
        ([("o", PUSH, None), ("n", PUSH, DIRECTORY)], []),
        # Into itself.
        ([("d", PUSH, None), ("d/n", PUSH, D)], []),
        ([("s/d", PUSH, None), ("s", PUSH, D)], []),
        # Files are not looked at.
        ([("f", PUSH, None), ("n", PUSH, A)], []),
    ],
)
def test_renames_among(steps: Steps, renames: list[tuple[str, str]]) -> None:
    remote = Tree(Directory({"d": D, "t": D2, "o": DIRECTORY, "f": A}))
    found = renames_among([Step(*step) for step in steps], remote.get)
    assert [(rename.source, rename.target) for rename in found] == renames
    assert all(rename.entry == remote.get(rename.source) for rename in found)


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
