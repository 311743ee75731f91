"""The rows say which steps of a plan are one rename."""

from __future__ import annotations

import pytest

from towline.core.entry import DIRECTORY, Directory, Entry, File
from towline.core.reconcile import Step, Verdict
from towline.core.rename import renames_among
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
