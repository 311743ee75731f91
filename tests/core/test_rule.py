"""Where a rule comes from, how deep its file lies, and how the lines of a file rank."""

from __future__ import annotations

import pytest

from towline.core.rule import Source, SourceKind, rules_of

GIT = SourceKind.GIT_IGNORE


@pytest.mark.parametrize(
    ("directory", "prefix", "depth"),
    [("", "", 0), ("a", "", 1), ("a/b", "", 2), ("", "a", -1), ("", "a/b/c", -3)],
)
def test_how_deep_a_file_lies(directory: str, prefix: str, depth: int) -> None:
    assert Source(GIT, directory, "o", (), prefix).depth == depth


def test_a_later_line_of_a_deeper_file_ranks_higher() -> None:
    above = Source(GIT, "", "above", ("a",), prefix="p")
    root = Source(GIT, "", "root", ("a", "b"))
    below = Source(GIT, "d", "below", ("a",))
    ranked = [rule for source in (below, root, above) for rule in rules_of(source, 0)]
    ranked += rules_of(root, 1)
    ranked.sort(key=lambda rule: rule.order)
    said = [(rule.origin, rule.line) for rule in ranked]
    in_root = [("root", 1), ("root", 2)]
    assert said == [("above", 1), *in_root, *in_root, ("below", 1)]


def test_lines_that_say_nothing_are_counted_and_are_no_rules() -> None:
    rules = list(rules_of(Source(GIT, "", "o", ("# what is built", "", "out/ ", "[")), 0))
    assert [(rule.line, rule.text) for rule in rules] == [(3, "out/")]
    assert str(rules[0]) == '"out/" (o:3)'
