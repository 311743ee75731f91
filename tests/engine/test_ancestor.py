"""The durable ancestor holds what was agreed on, in one life, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

from tests.core.trees import roots
from towline.core.entry import DIRECTORY, Directory, File, digest_of
from towline.core.tree import Tree
from towline.engine.ancestor import Store, StoreError

A, B = File(digest_of(b"a"), True, 1), File(digest_of(b"b"), size=1)


@given(roots)
def test_a_tree_agreed_on_is_there_after_a_restart(root: Directory) -> None:
    store = Store(":memory:")
    store.open_ancestor(0, "life")
    store.agree(0, ((path, _shallow(entry)) for path, entry in Tree(root).walk()))
    assert (store.open_ancestor(0, "life").root or DIRECTORY) == root


def _shallow(entry: object) -> object:
    return DIRECTORY if isinstance(entry, Directory) else entry


def test_it_outlives_the_process(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    store.open_ancestor(0, "life")
    store.agree(0, [("d", DIRECTORY), ("d/x", A), ("bad\udcff", B)])
    store.close()
    tree = Store(tmp_path / "state").open_ancestor(0, "life")
    assert dict(tree.walk()) == {"d": Directory({"x": A}), "d/x": A, "bad\udcff": B}


def test_another_life_has_agreed_on_nothing() -> None:
    store = Store(":memory:")
    store.open_ancestor(0, "life")
    store.agree(0, [("x", A)])
    assert store.open_ancestor(0, "other").root is None
    assert store.open_ancestor(0, "life").root is None


def test_folders_do_not_share_an_ancestor() -> None:
    store = Store(":memory:")
    store.agree(0, [("x", A)])
    store.agree(1, [("y", B)])
    store.set_fact("life 0", "l")
    assert list(dict(store.open_ancestor(0, "l").walk())) == ["x"]


def test_removing_a_directory_removes_all_below_it_and_nothing_beside_it() -> None:
    store = Store(":memory:")
    store.open_ancestor(0, "life")
    store.agree(0, [("d", DIRECTORY), ("d/x", A), ("d.py", A), ("d0", A)])
    store.agree(0, [("d", None)])
    assert sorted(path for path, _ in store.open_ancestor(0, "life").walk()) == ["d.py", "d0"]


def test_a_revision_is_given_out_once_even_over_a_crash(tmp_path: Path) -> None:
    first = Store(tmp_path / "state").next_revision()
    assert Store(tmp_path / "state").next_revision() == first + 1


def test_a_file_that_is_no_state_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="cannot be used"):
        Store(tmp_path / "state")


def test_a_newer_state_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    store.set_fact("schema", "99")
    store.close()
    with pytest.raises(StoreError, match="newer"):
        Store(tmp_path / "state")


def test_conflicts_are_kept_in_order() -> None:
    store = Store(":memory:")
    store.keep_conflict("x", "x.conflict", "machine")
    store.keep_conflict("y\udcff", "y", "laptop")
    assert [kept.copy for kept in store.conflicts()] == ["x.conflict", "y"]
