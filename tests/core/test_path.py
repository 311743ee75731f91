"""Paths that could leave a root, or name no file, are refused before anything else sees them."""

from __future__ import annotations

import os

import pytest

from towline.core.path import (
    DEPTH_MAX,
    PATH_MAX,
    BadPathError,
    by_directory,
    check_path,
    collisions,
    is_below,
    join,
    name_of,
    parent_of,
    parents_of,
)


@pytest.mark.parametrize(
    "path", ["a", "a/b.py", "..a", "a..", "\u00e9", "bad\udcff", ".towline2", "a/.towline"]
)
def test_plain_relative_paths_pass(path: str) -> None:
    assert check_path(path) == path


LONGEST = "/".join(["x" * 255] * 15 + ["x" * 127, "x" * 128])


@pytest.mark.parametrize("path", [LONGEST, "x" * 255, "/".join("x" * DEPTH_MAX)])
def test_paths_and_names_may_be_as_long_and_deep_as_the_limits(path: str) -> None:
    assert len(LONGEST) == PATH_MAX
    assert check_path(path) == path
    with pytest.raises(BadPathError):
        check_path(f"{path}x" if "/" not in path else f"{path}/x")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/etc/passwd",
        "a/",
        "a//b",
        ".",
        "..",
        "../x",
        "a/../b",
        "a/./b",
        "a\0b",
        "x" * 256,
        "/".join(["d" * 100] * 50),
        "/".join("d" * 101),
        "\ud800",
        ".towline",
        ".towline/lock",
        ".Towline/lock",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(BadPathError):
        check_path(path)


@pytest.mark.parametrize("path", ["\udcc2\udcb7", "a/\udcc3\udca9.py", "\udcff\udcc2\udcb7"])
def test_a_second_spelling_of_the_same_bytes_is_refused(path: str) -> None:
    """Else one file would have two paths, and a rule for one of them none for the other."""
    assert check_path(os.fsdecode(os.fsencode(path))) != path
    with pytest.raises(BadPathError):
        check_path(path)


def test_a_path_is_its_parent_and_its_name() -> None:
    for path, parent, name in [("a/b/c", "a/b", "c"), ("a", "", "a")]:
        assert (parent_of(path), name_of(path), join(parent, name)) == (parent, name, path)


def test_parents_come_nearest_first_without_the_root() -> None:
    assert list(parents_of("a/b/c")) == ["a/b", "a"]
    assert list(parents_of("a")) == []


def test_nothing_is_below_itself_and_names_are_not_prefixes() -> None:
    assert is_below("a/b", "a")
    assert is_below("a", "")
    assert not is_below("a", "a")
    assert not is_below("ab", "a")
    assert not is_below("", "")


def test_names_that_fold_to_one_collide() -> None:
    assert collisions(["A", "a", "b"]) == [["A", "a"]]
    assert collisions(["\u00e9", "e\u0301", "E\u0301"]) == [["E\u0301", "e\u0301", "\u00e9"]]
    assert collisions(["a", "b"]) == []


def test_what_follows_each_other_in_one_directory_is_taken_together() -> None:
    paths = ["a", "b", "d/a", "d/b", "d/e/a", "d/c"]
    runs = [("", ["a", "b"]), ("d", ["d/a", "d/b"]), ("d/e", ["d/e/a"]), ("d", ["d/c"])]
    assert list(by_directory(paths, str)) == runs
