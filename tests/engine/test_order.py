"""In which order a new tree goes over."""

from __future__ import annotations

from towline.core.change import Change
from towline.core.entry import Directory, Entry, File
from towline.engine.order import LATE_SIZE, ORDERED_SIZE, code_first, large_apart


def new(path: str, size: int = 1) -> Change:
    entry: Entry = Directory({}) if path.endswith("/") else File(bytes(20), size=size)
    return Change(path.rstrip("/"), None, entry)


def paths(changes: list[Change]) -> list[str]:
    return [change.path for change in changes]


def test_code_goes_first_and_what_is_large_last() -> None:
    tree = [
        new("a.bin", ORDERED_SIZE),
        new("data/"),
        new("data/1.csv"),
        new("src/"),
        new("src/m/"),
    ]
    tree += [new("src/m/x.py"), new("src/table.csv"), new("train.ipynb"), new("w.bin", LATE_SIZE)]
    assert paths(code_first(tree)) == [
        *("src", "src/m", "src/m/x.py", "train.ipynb"),
        *("data", "data/1.csv", "src/table.csv", "w.bin"),
        "a.bin",
    ]


def test_a_large_file_is_not_code_whatever_its_name() -> None:
    assert paths(code_first([new("x.ipynb", ORDERED_SIZE), new("y.csv")])) == ["y.csv", "x.ipynb"]


def test_an_order_that_may_matter_stays() -> None:
    removed = Change("b.csv", File(bytes(20), size=1), None)
    changes = [new("a.bin", ORDERED_SIZE), removed, new("c.py")]
    assert code_first(changes) == changes


def test_what_is_there_soon_keeps_its_order() -> None:
    changes = [new("a.bin", LATE_SIZE + 1), new("c.py")]
    assert code_first(changes) == changes


def test_what_is_large_is_set_apart_with_all_that_is_below_it() -> None:
    was_directory = Change("d", Directory({}), File(bytes(20), size=9))
    below = Change("d/x", File(b"x" * 20, size=1), None)
    changes = [new("e/"), new("e/big", 9), new("e/small", 8), below, was_directory, new("f")]
    rest, large = large_apart(changes, 8)
    assert paths(rest) == ["e", "e/small", "f"]
    assert paths(large) == ["e/big", "d/x", "d"]


def test_what_is_only_moved_is_not_large() -> None:
    content = File(b"a" * 20, size=9)
    changes = [Change("old", content, None), Change("new", None, content)]
    assert large_apart(changes, 8) == (changes, [])
    assert large_apart(changes[1:], 8) == ([], changes[1:])
