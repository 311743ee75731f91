"""The last pattern decides that matches a path or a directory above it."""

from __future__ import annotations

import pytest

from towline.core import patterns
from towline.core.patterns import Patterns


@pytest.mark.parametrize(
    ("path", "line"),
    [("", None), ("a", 1), ("a/b", 1), ("a/b.py", 2), ("c/a/x", 1), ("d", None), ("a/c/x.py", 2)],
)
def test_the_last_one_that_matches(path: str, line: int | None) -> None:
    rule = Patterns("a test", ["a", "*.py"]).last(path)
    assert (rule.line if rule else None) == line


@pytest.mark.parametrize(
    ("path", "line"), [("a", 1), ("a/x", 1), ("x/a/y", 1), ("b/c", 2), ("b/c/d", 2), ("b", None)]
)
def test_a_pattern_for_directories_matches_whatever_stands_there(
    path: str, line: int | None
) -> None:
    """Nobody says here what a path is: it is taken for what the pattern means."""
    rule = Patterns("a test", ["a/", "/b/c/"]).last(path)
    assert (rule.line if rule else None) == line


def test_what_is_remembered_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "_MEMO_MAX", 3)
    asked = Patterns("a test", ["a"])
    for name in "abcdefgh":
        assert (asked.last(f"{name}/x/y") is not None) is (name == "a")


@pytest.mark.parametrize("line", ["!a", "", "#a", "["])
def test_a_line_that_says_nothing_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match=r"matches nothing|begins with"):
        Patterns("a test", [line])
