"""A tree addressed by path holds what was put in, whatever the order."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.trees import entries, names, roots
from towline.core.entry import DIRECTORY, Directory, Entry, File, Unsynced
from towline.core.problem import ProblemKind
from towline.core.tree import Tree

A, B = File(b"a"), File(b"b")
UNREADABLE = Unsynced(ProblemKind.UNREADABLE)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)


@given(roots, paths, entries)
def test_what_is_put_is_there_and_nothing_beside_it_changed(
    root: Directory, path: str, entry: Entry
) -> None:
    tree = Tree(root)
    beside = {
        at: held
        for at, held in Tree(root).walk()
        if not at.startswith(f"{path}/") and not path.startswith(at)
    }
    tree.put(path, entry)
    assert tree.get(path) == entry
    assert all(
        tree.get(at) == held for at, held in beside.items() if not isinstance(held, Directory)
    )


@given(roots, paths)
def test_what_is_removed_is_gone_with_all_below_it(root: Directory, path: str) -> None:
    tree = Tree(root)
    tree.put(path, None)
    assert tree.get(path) is None
    assert not any(at.startswith(f"{path}/") for at, _ in tree.walk())


@given(roots)
def test_a_tree_shares_nothing_with_what_it_was_made_of(root: Directory) -> None:
    tree, other = Tree(root), Tree(root)
    tree.put("new", A)
    tree.put("a", None)
    assert other.root == root


def test_a_directory_put_shallowly_keeps_its_children() -> None:
    tree = Tree(Directory({"d": Directory({"x": A})}))
    tree.put_shallow("d", DIRECTORY)
    assert tree.get("d/x") == A
    tree.put_shallow("d", B)
    assert tree.get("d") == B


def test_a_path_through_a_file_holds_nothing() -> None:
    assert Tree(Directory({"x": A})).get("x/y") is None


def test_an_absent_root_is_not_an_empty_one() -> None:
    assert Tree().root is None
    assert Tree(DIRECTORY).root == DIRECTORY


def test_the_root_of_a_tree_is_a_directory() -> None:
    with pytest.raises(TypeError):
        Tree(A)


def test_walking_tells_parents_before_children_in_order() -> None:
    tree = Tree(Directory({"b": A, "a": Directory({"z": B})}))
    assert [path for path, _ in tree.walk()] == ["a", "a/z", "b"]


@given(roots, st.lists(st.tuples(paths, st.none() | entries), max_size=5))
def test_a_tree_counts_its_entries(root: Directory, puts: list[tuple[str, Entry | None]]) -> None:
    tree = Tree(root)
    for path, entry in puts:
        tree.put(path, entry)
        assert len(tree) == len(list(tree.walk()))


@given(roots, st.lists(st.tuples(paths | st.just(""), entries | st.none()), max_size=4))
def test_entries_are_counted_whatever_is_put(
    root: Directory, puts: list[tuple[str, Entry | None]]
) -> None:
    tree = Tree(root)
    for path, entry in puts:
        if path or isinstance(entry, Directory | None):
            tree.put(path, entry)
            assert len(tree) == sum(1 for _ in tree.walk())


def test_only_a_tree_without_a_root_is_none() -> None:
    tree = Tree()
    assert not tree
    tree.put("", DIRECTORY)
    assert tree
    assert len(tree) == 0
    tree.put("", None)
    assert not tree


@pytest.mark.skipif(
    sys.version_info[:2] == (3, 12),
    reason="Python 3.12 keeps each name it has once interned for ever",
)
def test_trees_that_hold_the_same_share_its_names() -> None:
    here, there = Tree(), Tree()
    for tree in (here, there):
        tree.put("".join(["new", "/", "x.py"]), A)
    names = [next(iter(tree.get("new").children)) for tree in (here, there)]
    assert names[0] is names[1]


def test_nothing_is_put_below_what_is_not_synced() -> None:
    tree = Tree(Directory({"d": UNREADABLE, "e": A}))
    tree.put("d/x", A)
    tree.put_shallow("d/y/z", A)
    assert tree.root == Directory({"d": UNREADABLE, "e": A})
    assert len(tree) == 2
    tree.put("e/x", B)
    assert tree.get("e/x") == B, "a file gives way"
    tree.put("d", Directory({"x": A}))
    tree.put("d/y", B)
    assert tree.get("d") == Directory({"x": A, "y": B}), "once it is known"


@given(roots, st.lists(names, max_size=2).map("/".join), st.sets(names, min_size=1))
def test_names_added_at_once_are_as_each_put(root: Directory, at: str, new: set[str]) -> None:
    together, apart = Tree(root), Tree(root)
    files = dict.fromkeys(new - set(together.children_in(at) or ()), A)
    together.add(at, files)
    for name, file in files.items():
        apart.put(f"{at}/{name}" if at else name, file)
    assert files == {} or together.root == apart.root
    assert files == {} or len(together) == len(apart)
