"""What is ignored, and why: the layers, the views for a walk, the explanation, the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pathspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.core import ignore, match
from towline.core.checkpoint import Checkpoints
from towline.core.ignore import (
    DEFAULT_SOURCE,
    DEFAULTS,
    NO_CHECKPOINTS,
    DirectoryRules,
    Rules,
    Source,
    SourceKind,
    lines_of,
)
from towline.core.path import BadPathError
from towline.core.pattern import parse

GIT, CONFIGURATION, OWN = (
    SourceKind.GIT_IGNORE,
    SourceKind.CONFIGURATION,
    SourceKind.TOWLINE_IGNORE,
)
NAMES = {GIT: ".gitignore", CONFIGURATION: "configuration", OWN: ".towlineignore"}


def source(kind: SourceKind, *lines: str, at: str = "") -> Source:
    name = NAMES.get(kind, kind.name)
    return Source(kind, at, f"{at}/{name}" if at else name, lines)


def test_a_higher_layer_decides_over_a_lower_one() -> None:
    kinds = [kind for kind in SourceKind if kind is not SourceKind.ALWAYS]
    for lower in kinds:
        for higher in kinds:
            if lower < higher:
                sources = [source(higher, "!a"), source(lower, "a")]
                assert not Rules(sources).ignores("a", False)
                sources = [source(higher, "a"), source(lower, "!a")]
                assert Rules(sources).ignores("a", False)


def test_a_nested_file_of_a_lower_layer_does_not_reach_a_higher_one() -> None:
    rules = Rules([source(GIT, "!x", at="a/b"), source(OWN, "x"), source(GIT, "y", at="a")])
    assert rules.ignores("a/b/x", False)
    assert rules.ignores("a/b/y", False)
    assert not rules.ignores("y", False)


def test_the_first_path_asked_about_may_lie_deep() -> None:
    sources = [source(GIT, "x", at="a/b"), source(OWN, "/y", at="a/b/c")]
    for path in ("a/b/x", "a/b/c/x", "a/b/c/d/e/x", "a/b/c/y"):
        assert Rules(sources).ignores(path, False)
    for path in ("x", "a/x", "b/x", "c/x", "a/b/y", "a/b/c/d/y"):
        assert not Rules(sources).ignores(path, False)
    assert Rules(sources).at("a/b/c").path == "a/b/c"


BACK = [
    # .gitignore, .towlineignore, path, ignored
    (["outputs/"], ["!outputs/"], "outputs/a.txt", False),
    (["outputs/"], ["!outputs"], "outputs/a.txt", False),
    (["outputs/", "*.bin"], ["!outputs/"], "outputs/a.bin", True),
    (["outputs/*"], ["!outputs/"], "outputs/a.txt", True),
    (["outputs/*"], ["!outputs/**"], "outputs/a.txt", False),
    (["/a/"], ["!/a/outputs/"], "a/outputs/x", True),
    (["/a/"], ["!/a/"], "a/outputs/x", False),
    (["*.log"], ["!important.log"], "d/important.log", False),
]


@pytest.mark.parametrize(("git", "own", "path", "ignored"), BACK)
def test_towlineignore_brings_back_what_git_ignores(
    git: list[str], own: list[str], path: str, ignored: bool
) -> None:
    assert Rules([source(GIT, *git), source(OWN, *own)]).ignores(path, False) is ignored


def test_a_pattern_for_another_directory_hides_none_that_follows_it() -> None:
    rules = Rules([source(GIT, "a/x", "b/y", "a/*/z", "b/w")])
    assert [rules.ignores(path, False) for path in ("a/x", "b/y", "b/w")] == [True] * 3
    assert not any(rules.ignores(path, False) for path in ("a/y", "b/x", "b/q/z", "a/w"))


def test_a_pattern_for_a_deeper_directory_hides_none_that_follows_it() -> None:
    rules = Rules([source(GIT, "/a/b", "/x", "/y*", "/a/c")])
    assert all(rules.ignores(path, False) for path in ("x", "y1", "a/b", "a/c"))


def test_the_root_itself_is_never_ignored() -> None:
    assert not Rules([source(GIT, "*")]).ignores("", True)


@pytest.mark.parametrize(
    "path",
    [
        ".git", "a/.git", ".git/config", ".GIT/hooks/x", "a/.Git", "GIT~1/x", ".git./x", ".git /x",
        ".g\u200cit/config", ".git::$INDEX_ALLOCATION/x", ".towline", ".towline/x", ".Towline/x",
    ],
)  # fmt: skip
def test_what_could_open_a_repository_or_towline_s_own_directory_is_always_out(path: str) -> None:
    rules = Rules([source(OWN, "!*", "!**/*", f"!{path}", "!.git", "!.towline")])
    verdict = rules.explain(path, False)
    assert rules.ignores(path, False)
    assert verdict.rule is not None
    assert verdict.rule.kind is SourceKind.ALWAYS


@pytest.mark.parametrize("path", ["a/.towline", ".gitignore", ".github/x", "git", "x.git", ".gi"])
def test_what_only_looks_like_them_is_synced(path: str) -> None:
    assert not Rules([]).ignores(path, False)


DEFAULT_ROWS = [
    (".venv/lib/a.py", True),
    ("sub/venv/pyvenv.cfg", True),
    ("env/a.py", False),
    ("a/__pycache__/x.pyc", True),
    ("a.pyc", True),
    ("a.py", False),
    ("node_modules/x/y.js", True),
    ("src/x.egg-info/PKG-INFO", True),
    (".idea/workspace.xml", True),
    (".vscode/settings.json", False),
    (".a.py.swp", True),
    ("4913", True),
    ("runs/4913/model.bin", False),
    ("a.py~", True),
    (".#a.py", True),
    ("#a.py#", True),
    ("a.py___jb_tmp___", True),
    (".hg/store/x", True),
    ("a.py.conflict-laptop", False),
]


@pytest.mark.parametrize(("path", "ignored"), DEFAULT_ROWS)
def test_the_defaults(path: str, ignored: bool) -> None:
    assert Rules([DEFAULT_SOURCE]).ignores(path, False) is ignored


def test_every_default_is_a_pattern_with_a_reason() -> None:
    assert all(parse(pattern) and reason for pattern, reason in DEFAULTS)


EXPLAINED = [
    ("data/x.bin", 'data/x.bin is not synced: data/ matches "data/" (.gitignore:2)'),
    ("a.log", 'a.log is not synced: it matches "*.log" (.gitignore:1)'),
    ("keep.log", 'keep.log is synced: it matches "!keep.log" (.towlineignore:1)'),
    ("a.py", "a.py is synced: no rule matches it"),
    ("sub/x", 'sub/x is not synced: it matches "/x" (sub/.gitignore:1)'),
    (
        "a.pyc",
        'a.pyc is not synced: it matches "*.py[co]" (towline\'s defaults), '
        "compiled by each Python for itself",
    ),
    (".git/x", '.git/x is not synced: .git/ matches ".git" (always)'),
]


@pytest.mark.parametrize(("path", "sentence"), EXPLAINED)
def test_an_explanation_names_the_file_and_the_line(path: str, sentence: str) -> None:
    rules = Rules(
        [
            DEFAULT_SOURCE,
            source(GIT, "*.log", "data/ "),
            source(OWN, "!keep.log"),
            source(GIT, "/x", at="sub"),
        ]
    )
    assert str(rules.explain(path, False)) == sentence


def test_rules_above_the_root_are_seen_from_where_they_lie() -> None:
    above = Source(GIT, "", "../../.gitignore", ("/a/b/x", "a/*/y", "/z", "*.o"), prefix="a/b")
    rules = Rules([above, source(GIT, "!k.o")])
    asked = ["x", "y", "c/y", "z", "a/b/x", "c/q.o", "k.o"]
    ignored = [path for path in asked if rules.ignores(path, False)]
    assert ignored == ["x", "y", "c/q.o"]


def test_names_that_are_not_utf_8_are_matched_by_their_bytes() -> None:
    rules = Rules([source(GIT, *lines_of(b"caf\xe9\n?.txt"))])
    assert rules.ignores("caf\udce9", False)
    assert not rules.ignores("caf\u00e9", False)
    assert rules.ignores("\udce9.txt", False)
    assert not rules.ignores("\u00e9.txt", False)  # Two bytes.


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", ()),
        (b"\n", ("",)),
        (b"a", ("a",)),
        (b"a\n", ("a",)),
        (b"a\r\nb", ("a\r", "b")),
        (b"\xef\xbb\xbfa\n", ("a",)),
        (b"a\x0cb\x1cc\n", ("a\x0cb\x1cc",)),
        (b"\xff\n", ("\udcff",)),
    ],
)
def test_lines_end_where_git_ends_them(content: bytes, lines: tuple[str, ...]) -> None:
    assert lines_of(content) == lines


def test_a_pattern_made_to_be_slow_is_not() -> None:
    """With backtracking this would take ages: a hundred million steps to the power of three."""
    slow = ["*a" * 20 + "b", "**/a/" * 12 + "b", "x/" + "*a" * 20 + "*b"]
    rules = Rules([source(GIT, *slow)])
    assert not rules.ignores("a" * 250, False)
    assert not rules.ignores("/".join("a" * 200) + "/c", False)
    assert not rules.ignores("x/" + "a" * 250, False)


def test_a_path_as_deep_as_paths_can_be_is_answered() -> None:
    deep = "/".join(["d"] * 2000)
    assert not Rules([source(GIT, "a/b", "x")]).ignores(deep, False)
    assert Rules([source(GIT, "a/b", "/d/d")]).ignores(deep, False)


def test_memories_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ignore, "_VIEWS_MAX", 3)
    rules = Rules([source(GIT, "x")])
    for _ in range(2):
        for number in range(10):
            assert rules.ignores(f"a{number}/b/c/x", False)
            assert not rules.ignores(f"a{number}/b/c/y", False)


def test_the_answers_kept_about_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match, "_MEMO_MAX", 3)
    here = Rules([source(GIT, "x*")]).at("")
    for number in range(10):
        assert here.ignores(f"x{number}", False)
        assert not here.ignores(f"y{number}", False)
        assert len(here._view._names._files) <= 3


# --- Properties -----------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "ab", "c.py", ".d", "\u00e9", "\udcff"])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
plain = ["a", "b/", "/a", "a/b", "**/b", "a/**", "a/**/b", "*.py", "?", "[ab]", "*/b", "/*/a/"]
plain += ["*", "ab*", "*b*", "a/*", "", "#x"]
again = ["!a", "!b/", "!*.py", "!/a/b", "!*/", "!a/b/c.py"]
patterns = st.sampled_from(plain + again)
sources = st.builds(
    Source,
    st.sampled_from([kind for kind in SourceKind if kind is not SourceKind.ALWAYS]),
    st.sampled_from(["", "", "a", "a/b"]),
    st.just("origin"),
    st.lists(patterns, max_size=5).map(tuple),
)
rule_sets = st.builds(
    Rules,
    st.lists(sources, max_size=4),
    st.one_of(st.none(), st.integers(0, 1 << 40)),
    st.sampled_from([NO_CHECKPOINTS, Checkpoints(), Checkpoints(["a/"], [], 0.25, 7)]),
)


@given(rules=rule_sets, path=paths, is_directory=st.booleans())
def test_the_explanation_agrees_with_the_answer(
    rules: Rules, path: str, is_directory: bool
) -> None:
    verdict = rules.explain(path, is_directory)
    assert verdict.ignored is rules.ignores(path, is_directory)
    assert verdict.path == path
    assert path == verdict.decided_at or path.startswith(f"{verdict.decided_at}/")


def walk(view: DirectoryRules, depth: int) -> Iterator[tuple[str, bool]]:
    """Yield the (path, is a directory) that are not ignored in a tree of every name."""
    for name in ["a", "b", "ab", "c.py"]:
        path = f"{view.path}/{name}" if view.path else name
        if not view.ignores(name, False):
            yield path, False
        if depth and not view.ignores(name, True):
            yield path, True
            yield from walk(view.below(name), depth - 1)


def everything(depth: int, above: str = "") -> Iterator[tuple[str, bool]]:
    for name in ["a", "b", "ab", "c.py"]:
        yield above + name, False
        if depth:
            yield above + name, True
            yield from everything(depth - 1, f"{above}{name}/")


@given(rules=rule_sets)
def test_a_walk_finds_what_the_full_answer_lets_through(rules: Rules) -> None:
    expected = {(path, kind) for path, kind in everything(2) if not rules.ignores(path, kind)}
    assert set(walk(rules.at(""), 2)) == expected


@given(rules=rule_sets, path=paths)
def test_a_name_that_is_plainly_spared_is_matched_by_no_rule(rules: Rules, path: str) -> None:
    *above, name = path.split("/")
    view = rules.at("/".join(above))
    if view.spares([name, "unmatched"]):
        assert view.last(name, False) is None


def test_names_are_plainly_spared_in_most_directories() -> None:
    rules = Rules([DEFAULT_SOURCE, source(GIT, "*.log", "/a/deep", "build/")])
    assert rules.at("").spares(["x.py", "README"])
    assert rules.at("a").spares(["x.py", "README"])
    assert not rules.at("a").spares(["x.py", "deep"])
    assert not rules.at("a").spares(["x.log", "x.py"])
    assert not rules.at("").spares(["x.py", ".git"])


@given(lines=st.lists(st.sampled_from(plain), max_size=6), path=paths.filter(str.isascii))
def test_pathspec_agrees_where_nothing_is_included_again(lines: list[str], path: str) -> None:
    """Where it is, and in names that are not ASCII, pathspec differs from git."""
    spec = pathspec.GitIgnoreSpec.from_lines(lines)
    assert Rules([source(GIT, *lines)]).ignores(path, False) is spec.match_file(path)


@given(rules=rule_sets)
def test_rules_survive_the_wire(rules: Rules) -> None:
    read = Rules.from_wire(json.loads(json.dumps(rules.to_wire())))
    assert read == rules
    assert hash(read) == hash(rules)
    assert read.size_max == rules.size_max


def test_a_source_may_lie_in_a_directory_of_any_name() -> None:
    rules = Rules([Source(GIT, "a\nb", "a\nb/.gitignore", ("*.log",))])
    assert Rules.from_wire(rules.to_wire()) == rules


EMPTY = NO_CHECKPOINTS.to_wire()


def wire(**changes: object) -> dict[str, object]:
    row = {"kind": "GIT_IGNORE", "directory": "", "origin": "o", "lines": ["a"], "prefix": ""}
    return rules(sources=[list((row | changes).values())])


def rules(**changes: object) -> dict[str, object]:
    return {"sources": [], "size_max": None, "checkpoints": EMPTY} | changes


NONSENSE: list[Any] = [
    None, [], {}, "x", {"sources": []}, rules(more=1),
    rules(sources={}), rules(sources=[1]), rules(sources=[[]]), rules(size_max=-1),
    rules(size_max=True), rules(size_max=1.5), rules(sources=[["GIT_IGNORE", "", "o", []]]),
    rules(checkpoints=None), rules(checkpoints=[]), rules(checkpoints=[["!x"], [], 0, None]),
    rules(checkpoints=[["x"], "y", 0, None]), rules(checkpoints=[["x"], [3], 0, None]),
    rules(checkpoints=[["x"], [], 0.5, None]), rules(checkpoints=[["x"], [], -1, None]),
    rules(checkpoints=[["x"], [], 0, -1]), rules(checkpoints=[["x"], ["a\nb"], 0, None]),
    wire(kind="NONE"), wire(kind="ALWAYS"), wire(kind=3), wire(kind="__class__"),
    wire(directory="../x"), wire(directory="/x"), wire(directory="a//b"), wire(directory=None),
    wire(prefix=".."), wire(prefix="a", directory="b"), wire(lines="abc"), wire(lines=[1]),
    wire(lines=["a\nb"]), wire(lines=["\ud800"]), wire(origin="\ud800"), wire(directory="\ud800"),
    wire(lines=None), wire(origin=5),
]  # fmt: skip


@pytest.mark.parametrize("value", NONSENSE)
def test_nonsense_from_the_wire_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        Rules.from_wire(value)


def test_a_source_of_another_shape_is_called_that() -> None:
    for row in ([], ["GIT_IGNORE", "", "o", []], ["GIT_IGNORE", "", "o", [], "", ""], "abcde"):
        with pytest.raises(ValueError, match="a source is kind, directory"):
            Rules.from_wire(rules(sources=[row]))


def test_rules_that_are_too_large_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ignore, "SIZE_MAX", 10)
    Rules([Source(GIT, "", "o", ("a" * 8,))])
    with pytest.raises(ValueError, match="exceed"):
        Rules([Source(GIT, "", "o", ("a" * 9,))])
    with pytest.raises(ValueError, match="exceed"):
        Rules([Source(GIT, "", "o" * 11, ())])
    monkeypatch.setattr(ignore, "SOURCES_MAX", 1)
    with pytest.raises(ValueError, match="more than"):
        Rules.from_wire(rules(sources=[None] * 2))
    one = Rules([Source(GIT, "", "o", ("a",))])
    assert Rules.from_wire(one.to_wire()) == one
    with pytest.raises(ValueError, match="more than"):
        Rules([*one.sources, *one.sources])


def test_rules_are_equal_when_all_that_they_are_made_of_is() -> None:
    sources = [source(GIT, "a")]
    assert Rules(sources, 0) == Rules(sources, 0)
    for other in (
        Rules([], 0),
        Rules(sources, 1),
        Rules(sources),
        Rules(sources, 0, Checkpoints()),
    ):
        assert other != Rules(sources, 0)
    assert Rules(sources, 0) != sources
    assert Rules.from_wire(Rules(sources, 0).to_wire()).size_max == 0


def test_a_source_that_names_no_place_is_refused() -> None:
    with pytest.raises(BadPathError):
        source(GIT, at="../x")
    with pytest.raises(ValueError, match="above"):
        Source(GIT, "a", "o", (), prefix="b")
