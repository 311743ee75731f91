"""The rows are the specification of reconciling; the properties say what holds for all trees."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.trees import three_trees
from towline.core.change import changes_between
from towline.core.direction import Direction
from towline.core.entry import Directory, Entry, File, Symlink, Unsynced
from towline.core.problem import ProblemKind
from towline.core.reconcile import Step, Verdict, judge, reconcile
from towline.core.tree import Tree

A, B, C = File(b"a"), File(b"b"), File(b"c")
AX = File(b"a", executable=True)
L = Symlink("a")
U = Unsynced(ProblemKind.UNREADABLE)
E = Directory()
AB, B_ONLY, A2B = Directory({"x": A, "y": B}), Directory({"y": B}), Directory({"x": C, "y": B})
ABU = Directory({"x": A, "y": B, "z": U})
BOTH, PUSH_ONLY, PULL_ONLY = Direction
AGREE, PUSH, PULL, CONFLICT = Verdict
Trees = tuple[Directory, Directory, Directory]


@pytest.mark.parametrize(
    ("ancestor", "local", "remote", "verdict"),
    [
        # One side changed.
        (A, A, B, PULL),
        (A, B, A, PUSH),
        (A, A, AX, PULL),
        (A, L, A, PUSH),
        (A, A, None, PULL),
        (A, None, A, PUSH),
        (None, A, None, PUSH),
        (None, None, A, PULL),
        (None, E, None, PUSH),
        # Both changed, alike.
        (None, A, A, AGREE),
        (A, B, B, AGREE),
        (A, None, None, AGREE),
        # Both changed, differently.
        (None, A, B, CONFLICT),
        (A, B, C, CONFLICT),
        (A, AX, B, CONFLICT),
        (A, B, E, CONFLICT),
        (None, L, E, CONFLICT),
        # A deletion yields to an edit.
        (A, None, B, PULL),
        (A, B, None, PUSH),
        (AB, None, A2B, PULL),
        (AB, A2B, None, PUSH),
        # Of two deletions the larger one wins.
        (AB, None, B_ONLY, PUSH),
        (AB, B_ONLY, None, PULL),
        # What cannot be synced is left alone, and what holds it cannot be removed.
        (A, U, A, None),
        (A, A, U, None),
        (A, U, None, None),
        (AB, None, ABU, PULL),
    ],
)
def test_judge_both_ways(
    ancestor: Entry | None, local: Entry | None, remote: Entry | None, verdict: Verdict | None
) -> None:
    assert judge(ancestor, local, remote) is verdict


@pytest.mark.parametrize(
    ("ancestor", "truth", "other", "follows"),
    [
        # The truth is followed, also where the other side deleted.
        (A, B, A, True),
        (A, A, None, True),
        (None, A, None, True),
        (A, None, A, True),
        (AB, None, B_ONLY, True),
        # What the other side made or edited is never dropped: kept beside a new version,
        (A, A, B, "conflict"),
        (A, B, C, "conflict"),
        (None, A, B, "conflict"),
        # or left where it is, if there is none.
        (None, None, A, False),
        (A, None, B, False),
        (AB, None, A2B, False),
        (A, U, A, False),
    ],
)
@pytest.mark.parametrize("direction", [PUSH_ONLY, PULL_ONLY])
def test_judge_one_way(
    ancestor: Entry | None,
    truth: Entry | None,
    other: Entry | None,
    follows: bool | str,
    direction: Direction,
) -> None:
    pushes = direction is PUSH_ONLY
    local, remote = (truth, other) if pushes else (other, truth)
    expected = {True: PUSH if pushes else PULL, False: None, "conflict": CONFLICT}[follows]
    assert judge(ancestor, local, remote, direction) is expected


def test_a_file_changed_on_each_side_of_a_directory_goes_each_its_own_way() -> None:
    local, remote = Directory({"x": C, "y": B}), Directory({"x": A, "y": C})
    assert list(reconcile(AB, local, remote)) == [Step("x", PUSH, C), Step("y", PULL, C)]


def test_a_directory_made_on_both_sides_is_agreed_on_before_its_children() -> None:
    steps = list(reconcile(E, Directory({"d": AB}), Directory({"d": A2B})))
    assert steps == [Step("d", AGREE, E), Step("d/x", CONFLICT, None), Step("d/y", AGREE, B)]


def test_what_cannot_be_synced_is_left_out_of_what_is_pushed() -> None:
    assert list(reconcile(E, Directory({"d": ABU}), E)) == [Step("d", PUSH, AB)]


def _outputs_are_pulled(path: str) -> Direction:
    return PULL_ONLY if path.startswith("d/out") else BOTH


def test_a_directory_of_mixed_directions_is_decided_child_by_child() -> None:
    held = Directory({"d": Directory({"code": A, "out": B})})
    steps = list(reconcile(held, E, held, _outputs_are_pulled))
    assert steps == [Step("d/code", PUSH, None), Step("d/out", PULL, B)]


def test_a_directory_of_mixed_directions_goes_when_nothing_in_it_stays() -> None:
    ancestor = Directory({"d": Directory({"code": A, "out": B})})
    remote = Directory({"d": Directory({"code": A})})
    assert list(reconcile(ancestor, E, remote, _outputs_are_pulled)) == [
        Step("d", PUSH, None),
    ]


def test_a_directory_of_one_direction_is_decided_as_a_whole() -> None:
    ancestor = Directory({"d": Directory({"code": A})})
    remote = Directory({"d": Directory({"code": A, "new": B})})
    assert list(reconcile(ancestor, E, remote, _outputs_are_pulled)) == [
        Step("d", PULL, remote.children["d"])
    ]


def test_a_file_in_place_of_a_directory_of_mixed_directions_is_decided_as_one() -> None:
    ancestor = Directory({"d": Directory({"code": A, "out": B})})
    assert list(reconcile(ancestor, E, Directory({"d": C}), _outputs_are_pulled)) == [
        Step("d", PULL, C)
    ]
    assert list(reconcile(ancestor, E, Directory({"d": U}), _outputs_are_pulled)) == []


def _carried_out(steps: Iterable[Step], trees: Trees) -> tuple[Tree, Tree, Tree]:
    """Do what the steps say to copies of the trees; conflicts are left as they are."""
    ancestor, local, remote = (Tree(tree) for tree in trees)
    for step in steps:
        if step.verdict is CONFLICT:
            continue
        for tree in (local, remote) if step.verdict is not AGREE else ():
            for change in changes_between(step.path, tree.get(step.path), step.entry):
                tree.put(change.path, change.new)
        if step.verdict is AGREE:
            ancestor.put_shallow(step.path, step.entry)
        else:
            ancestor.put(step.path, step.entry)
    return ancestor, local, remote


@given(three_trees())
def test_one_cycle_leaves_only_conflicts(trees: Trees) -> None:
    steps = list(reconcile(*trees))
    after = _carried_out(steps, trees)
    left = list(reconcile(*(tree.root for tree in after)))
    conflicts = [step for step in steps if step.verdict is CONFLICT]
    assert left == conflicts
    if not conflicts:
        assert after[0].root == after[1].root == after[2].root


@given(three_trees(), st.dictionaries(st.sampled_from("abAdy"), st.sampled_from(Direction)))
def test_one_cycle_leaves_only_conflicts_in_mixed_directions(
    trees: Trees, directions: dict[str, Direction]
) -> None:
    def direction_of(path: str) -> Direction:
        return directions.get(path[-1:], BOTH)

    steps = list(reconcile(*trees, direction_of))
    after = _carried_out(steps, trees)
    left = list(reconcile(*(tree.root for tree in after), direction_of))
    assert left == [step for step in steps if step.verdict is CONFLICT]


@given(three_trees())
def test_no_edit_is_ever_lost(trees: Trees) -> None:
    ancestor, local, remote = trees
    after = _carried_out(reconcile(*trees), trees)
    known = _leaves(ancestor)
    for side in (local, remote):
        for path, entry in _leaves(side).items():
            if known.get(path) != entry:
                assert any(tree.get(path) == entry for tree in after[1:]), path


@given(three_trees())
def test_sides_are_treated_alike(trees: Trees) -> None:
    ancestor, local, remote = trees
    mirrored = {PUSH: PULL, PULL: PUSH, AGREE: AGREE, CONFLICT: CONFLICT}
    here = {(step.path, step.verdict, step.entry) for step in reconcile(ancestor, local, remote)}
    there = {
        (step.path, mirrored[step.verdict], step.entry)
        for step in reconcile(ancestor, remote, local)
    }
    assert here == there


@given(three_trees())
def test_pushing_mirrors_pulling(trees: Trees) -> None:
    ancestor, local, remote = trees
    mirrored = {PUSH: PULL, AGREE: AGREE, CONFLICT: CONFLICT}
    pushed = [
        (step.path, mirrored[step.verdict], step.entry)
        for step in reconcile(ancestor, local, remote, PUSH_ONLY)
    ]
    pulled = reconcile(ancestor, remote, local, PULL_ONLY)
    assert pushed == [(step.path, step.verdict, step.entry) for step in pulled]


@given(three_trees())
def test_a_side_that_is_the_truth_is_never_changed(trees: Trees) -> None:
    assert all(step.verdict is not PULL for step in reconcile(*trees, PUSH_ONLY))
    assert all(step.verdict is not PUSH for step in reconcile(*trees, PULL_ONLY))


def _leaves(root: Directory) -> dict[str, Entry]:
    return {path: entry for path, entry in Tree(root).walk() if not isinstance(entry, Directory)}
