"""The three trees: what is reconciled where, and what the ancestor may learn."""

from __future__ import annotations

import pytest

from towline.core.direction import Direction
from towline.core.entry import DIRECTORY, Directory, Entry, File, Unsynced, digest_of
from towline.core.ignore import Rules, Source, SourceKind
from towline.core.problem import ProblemKind
from towline.core.reconcile import Step, Verdict
from towline.core.tree import Tree
from towline.core.wire.records import Row
from towline.engine.ancestor import Store
from towline.engine.trees import Trees, topmost

A, B = File(digest_of(b"a")), File(digest_of(b"b"))


@pytest.fixture
def store() -> Store:
    return Store(":memory:")


@pytest.fixture
def trees(store: Store) -> Trees:
    return Trees(store, 0, lambda _: Direction.BOTH)


@pytest.mark.parametrize(
    ("paths", "kept"),
    [
        (["a/b", "a", "ab"], ["a", "ab"]),
        (["a/b/c", "a/b", "a/d"], ["a/b", "a/d"]),
        (["", "a"], [""]),
        ([], []),
    ],
)
def test_only_the_topmost_paths_are_reconciled(paths: list[str], kept: list[str]) -> None:
    assert topmost(paths) == kept


def test_where_a_file_stands_in_a_parents_place_the_parent_is_decided(trees: Trees) -> None:
    trees.local = Tree(Directory({"d": Directory({"x": A})}))
    trees.remote = Tree(Directory({"d": B}))
    assert list(trees.steps(["d/x"])) == [Step("d", Verdict.CONFLICT, None)]


def test_what_is_ignored_from_now_on_is_no_deletion_on_any_side(trees: Trees, store: Store) -> None:
    both = Directory({"data": Directory({"x": A}), "y": B})
    trees.open_ancestor("life", Rules([]))
    trees.local, trees.remote = Tree(both), Tree(both)
    trees.agree([("data", DIRECTORY), ("data/x", A), ("y", B)])
    trees.forget_ignored(Rules([Source(SourceKind.GIT_IGNORE, "", ".gitignore", ("data/",))]))
    assert list(trees.steps([""])) == []
    assert [path for path, _ in store.open_ancestor(0, "life").walk()] == ["y"]


def test_what_the_machine_tells_of_ignored_things_is_dropped_and_so_is_what_was_agreed(
    trees: Trees, store: Store
) -> None:
    rules = Rules([Source(SourceKind.GIT_IGNORE, "", ".gitignore", ("data/", "*.log"))])
    store.open_ancestor(0, "life")
    store.agree(0, [("data", DIRECTORY), ("data/x", A), ("y", B), ("a.log", A)])
    trees.local = Tree(Directory({"y": B}))
    trees.open_ancestor("life", rules)
    told = Tree(Directory({"data": Directory({"x": B}), "y": B, "b.log": A, "new": A}))
    trees.take_remote(told, rules)
    assert [path for path, _ in trees.remote.walk()] == ["new", "y"]
    assert [path for path, _ in store.open_ancestor(0, "life").walk()] == ["y"]
    assert list(trees.steps([""])) == [Step("new", Verdict.PULL, A)]


def test_agreeing_on_a_directory_keeps_what_was_agreed_on_below_it(trees: Trees) -> None:
    trees.agree([("d", DIRECTORY), ("d/x", A)])
    trees.agree([("d", Directory({"other": B}))])
    assert trees.ancestor.get("d") == Directory({"x": A})


def test_a_directory_is_agreed_on_with_all_in_it_where_it_is_new(
    trees: Trees, store: Store
) -> None:
    store.open_ancestor(0, "life")
    trees.agree([("d", Directory({"a": A, "e": Directory({"b": B})}))])
    stored = store.open_ancestor(0, "life")
    assert dict(stored.walk()) == dict(trees.ancestor.walk())
    assert stored.get("d/e/b") == B


def test_what_is_forgotten_counts_as_new_on_the_side_that_has_it(trees: Trees) -> None:
    trees.agree([("x", A)])
    trees.local = Tree(Directory({"x": A}))
    trees.remote = Tree(DIRECTORY)
    assert list(trees.steps(["x"])) == [Step("x", Verdict.PULL, None)]
    trees.forget(["x"])
    assert list(trees.steps(["x"])) == [Step("x", Verdict.PUSH, A)]


