"""A pattern by itself: what it matches, and what is known of its matches before a path is there.

That it all means what it means to git is held by `test_ignore_like_git`, with git beside it.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.core.pattern import Pattern, parse, regex_of, text_of


def parsed(line: str) -> Pattern:
    pattern = parse(line)
    assert pattern is not None
    return pattern


MATCHES = [
    # Pattern, what it matches, what it does not.
    ("foo", "foo", "xfoo foox FOO"),
    ("/foo", "foo", "xfoo a/foo"),
    ("a/b", "a/b", "b a/bc xa/b"),
    ("*.py", ".py a.py", "a.pyc py"),
    ("*a*b", "ab xaxb aab abb", "a b abc"),
    ("a?c", "abc a-c", "ac abbc a/c"),
    ("a/*", "a/b a/", "a ab a/b/c"),
    ("a/*/c", "a/b/c", "a/c a/b/b/c"),
    ("**/b", "b a/b a/a/b", "ab a/ab"),
    ("a/**", "a/b a/b/c", "a ab"),
    ("a/**/b", "a/b a/x/b a/x/y/b", "ab a/xb"),
    ("a**/b", "ab a/b ax/b ax/y/b", "b xa/b"),  # As git has it: `a`, then `**/b`.
    ("a/b**", "a/b a/bc a/b/c", "a/c"),
    ("?/b**", "a/b a/bc", "a/b/c a/c"),
    ("**/a/**/b/**/c", "a/b/c x/a/y/b/z/c", "a/c b/c a/b"),
    ("**\\/b", "a/b a/c/b", "b"),
    ("[a-c]", "a b c", "d -"),
    ("[!a-c]", "d - !", "a b c"),
    ("[^a]", "b ^", "a"),
    ("[]a]", "] a", "[ b"),
    ("[a-]", "a -", "b"),
    ("[--0]", "- . 0", "a 1"),
    ("[a\\-c]", "a - c", "b"),
    ("[c-a]", "c", "a b"),
    ("[a-c-e]", "a b c - e", "d"),
    ("[[:digit:]_]", "0 9 _", "a :"),
    ("[[:]", "[ :", "]"),
    ("[[:a]", "[ : a", "]"),
    ("\\*", "*", "a \\*"),
    ("\\!a", "!a", "a"),
    ("a\\ ", "a\u0020", "a a\\"),
]


@pytest.mark.parametrize(("line", "matched", "others"), MATCHES, ids=[row[0] for row in MATCHES])
def test_what_a_pattern_matches(line: str, matched: str, others: str) -> None:
    pattern = parsed(line)
    words = [matched] if matched.endswith(" ") else matched.split(" ")
    assert [word for word in words if not pattern.matches(word.encode())] == []
    assert [word for word in others.split(" ") if pattern.matches(word.encode())] == []
    assert all(isinstance(pattern.matches(word.encode()), bool) for word in (*words, "x"))


@pytest.mark.parametrize(
    "line", ["", " ", "#a", "/", "!", "!/", "\\", "a\\", "[", "[a", "[!", "[]", "[a-", "[\\",
             "[/]", "[[:none:]]", "[[::]]", "[[:digit:", "a/[", "[[:digit:]"]
)  # fmt: skip
def test_a_line_that_matches_nothing_is_no_pattern(line: str) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    ("line", "negated", "directory_only", "by_name"),
    [
        ("a", False, False, True),
        ("!a", True, False, True),
        ("a/", False, True, True),
        ("!a/", True, True, True),
        ("/a", False, False, False),
        ("/a/", False, True, False),
        ("a/b", False, False, False),
        ("**/a", False, False, False),
    ],
)
def test_the_signs_around_a_pattern(
    line: str, negated: bool, directory_only: bool, by_name: bool
) -> None:
    pattern = parsed(line)
    found = (pattern.negated, pattern.directory_only, pattern.by_name)
    assert found == (negated, directory_only, by_name)


@pytest.mark.parametrize(
    ("line", "suffix"),
    [("*.py", b".py"), ("*", b""), ("*a*", None), ("a*", None), ("a", None), ("/*.py", None),
     ("*[ab]", None), ("?.py", None)],
)  # fmt: skip
def test_most_patterns_with_a_wildcard_ask_for_an_ending(line: str, suffix: bytes | None) -> None:
    assert parsed(line).suffix == suffix


@pytest.mark.parametrize(
    ("line", "depth"),
    [("a", 0), ("/a", 0), ("a/b", 1), ("a/*", 1), ("a/*/c/?", 3), ("a/**", None), ("**/a", None)],
)
def test_how_deep_a_match_lies(line: str, depth: int | None) -> None:
    assert parsed(line).depth == depth


@pytest.mark.parametrize(
    ("line", "directory", "can"),
    [
        ("a/b/c", "", True),
        ("a/b/c", "a/", True),
        ("a/b/c", "a/b/", True),
        ("a/b/c", "a/b/c/", False),  # Its matches lie higher.
        ("a/b/c", "x/", False),
        ("a/b/c", "a/x/", False),
        ("a/*", "a/", True),
        ("a/*", "a/b/", False),
        ("a/**", "a/b/c/d/", True),
        ("a/**", "b/", False),
        ("ab*/c", "a/", False),
        ("ab*/c", "abc/", True),
    ],
)
def test_where_a_match_may_still_lie(line: str, directory: str, can: bool) -> None:
    assert parsed(line).can_match_below(directory.encode()) is can


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("a", "a"), ("a ", "a"), ("a\\ ", "a\\ "), ("a\\  ", "a\\ "), ("a\\\\ ", "a\\\\"),
        ("a\\\\\\ ", "a\\\\\\ "), ("a\\", "a\\"), ("a\r", "a"), ("a\r\r", "a\r"), ("a \r", "a"),
        ("a\r ", "a\r"), ("a\0b", "a"), (" a", " a"), ("", ""),
    ],
)  # fmt: skip
def test_what_counts_of_a_line(line: str, text: str) -> None:
    assert text_of(line) == text


@pytest.mark.parametrize(
    ("line", "groups"),
    [("a*b", 0), ("a*b*c", 1), ("**/a/b", 0), ("**/a/**/b", 1), ("a/*x*y/**", 1), ("*a/*b", 0)],
)
def test_only_the_last_of_several_runs_is_tried_more_than_once(line: str, groups: int) -> None:
    """The earlier ones each stand in a group, which takes its first match for good."""
    pattern = parsed(f"/{line}")
    assert re.compile(regex_of(pattern.rest), re.DOTALL).groups == groups


def naive(tokens: str, text: str) -> bool:
    """Whether the text is matched, by trying everything: `*` is a run without "/"."""
    if not tokens:
        return not text
    if tokens.startswith("*"):
        runs = range(len(text.partition("/")[0]) + 1)
        return any(naive(tokens[1:], text[at:]) for at in runs)
    return bool(text) and text[0] == tokens[0] and naive(tokens[1:], text[1:])


@given(
    glob=st.lists(st.sampled_from(["a", "b", "/", "*"]), min_size=1, max_size=7).map("".join),
    text=st.text("ab/", max_size=8),
)
def test_first_matches_for_good_lose_no_match(glob: str, text: str) -> None:
    glob = re.sub(r"\*+", "*", f"x/{glob}")
    pattern = parse(glob.rstrip("/"))
    assert pattern is not None
    assert pattern.matches(f"x/{text}".encode()) is naive(glob.rstrip("/"), f"x/{text}")
