"""Trees and lists come over whole, in as many messages as they need and no more."""

from __future__ import annotations

from hypothesis import given

from tests.core.trees import entries, roots
from towline.core.entry import DIRECTORY, Directory, File, Symlink, Unsynced, digest_of
from towline.core.problem import Problem, ProblemKind
from towline.core.tree import Tree
from towline.core.wire import messages, telling
from towline.core.wire.messages import HEADER_SIZE, PLAIN_MAX, decode, encode

FILE = File(digest_of(b""), True, 0)


@given(roots)
def test_a_tree_told_in_parts_is_the_same_tree(root: Directory) -> None:
    told = Tree(DIRECTORY)
    for part in telling.tree_parts(Tree(root).walk()):
        for path, entry in decode(encode(part)).rows:  # type: ignore[union-attr]
            told.put_shallow(path, entry)
    assert told.root == root


@given(entries)
def test_the_rows_of_an_entry_rebuild_it(entry: File) -> None:
    tree = Tree(DIRECTORY)
    for path, row in telling.rows_of("at", entry):
        tree.put_shallow(path, row)
    assert tree.get("at") == entry


LONG = "/".join(
    ["\ud7ff" * 85] * 16
)  # As long as a path may be, and six bytes a character in JSON.


def test_the_longest_rows_still_fit_their_messages() -> None:
    tree = Tree(DIRECTORY)
    for number in range(300):
        tree.put(f"{number}/{LONG}"[:4000].rstrip("/"), FILE)
    parts = list(telling.tree_parts(tree.walk()))
    assert len(parts) > 1
    assert all(len(encode(part)) <= PLAIN_MAX for part in parts)


def test_of_too_many_rows_the_first_are_told() -> None:
    problems = [Problem(f"{number}/{LONG[:1300]}", ProblemKind.SPECIAL) for number in range(1000)]
    told = telling.fitting(problems, lambda at: telling.header_size_of(at.path, at))
    assert list(told) == problems[: len(told)]
    assert 0 < len(told) < len(problems)
    assert len(encode(messages.TreeEnd(True, told))) <= PLAIN_MAX


def test_a_directory_is_told_before_what_is_in_it_and_that_in_order() -> None:
    inner = Directory({"x": FILE})
    outer = Directory({"b": inner, "a": FILE})
    rows = [("at", outer), ("at/a", FILE), ("at/b", inner), ("at/b/x", FILE)]
    assert list(telling.rows_of("at", outer)) == rows
    assert list(telling.rows_of("at", None)) == [("at", None)]


def test_a_usual_tree_is_one_message_and_more_rows_than_one_holds_are_two() -> None:
    names = [f"{number:04}" for number in range(telling.ROWS_MAX + 1)]
    tree = Tree(Directory(dict.fromkeys(names[:-1], FILE)))
    assert [len(part.rows) for part in telling.tree_parts(tree.walk())] == [telling.ROWS_MAX]
    tree.put(names[-1], FILE)
    assert [len(part.rows) for part in telling.tree_parts(tree.walk())] == [telling.ROWS_MAX, 1]
    assert list(telling.tree_parts(Tree(Directory({})).walk())) == []


def test_a_row_takes_no_more_than_is_reckoned() -> None:
    """Of the characters that JSON writes longest."""
    text = "\ud7ff" * 200
    for entry in (None, FILE, DIRECTORY, Symlink(text), Unsynced(ProblemKind.CHANGING, text)):
        part = encode(messages.TreePart(((text, entry),)))
        assert len(part) <= telling.header_size_of(text, entry)
    problem = Problem(text, ProblemKind.CHANGING, text)
    part = encode(messages.TreeEnd(True, (problem,)))
    assert len(part) <= telling.header_size_of(text, problem)


def test_what_exactly_fills_a_message_fits_it() -> None:
    half = HEADER_SIZE // 2
    assert telling.fitting([half, half, 1], lambda size: size) == (half, half)
    assert telling.fitting([HEADER_SIZE + 1, 1], lambda size: size) == ()
    assert telling.fitting([1, 2], lambda size: size) == (1, 2)
