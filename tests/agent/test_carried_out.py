"""What was carried out counts until something else was seen in its place."""

from __future__ import annotations

import pytest

from towline.agent.carried_out import CHANGES_MAX, CarriedOut
from towline.core.change import Change, Outcome, Result
from towline.core.digest import digest_of
from towline.core.entry import DIRECTORY, Directory, Entry, File
from towline.core.tree import Tree
from towline.disk.observation import Observation

A, B = (File(digest_of(content), size=len(content)) for content in (b"a", b"bb"))
ALL = Tree(Directory({"d": Directory({"x": A}), "y": A}))


def done(*changes: Change) -> CarriedOut:
    carried_out = CarriedOut()
    for change in changes:
        carried_out.note([change], [Result(change.path, Outcome.DONE)])
    return carried_out


@pytest.fixture
def written() -> CarriedOut:
    return done(Change("d", None, DIRECTORY), Change("d/x", None, A), Change("y", B, A))


def test_what_stands_is_told(written: CarriedOut) -> None:
    assert written.rows(ALL) == (("d", DIRECTORY), ("d/x", A), ("y", A))


def test_what_was_not_done_is_not_told(written: CarriedOut) -> None:
    written.note([Change("y", A, B)], [Result("y", Outcome.REFUSED)])
    assert written.rows(ALL) == (("d", DIRECTORY), ("d/x", A))


@pytest.mark.parametrize(
    ("seen", "left"),
    [
        ([("y", B), ("y", A)], ["d", "d/x"]),
        ([("y", None), ("y", A)], ["d", "d/x"]),
        ([("d", None), ("d", Directory({"x": A}))], ["y"]),
        ([("d", A), ("d", Directory({"x": A}))], ["y"]),
        ([("d", Directory({"x": B})), ("d/x", A)], ["d", "y"]),
        ([("", None), ("", ALL.root)], []),
        ([("y", A), ("d/new", A)], ["d", "d/x", "y"]),
    ],
)
def test_what_is_there_again_is_somebody_elses(
    written: CarriedOut, seen: list[tuple[str, Entry | None]], left: list[str]
) -> None:
    for path, entry in seen:
        written.note_seen([Observation(path, entry)])
    assert [path for path, _ in written.rows(ALL)] == left


def test_also_if_it_was_seen_at_once(written: CarriedOut) -> None:
    written.note_seen([Observation("y", None), Observation("y", A)])
    assert [path for path, _ in written.rows(ALL)] == ["d", "d/x"]


def test_also_if_a_scan_saw_it(written: CarriedOut) -> None:
    assert written.rows(Tree(Directory({"y": A}))) == (("y", A),)
    assert written.rows(ALL) == (("y", A),)


def test_what_was_in_a_directory_that_is_deleted_does_not_come_back_with_it(
    written: CarriedOut,
) -> None:
    written.note([Change("d", Directory({"x": A}), None)], [Result("d", Outcome.DONE)])
    written.note_seen([Observation("d", Directory({"x": A}))])
    assert written.rows(ALL) == (("y", A),)


@pytest.mark.parametrize("by", ["laptop", "somebody"])
def test_a_deletion_is_over_once_something_is_in_its_place(by: str) -> None:
    deleted = done(Change("d", Directory({"x": A}), None))
    if by == "laptop":
        deleted.note([Change("d/x", None, A)], [Result("d/x", Outcome.DONE)])
    else:
        deleted.note_seen([Observation("d/x", A)])
    assert ("d", None) not in deleted.rows(Tree(Directory({})))


def test_only_the_latest_are_kept() -> None:
    many = done(*(Change(f"{number}", None, A) for number in range(CHANGES_MAX + 1)))
    rows = many.rows(Tree(Directory({f"{number}": A for number in range(CHANGES_MAX + 1)})))
    assert len(rows) == CHANGES_MAX
    assert rows[0][0] == "1"