def test_a_directory_is_left_alone_where_one_side_lacks_it(trees: Trees) -> None:
    trees.local = Tree(Directory({"here": DIRECTORY, "both": DIRECTORY}))
    trees.remote = Tree(Directory({"there": DIRECTORY, "both": DIRECTORY}))
    gone = ["here/x", "here/y", "there/x", "both/x", "nowhere/x", "x"]
    assert trees.left_alone(gone) == {"here", "there"}


def test_no_path_is_decided_about_twice(trees: Trees) -> None:
    """What was there is nowhere any more, so its directory is decided about, with all in it."""
    trees.remote = Tree(Directory({"d": Directory({"x": A})}))
    steps = list(trees.steps(["d/x", "d/was-there"]))
    assert steps == [Step("d", Verdict.PULL, Directory({"x": A}))]


NO_RULES = Rules([])
TROUBLE = Unsynced(ProblemKind.SPECIAL)


def ended(trees: Trees, *agreed: tuple[str, Entry | None]) -> None:
    """An engine agrees on this, and ends."""
    trees.open_ancestor("life", NO_RULES)
    trees.agree(agreed)
    trees.remember_agreed()


def again(store: Store, local: Directory) -> Trees:
    """Another one begins, and finds this on the laptop."""
    trees = Trees(store, 0, lambda _: Direction.BOTH)
    trees.local = Tree(local)
    return trees


