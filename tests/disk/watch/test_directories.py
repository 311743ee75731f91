from __future__ import annotations

from towline.disk.watch.directories import Directories


def tree() -> Directories:
    directories = Directories()
    for wd, path in enumerate(["", "a", "a/b", "a/b/c", "ab"]):
        directories.put(path, wd)
    directories.put("a/polled", None)
    return directories


def test_removal_takes_the_subtree_and_nothing_else() -> None:
    directories = tree()
    removed = directories.remove("a")
    assert sorted(removed) == [("a", 1), ("a/b", 2), ("a/b/c", 3), ("a/polled", None)]
    assert set(directories) == {"", "ab"}
    assert directories.path_of(2) is None
    assert directories.watched == 2


def test_a_descriptor_seen_under_another_path_has_moved_there() -> None:
    directories = tree()
    directories.put("moved", 1)
    assert directories.path_of(1) == "moved"
    assert "a" not in directories
    assert directories.path_of(3) == "a/b/c"
    assert sorted(directories.remove("a")) == [("a/b", 2), ("a/b/c", 3), ("a/polled", None)]
    assert directories.path_of(1) == "moved"


def test_another_descriptor_for_a_path_replaces_the_first() -> None:
    directories = tree()
    directories.put("a", 9)
    assert directories.path_of(1) is None
    assert directories.wd_of("a") == 9
    assert len(directories) == 6


def test_the_longest_unused_is_never_the_root() -> None:
    directories = tree()
    assert directories.longest_unused() == ("a", 1)
    directories.use(1)
    assert directories.longest_unused() == ("a/b", 2)
    alone = Directories()
    alone.put("", 0)
    assert alone.longest_unused() is None
