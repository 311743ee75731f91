"""Somebody edits between any two system calls of an apply, or it dies there: nothing is lost."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.disk.world import (
    EDIT,
    NEW,
    OLD,
    CrashError,
    OldKernelFolder,
    WatchedFolder,
    contents_in,
    contents_of,
    crash,
    file_of,
    full_disk,
    left_in_stage,
    let_time_pass,
    replica_of,
)
from towline.core.change import Change, Outcome
from towline.core.entry import DIRECTORY, Symlink

OLD_FILE, NEW_FILE = file_of(OLD), file_of(NEW)
PATH = "pkg/x.py"

CHANGES = {
    "replace": Change(PATH, OLD_FILE, NEW_FILE),
    "delete": Change(PATH, OLD_FILE, None),
    "to a link": Change(PATH, OLD_FILE, Symlink("y")),
    "to a directory": Change(PATH, OLD_FILE, DIRECTORY),
    "keep both": Change(PATH, None, NEW_FILE, keep="pkg/x.conflict.py"),
    "make executable": Change(PATH, OLD_FILE, file_of(OLD, executable=True)),
}


def write_in_place(path: Path) -> None:
    path.write_bytes(EDIT)


def replace(path: Path) -> None:
    beside = path.with_name("x.tmp")
    beside.write_bytes(EDIT)
    beside.replace(path)


def write_again(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(EDIT)


def turn_into_directory(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()
    (path / "inside").write_bytes(EDIT)


EDITS = [write_in_place, replace, write_again, turn_into_directory]
FOLDERS = [WatchedFolder, OldKernelFolder]


def roots(tmp_path: Path) -> Iterator[Path]:
    """Yield fresh roots that hold OLD at PATH."""
    for number in itertools.count():
        root = tmp_path / str(number)
        (root / "pkg").mkdir(parents=True)
        (root / PATH).write_bytes(OLD)
        yield root


def every_call(
    tmp_path: Path,
    folder_type: type[WatchedFolder],
    change: Change,
    before: Callable[[Path], None],
    check: Callable[[Path, list[str]], None],
) -> None:
    """Apply the change once for each of its system calls, with `before` just before that call."""
    for number, root in enumerate(roots(tmp_path)):
        folder = folder_type(root)
        replica = replica_of(folder)
        folder.arm(number, lambda root=root: before(root / PATH))
        results = []
        try:
            results = replica.apply([change], contents_of(NEW))
        except CrashError:
            folder.calls.append("crashed")
        calls = folder.disarm()
        was_reached = len(calls) > number
        if was_reached:
            let_time_pass(replica)
            check(root, calls)
        folder.close()
        if not was_reached:
            assert [result.outcome for result in results] == [Outcome.DONE]
            return


@pytest.mark.parametrize("folder_type", FOLDERS)
@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_edit_before_any_call_survives(
    tmp_path: Path,
    change: Change,
    edit: Callable[[Path], None],
    folder_type: type[WatchedFolder],
) -> None:
    def edit_if_it_is_a_file(path: Path) -> None:
        if path.is_symlink() or not path.is_dir():  # An editor's file became a link: it follows.
            edit(path)
        else:
            (path / "inside").write_bytes(EDIT)

    def check(root: Path, calls: list[str]) -> None:
        assert EDIT in contents_in(root), calls
        assert left_in_stage(root) == [], calls

    every_call(tmp_path, folder_type, change, edit_if_it_is_a_file, check)


@pytest.mark.parametrize("folder_type", FOLDERS)
@pytest.mark.parametrize("change", [CHANGES["replace"], CHANGES["delete"], CHANGES["to a link"]])
def test_what_is_written_later_through_an_open_file_survives(
    tmp_path: Path, change: Change, folder_type: type[WatchedFolder]
) -> None:
    for number, root in enumerate(roots(tmp_path)):
        folder = folder_type(root)
        replica = replica_of(folder)
        opened: list[int] = []

        def open_it(path: Path, opened: list[int] = opened) -> None:
            if path.exists():
                opened.append(os.open(path, os.O_WRONLY))

        folder.arm(number, lambda root=root, open_it=open_it: open_it(root / PATH))
        (result,) = replica.apply([change], contents_of(NEW))
        assert opened or result.outcome is Outcome.DONE
        calls = folder.disarm()
        was_reached = len(calls) > number
        replica.review(0, at_once=True)
        for descriptor in opened:
            os.write(descriptor, EDIT)
            os.close(descriptor)
        let_time_pass(replica)
        if opened:
            assert any(content.startswith(EDIT) for content in contents_in(root)), number
        assert left_in_stage(root) == [], calls
        folder.close()
        if not was_reached:
            return


@pytest.mark.parametrize("folder_type", FOLDERS)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_crash_before_any_call_leaves_old_or_new_whole(
    tmp_path: Path, change: Change, folder_type: type[WatchedFolder]
) -> None:
    def check(root: Path, calls: list[str]) -> None:
        restarted = replica_of(root)
        assert left_in_stage(root) == [], calls
        found = contents_in(root)
        assert set(found) <= {OLD, NEW}
        if change.new is None or isinstance(change.new, Symlink) or change.new == DIRECTORY:
            return
        assert found, "the path is absent, which would spread as a deletion"
        assert let_time_pass(restarted) == []

    every_call(tmp_path, folder_type, change, lambda _: crash(), check)


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize(
    "change", [CHANGES["replace"], CHANGES["delete"]], ids=["replace", "delete"]
)
def test_an_edit_and_then_a_crash_lose_nothing(
    tmp_path: Path, change: Change, edit: Callable[[Path], None]
) -> None:
    """The edit comes in just before the swap, the crash at any call after it."""
    swap = "exchange" if change.new else "place"
    for number, root in enumerate(roots(tmp_path)):
        folder = WatchedFolder(root)
        replica = replica_of(folder)
        swapped: list[int] = []

        def before(number: int, folder: WatchedFolder, root: Path, swapped: list[int]) -> None:
            if folder.calls[-1] == swap and not swapped:
                edit(root / PATH)
                swapped.append(len(folder.calls))
            elif swapped and len(folder.calls) == swapped[0] + number:
                crash()

        folder.before_each = lambda n=number, f=folder, r=root, s=swapped: before(n, f, r, s)
        crashed = False
        try:
            replica.apply([change], contents_of(NEW))
        except CrashError:
            crashed = True
        folder.before_each = None
        folder.close()
        assert swapped
        replica_of(root)
        assert EDIT in contents_in(root)
        assert left_in_stage(root) == []
        if not crashed and number:
            return


def test_an_edit_left_by_a_crash_that_cannot_be_read_at_first_is_found_by_a_review(
    tmp_path: Path,
) -> None:
    root = next(roots(tmp_path))
    folder = WatchedFolder(root)
    replica = replica_of(folder)

    def edit_and_crash() -> None:
        if folder.calls[-1] == "exchange":
            write_in_place(root / PATH)
        elif "exchange" in folder.calls:
            crash()

    folder.before_each = edit_and_crash
    with pytest.raises(CrashError):
        replica.apply([CHANGES["replace"]], contents_of(NEW))
    assert EDIT not in contents_in(root)
    (left,) = left_in_stage(root)

    folder = WatchedFolder(root)
    folder.before_each = lambda: full_disk() if folder.calls[-1] == "open" else None
    replica = replica_of(folder)
    for _ in range(3):
        replica.scan()
    assert left_in_stage(root) == [left]
    assert len(replica._displaced._retired) == 1  # However often it was come upon.
    folder.before_each = None
    assert replica.has_retired
    (kept,) = let_time_pass(replica)
    assert (root / kept.copy).read_bytes() == EDIT
    assert left_in_stage(root) == []


@pytest.mark.parametrize("folder_type", FOLDERS)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_full_disk_at_any_call_leaves_old_whole_and_no_half_file(
    tmp_path: Path, change: Change, folder_type: type[WatchedFolder]
) -> None:
    def check(root: Path, calls: list[str]) -> None:
        found = contents_in(root)
        assert set(found) <= {OLD, NEW}
        assert OLD in found or change.new is None or os.path.lexists(root / PATH)
        assert left_in_stage(root) == [], calls

    every_call(tmp_path, folder_type, change, lambda _: full_disk(), check)


def test_a_full_disk_while_staging_fails_the_group_with_nothing_changed(tmp_path: Path) -> None:
    root = next(roots(tmp_path))
    folder = WatchedFolder(root)
    replica = replica_of(folder)
    changes = [
        Change("a", None, DIRECTORY),
        Change(PATH, OLD_FILE, NEW_FILE),
        Change("b", None, file_of(EDIT)),
    ]
    folder.fail_from["write"] = 1
    results = replica.apply(changes, contents_of(NEW, EDIT))
    assert {result.outcome for result in results} == {Outcome.FAILED}
    assert {str(result.problem and result.problem.kind.name) for result in results} == {"DISK_FULL"}
    assert contents_in(root) == [OLD]
    assert not (root / "a").exists()
    assert left_in_stage(root) == []


SECOND_EDIT = b"and once more\n"


@pytest.mark.parametrize("change", [CHANGES["replace"], CHANGES["to a link"]], ids=["file", "link"])
@pytest.mark.parametrize("edit", [write_in_place, replace, write_again])
def test_two_edits_during_one_apply_both_survive(
    tmp_path: Path, edit: Callable[[Path], None], change: Change
) -> None:
    """One comes in just before the swap, the other at any call after it, into what is then there.

    Until the first is back at its path, nobody has seen it; the second cannot replace it.
    """
    for number, root in enumerate(roots(tmp_path), start=1):
        folder = WatchedFolder(root)
        replica = replica_of(folder)
        at: dict[str, int] = {}

        def before(number: int, folder: WatchedFolder, root: Path, at: dict[str, int]) -> None:
            if folder.calls[-1] == "exchange":
                at.setdefault("first" if "first" not in at else "back", len(folder.calls))
                if len(folder.calls) == at["first"]:
                    edit(root / PATH)
            is_due = "first" in at and len(folder.calls) == at["first"] + number
            if is_due and at.get("back", len(folder.calls)) == len(folder.calls):
                at["second"] = len(folder.calls)
                (root / PATH).unlink()
                (root / PATH).write_bytes(SECOND_EDIT)

        folder.before_each = lambda n=number, f=folder, r=root, s=at: before(n, f, r, s)
        replica.apply([change], contents_of(NEW))
        folder.before_each = None
        let_time_pass(replica)
        folder.close()
        assert EDIT in contents_in(root)
        assert left_in_stage(root) == []
        if "second" not in at:
            assert number > 3
            return
        assert SECOND_EDIT in contents_in(root)