def test_a_tree_that_is_as_it_was_agreed_on_is_the_ancestor_unread(
    trees: Trees, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(trees, ("d", DIRECTORY), ("d/x", A))
    unread = again(store, Directory({"d": Directory({"x": A}), "s": TROUBLE}))
    monkeypatch.setattr(Store, "open_ancestor", None)
    unread.open_ancestor("life", NO_RULES)
    assert dict(unread.ancestor.walk()) == dict(trees.ancestor.walk())


@pytest.mark.parametrize("life", ["life", "other"])
def test_one_that_is_not_is_read_and_another_life_has_agreed_on_nothing(
    trees: Trees, store: Store, life: str
) -> None:
    ended(trees, ("x", A))
    changed = again(store, Directory({"x": B if life == "life" else A}))
    changed.open_ancestor(life, NO_RULES)
    assert dict(changed.ancestor.walk()) == ({"x": A} if life == "life" else {})


def test_the_digest_holds_until_something_is_agreed_on_or_forgotten(
    trees: Trees, store: Store
) -> None:
    ended(trees, ("x", A))
    digest = trees.agreed
    assert digest is not None
    trees.forget([])
    assert trees.agreed == digest
    trees.agree([("y", B)])
    assert trees.agreed is None
    trees.remember_agreed()
    assert trees.agreed not in (None, digest)
    trees.forget(["y"])
    assert trees.agreed is None
    trees.remember_agreed()
    assert trees.agreed == digest
    store.open_ancestor(0, "other")
    assert trees.agreed is None


def test_an_engine_that_met_no_machine_leaves_the_digest_as_it_is(
    trees: Trees, store: Store
) -> None:
    ended(trees, ("x", A))
    alone = again(store, Directory({"x": B}))
    alone.remember_agreed()
    assert alone.agreed == trees.agreed


def test_a_machine_that_holds_what_was_agreed_on_holds_what_cannot_be_synced_besides(
    trees: Trees, store: Store
) -> None:
    ended(trees, ("x", A), ("d", DIRECTORY))
    trees = again(store, Directory({"x": B}))
    trees.open_ancestor("life", NO_RULES)
    told = Tree(Directory({"d": Directory({"s": TROUBLE, "evil": A}), "x": B}))
    trees.take_agreed(told, NO_RULES)
    assert dict(trees.remote.walk()) == {"x": A, "d": Directory({"s": TROUBLE}), "d/s": TROUBLE}
    assert list(trees.steps(["x"])) == [Step("x", Verdict.PUSH, B)]


def seen_after(trees: Trees, boots: tuple[str, str], lost: Directory) -> dict[str, Verdict]:
    """Return what is to be done when `boots[0]` agreed, and `boots[1]` has this and no more."""
    trees.doubt_lately_agreed(boots[0], ())
    both = Directory({"d": Directory({"x": A}), "y": A})
    trees.agree([("d", both.children["d"]), ("y", A)])
    trees.local, trees.remote = Tree(both), Tree(lost)
    trees.doubt_lately_agreed(boots[1], ())
    return {step.path: step.verdict for step in trees.steps([""])}


@pytest.mark.parametrize(
    ("lost", "wanted"),
    [
        (Directory({"d": Directory({"x": A}), "y": A}), {}),
        (Directory({"d": Directory({"x": B}), "y": A}), {"d/x": Verdict.CONFLICT}),
        (Directory({"d": Directory({}), "y": A}), {"d/x": Verdict.PUSH}),
        (Directory({"y": A}), {"d": Verdict.PUSH}),
        (Directory({"d": B, "y": A}), {"d": Verdict.CONFLICT}),
        (Directory({"d": Directory({"x": A}), "y": A, "z": B}), {"z": Verdict.PULL}),
    ],
)
def test_what_a_machine_lost_with_its_power_is_no_edit(
    trees: Trees, lost: Directory, wanted: dict[str, Verdict]
) -> None:
    assert seen_after(trees, ("one", "two"), lost) == wanted


@pytest.mark.parametrize("boots", [("one", "one"), ("", "two"), ("", "")])
def test_without_another_start_of_the_machine_it_is(trees: Trees, boots: tuple[str, str]) -> None:
    wanted = {"d": Verdict.PULL, "y": Verdict.PULL}
    assert seen_after(trees, boots, Directory({"y": B})) == wanted


def test_each_start_is_doubted_once(trees: Trees) -> None:
    seen_after(trees, ("one", "two"), Directory({"d": Directory({"x": A}), "y": A}))
    trees.remote.put("y", B)
    trees.doubt_lately_agreed("two", ())
    assert [step.verdict for step in trees.steps(["y"])] == [Verdict.PULL]


def test_what_was_sent_and_not_answered_may_be_lost_as_well() -> None:
    clock = iter(range(0, 10_000, 1000))
    store = Store(":memory:", lambda: next(clock))
    trees = Trees(store, 0, lambda _: Direction.BOTH)
    trees.doubt_lately_agreed("one", ())
    for path in ("x", "y", "z"):
        trees.agree([(path, A)])
    assert store.lately(0) == ["y", "z"]
    trees.local = Tree(Directory({"x": A, "y": A, "z": A}))
    trees.remote = Tree(Directory({"x": B, "y": A, "z": A}))
    trees.doubt_lately_agreed("two", ["x"])
    assert [step.verdict for step in trees.steps(["x"])] == [Verdict.CONFLICT]


DEEP = Directory({"x": A, "z": B})


@pytest.fixture
def renamed(trees: Trees) -> Trees:
    """`d` was sent as the new name of a directory, and no answer came."""
    trees.local = Tree(Directory({"d": DEEP}))
    return trees


def test_of_a_rename_that_was_carried_out_all_is_agreed_on(renamed: Trees) -> None:
    renamed.remote = Tree(Directory({"d": Directory({"z": B})}))  # Somebody deleted `x` since.
    renamed.recognise([("d", DIRECTORY)], [("d", DEEP), ("was", None)])
    assert list(renamed.steps(["d"])) == [Step("d/x", Verdict.PULL, None)]


@pytest.mark.parametrize("told", [[], [("d", DIRECTORY)]])  # If so, of an earlier one.
def test_a_directory_that_another_made_is_not_taken_for_the_renamed_one(
    renamed: Trees, told: list[Row]
) -> None:
    renamed.remote = Tree(Directory({"d": Directory({"y": B}), "was": DEEP}))
    renamed.recognise(told, [("d", DEEP), ("was", None)])
    assert list(renamed.steps(["d"])) == [
        Step("d/x", Verdict.PUSH, A),
        Step("d/y", Verdict.PULL, B),
        Step("d/z", Verdict.PUSH, B),
    ]


def test_what_of_a_rename_is_there_is_agreed_on(renamed: Trees) -> None:
    renamed.remote = Tree(Directory({"d": Directory({"x": A})}))
    renamed.recognise([], [("d", DEEP), ("was", None)])
    assert dict(renamed.ancestor.walk()) == {"d": Directory({"x": A}), "d/x": A}


def test_what_the_machine_has_for_a_place_that_is_not_synced_here_cannot_come(store: Store) -> None:
    trees = Trees(store, 0, lambda path: Direction.PUSH if path == "out/src" else Direction.BOTH)
    out = Directory({"a": File(A.digest, size=7), "b": B, "src": A})
    trees.remote = Tree(Directory({"out": out, "there": A}))
    trees.local = Tree(Directory({"out": Unsynced(ProblemKind.LINK), "there": B}))
    trees.open_ancestor("life", Rules([]))
    trees.agree([("out", DIRECTORY), ("out/b", B)])
    assert list(trees.blocked_here(["out", "there", "gone"])) == [("out/a", 7)]
