"""Which way a path travels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.core.direction import RULES_MAX, Direction, Directions

BOTH, PUSH, PULL = Direction.BOTH, Direction.PUSH, Direction.PULL

TABLE = [
    ([], "a", BOTH),
    ([("outputs/", PULL)], "outputs", PULL),
    ([("outputs/", PULL)], "outputs/a/b", PULL),
    ([("outputs/", PULL)], "a/outputs/b", PULL),
    ([("/outputs/", PULL)], "a/outputs/b", BOTH),
    ([("*.py", PUSH)], "a/b.py", PUSH),
    ([("*", PULL), ("*.py", PUSH)], "a/b.py", PUSH),
    ([("*.py", PUSH), ("*", PULL)], "a/b.py", PULL),
    ([("*.py", PUSH), ("outputs/", PULL)], "outputs/a.py", PULL),
    ([("outputs/", PULL), ("*.py", PUSH)], "outputs/a.py", PUSH),
    ([("*", PUSH), ("notebooks/", BOTH)], "notebooks/a.ipynb", BOTH),
    ([("a/**/b", PULL)], "a/x/y/b", PULL),
    ([("*", PUSH)], "a.conflict-laptop", BOTH),
    ([("*", PUSH)], "a/b.conflict-2/c", BOTH),
    ([("*.conflict-*", PUSH)], "a.conflict-laptop.py", BOTH),
]


@pytest.mark.parametrize(("rules", "path", "expected"), TABLE)
def test_the_last_pattern_decides_that_matches_the_path_or_a_directory_above(
    rules: list[tuple[str, Direction]], path: str, expected: Direction
) -> None:
    assert Directions(rules).of(path) is expected


def test_what_no_pattern_matches_has_the_default() -> None:
    directions = Directions([("a", BOTH)], default=PUSH)
    assert directions.of("a") is BOTH
    assert directions.of("b") is PUSH
    assert directions.of("") is PUSH
    assert directions.of("b.conflict-x") is BOTH


@pytest.mark.parametrize("pattern", ["!a", "", "#a", "["])
def test_a_pattern_that_says_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"matches nothing|begins with"):
        Directions([(pattern, PUSH)])


def test_too_many_patterns_are_refused() -> None:
    assert Directions([("a", PUSH)] * RULES_MAX).of("a") is PUSH
    with pytest.raises(ValueError, match="more than"):
        Directions([("a", PUSH)] * (RULES_MAX + 1))


def test_directions_are_equal_when_made_of_the_same() -> None:
    one, same = Directions([("a", PUSH)]), Directions([("a", PUSH)])
    assert one == same
    assert hash(one) == hash(same)
    assert one != Directions([("a", PULL)])
    assert one != Directions([("a", PUSH)], default=PULL)
    assert one.rules == (("a", PUSH),)
    assert (one.default, Directions([], default=PULL).default) == (BOTH, PULL)


names = st.sampled_from(["a", "b", "c.py"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
patterns = st.sampled_from(["a", "/a", "b/", "a/b", "*.py", "*", "**/b", "a/**"])
rule_lists = st.lists(st.tuples(patterns, st.sampled_from(Direction)), max_size=4)


@given(rules=rule_lists, asked=st.lists(paths, max_size=6))
def test_an_answer_does_not_depend_on_what_was_asked_before(
    rules: list[tuple[str, Direction]], asked: list[str]
) -> None:
    directions = Directions(rules)
    assert [directions.of(path) for path in asked] == [Directions(rules).of(path) for path in asked]


@given(rules=rule_lists, path=paths, name=names)
def test_what_a_directory_has_its_children_have_unless_a_later_pattern_names_them(
    rules: list[tuple[str, Direction]], path: str, name: str
) -> None:
    """One more rule that matches the directory decides about all in it."""
    everything = [*rules, (f"/{path}", Direction.PULL)]
    assert Directions(everything).of(f"{path}/{name}") is Direction.PULL
