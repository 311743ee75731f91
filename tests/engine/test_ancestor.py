"""The durable ancestor holds what was agreed on, in one life, and nothing else."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.trees import roots
from towline.core.entry import DIRECTORY, Directory, File, digest_of
from towline.core.tree import Tree
from towline.core.wire import fields
from towline.engine.ancestor import AGAIN_S, REVISIONS, UNSYNCED_S, Store, StoreError

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
    given = [Store(tmp_path / "state").next_revision()]
    crashed = Store(tmp_path / "state")
    given += [crashed.next_revision() for _ in range(2 * REVISIONS + 1)]
    assert Store(tmp_path / "state").next_revision() > given[-1]
    assert given == sorted(set(given))


def test_no_revision_is_passed_over_at_an_end(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    first = store.next_revision()
    store.close()
    again = Store(tmp_path / "state")
    assert (again.revision, again.next_revision()) == (first, first + 1)


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


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_was_agreed_on_lately_is_known_and_in_the_end_no_longer() -> None:
    clock = Clock()
    store = Store(":memory:", clock)
    store.agree(0, [("old", A)])
    clock.now += 2 * UNSYNCED_S
    assert store.lately(0) == ["old"], "nothing was heard of the machine since"
    store.agree(0, [("x", A)])
    clock.now += UNSYNCED_S - 1
    store.agree(0, [("y", A)])
    assert {"x", "y"} <= set(store.lately(0))
    clock.now += 1
    store.agree(0, [("z", A)])
    assert set(store.lately(0)) == {"x", "y", "z"}
    store.agree(0, [("y", None)])
    assert set(store.lately(0)) == {"x", "z"}


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 2 * UNSYNCED_S), st.booleans(), st.booleans()), max_size=20))
def test_nothing_is_forgotten_too_soon_whatever_becomes_of_engines_and_clocks(
    steps: list[tuple[float, bool, bool]],
) -> None:
    """In each step time goes by, an engine may start, its clock may, and a path is agreed on."""
    with TemporaryDirectory() as place:
        clock, passed, agreed = Clock(), 0.0, list[float]()
        store = Store(Path(place, "state"), clock)
        for number, (seconds, restarts, resets) in enumerate(steps):
            passed += seconds
            clock.now += seconds
            if restarts:
                store.close()
                clock.now = 0.0 if resets else clock.now
                store = Store(Path(place, "state"), clock)
            store.agree(0, [(str(number), A)])
            agreed.append(passed)
            young = {str(n) for n, at in enumerate(agreed) if at > passed - UNSYNCED_S}
            assert young <= set(store.lately(0))
        store.close()


def test_the_folders_have_turns_of_their_own() -> None:
    clock = Clock()
    store = Store(":memory:", clock)
    store.agree(0, [("x", A)])
    for _ in range(5):
        clock.now += 2 * UNSYNCED_S
        store.agree(1, [("y", A)])
    assert store.lately(0) == ["x"]


def test_a_state_without_turns_is_taken_over_as_agreed_on_lately(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "state")
    old.executescript(
        "CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE ancestor (mirror INTEGER NOT NULL, path BLOB NOT NULL, entry TEXT NOT NULL,"
        " PRIMARY KEY (mirror, path)) WITHOUT ROWID;"
        "INSERT INTO fact VALUES ('schema', '1'), ('life 0', 'life');"
    )
    row = (0, b"x", json.dumps(fields.pack_entry(A)))
    old.execute("INSERT INTO ancestor VALUES (?, ?, ?)", row)
    old.commit()
    old.close()
    for _ in range(2):
        store = Store(tmp_path / "state")
        assert dict(store.open_ancestor(0, "life").walk()) == {"x": A}
        assert store.lately(0) == ["x"]
        store.close()


def room(store: Store, pages: int | None = None) -> None:
    """Leave the file no page, or as many. SQLite then says it is full, as on a disk that is."""
    file = store._file or store._db
    (now,) = file.execute("PRAGMA page_count").fetchone()
    file.execute(f"PRAGMA max_page_count = {pages or now}")


def test_what_a_full_disk_does_not_take_is_known_and_written_once_there_is_room(
    tmp_path: Path,
) -> None:
    clock, told = Clock(), list[str]()
    store = Store(tmp_path / "state", clock, told.append)
    store.open_ancestor(0, "life")
    store.agree(0, [("d", DIRECTORY), ("d/before", A)])
    room(store)
    many = [(f"d/{number}", A) for number in range(500)]
    for row in many:
        store.agree(0, [row])
    store.agree(0, [("d/before", None)])
    store.keep_conflict("x" * 5000, "x.conflict", "machine")
    given = [store.next_revision() for _ in range(2 * REVISIONS)]
    assert given == sorted(set(given))
    store.set_boot(0, "boot")
    store.set_agreed(0, b"digest")
    assert "full" in told[0]
    assert store.open_ancestor(0, "life").get("d/before") is None
    assert "d/7" in store.lately(0)
    clock.now += AGAIN_S
    store.agree(0, [])
    assert len(told) == 1, "said once"

    room(store, 1_000_000)
    clock.now += AGAIN_S
    store.agree(0, [("d/after", B)])
    assert "again" in told[1]
    again = Store(tmp_path / "state")
    expected = {"d", "d/after", *(path for path, _ in many)}
    assert dict(again.open_ancestor(0, "life").walk()).keys() == expected
    assert [kept.copy for kept in again.conflicts()] == ["x.conflict"]
    assert (again.boot(0), again.agreed(0)) == ("boot", None)
    assert again.next_revision() > given[-1]


@pytest.mark.parametrize("is_room", [True, False])
def test_an_engine_that_ends_while_the_disk_is_full_leaves_a_whole_state(
    tmp_path: Path, is_room: bool
) -> None:
    told = list[str]()
    store = Store(tmp_path / "state", tell=told.append)
    store.open_ancestor(0, "life")
    store.agree(0, [("before", A)])
    room(store)
    store.agree(0, [(f"{number}", A) for number in range(500)])
    if is_room:
        room(store, 1_000_000)
    store.close()
    tree = Store(tmp_path / "state").open_ancestor(0, "life")
    assert len(dict(tree.walk())) == (501 if is_room else 1)
    assert ("again" if is_room else "was not written") in told[-1]


def test_a_state_with_a_spoilt_page_is_a_clear_error(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    store.open_ancestor(0, "life")
    store.agree(0, [(f"{number}", A) for number in range(500)])
    store.close()
    content = bytearray((tmp_path / "state").read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    (tmp_path / "state").write_bytes(content)
    with pytest.raises(StoreError, match="cannot be"):
        Store(tmp_path / "state").open_ancestor(0, "life")
