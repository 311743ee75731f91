"""A new directory comes whole, in one step, and nothing that stands in its place is lost by it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
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
    replica_of,
)
from towline.core.change import Change, Outcome
from towline.core.entry import DIRECTORY, Directory, File
from towline.disk.folder import STAGE

NEW_FILE, EXECUTABLE = file_of(NEW), file_of(OLD, executable=True)
TREE = [
    Change("pkg", None, DIRECTORY),
    Change("pkg/empty", None, DIRECTORY),
    Change("pkg/run", None, EXECUTABLE),
    Change("pkg/sub", None, DIRECTORY),
    Change("pkg/sub/x.py", None, NEW_FILE),
    Change("pkg/sub/y.py", None, NEW_FILE),
    Change("pkg/void", None, file_of(b"")),
]
CONTENTS = contents_of(NEW, OLD)
FOLDERS = [WatchedFolder, OldKernelFolder]


def paths_in(root: Path) -> set[str]:
    found = (path.relative_to(root) for path in root.rglob("*"))
    return {str(path) for path in found if path.parts[0] != ".towline"}


@pytest.mark.parametrize("folder_type", FOLDERS)
def test_a_new_directory_takes_one_name_for_all_that_is_in_it(
    tmp_path: Path, folder_type: type[WatchedFolder]
) -> None:
    folder = folder_type(tmp_path)
    replica = replica_of(folder)
    seen: list[set[str]] = []
    folder.before_each = lambda: seen.append(paths_in(tmp_path))
    results = replica.apply(TREE, CONTENTS)
    folder.before_each = None
    assert {result.outcome for result in results} == {Outcome.DONE}
    whole = {change.path for change in TREE}
    assert paths_in(tmp_path) == whole
    assert {frozenset(paths) for paths in seen} <= {frozenset(), frozenset(whole)}
    assert (tmp_path / "pkg/run").stat().st_mode & 0o111
    assert not (tmp_path / "pkg/void").stat().st_mode & 0o111
    assert left_in_stage(tmp_path) == []


def test_own_writes_are_known_and_edits_of_them_are_not(tmp_path: Path) -> None:
    folder = WatchedFolder(tmp_path)
    replica = replica_of(folder)
    replica.apply(TREE, CONTENTS)
    folder.calls.clear()
    assert replica.observe([""]) == []
    assert "read" not in folder.calls
    (tmp_path / "pkg/run").write_bytes(EDIT)
    assert [seen.path for seen in replica.observe([""])] == ["pkg/run"]


def make_directory(path: Path) -> None:
    path.mkdir(exist_ok=True)
    (path / "edit").write_bytes(EDIT)


def make_file(path: Path) -> None:
    if path.is_dir():
        make_directory(path)
    else:
        path.write_bytes(EDIT)


@pytest.mark.parametrize("folder_type", FOLDERS)
@pytest.mark.parametrize("edit", [make_directory, make_file])
def test_what_somebody_makes_there_before_any_call_stays(
    tmp_path: Path, edit: Callable[[Path], None], folder_type: type[WatchedFolder]
) -> None:
    for number in itertools.count():
        root = tmp_path / str(number)
        root.mkdir()
        folder = folder_type(root)
        replica = replica_of(folder)
        folder.arm(number, lambda root=root: edit(root / "pkg"))
        results = replica.apply(TREE, CONTENTS)
        was_reached = len(folder.disarm()) > number
        assert left_in_stage(root) == []
        for change, result in zip(TREE, results, strict=True):
            place = root / change.path
            if result.outcome is Outcome.DONE and place != root / "pkg":
                assert place.is_dir() if isinstance(change.new, Directory) else place.is_file()
        folder.close()
        if not was_reached:
            return
        assert EDIT in contents_in(root)


@pytest.mark.parametrize("folder_type", FOLDERS)
def test_a_crash_before_any_call_leaves_all_or_nothing_and_no_rest(
    tmp_path: Path, folder_type: type[WatchedFolder]
) -> None:
    for number in itertools.count():
        root = tmp_path / str(number)
        root.mkdir()
        folder = folder_type(root)
        replica = replica_of(folder)
        folder.arm(number, crash)
        crashed = False
        try:
            replica.apply(TREE, CONTENTS)
        except CrashError:
            crashed = True
        folder.close()
        replica_of(root)
        assert left_in_stage(root) == []
        assert len(paths_in(root)) in (0, len(TREE))
        if not crashed:
            return


def test_a_full_disk_before_any_call_leaves_all_or_nothing(tmp_path: Path) -> None:
    for number in itertools.count():
        root = tmp_path / str(number)
        root.mkdir()
        folder = WatchedFolder(root)
        replica = replica_of(folder)
        folder.arm(number, full_disk)
        results = replica.apply(TREE, CONTENTS)
        was_reached = len(folder.disarm()) > number
        done = {
            change.path
            for change, r in zip(TREE, results, strict=True)
            if r.outcome is Outcome.DONE
        }
        assert paths_in(root) == done, folder.calls
        folder.close()
        replica_of(root)
        assert left_in_stage(root) == []
        if not was_reached:
            return


def test_content_that_is_not_at_hand_or_not_what_it_claims_to_be_is_lacking(
    tmp_path: Path,
) -> None:
    replica = replica_of(tmp_path)
    absent, wrong = file_of(b"absent"), file_of(b"right")
    changes = [
        Change("d", None, DIRECTORY),
        Change("d/absent", None, absent),
        Change("d/good", None, NEW_FILE),
        Change("d/wrong", None, wrong),
    ]
    results = replica.apply(changes, {**CONTENTS, wrong.digest: b"wrong"})
    outcomes = {result.path: result.outcome for result in results}
    assert outcomes == {
        "d": Outcome.DONE,
        "d/absent": Outcome.LACKING,
        "d/good": Outcome.DONE,
        "d/wrong": Outcome.LACKING,
    }
    assert paths_in(tmp_path) == {"d", "d/good"}


def test_a_side_that_must_outlive_a_loss_of_power_makes_each_file_by_itself(
    tmp_path: Path,
) -> None:
    folder = WatchedFolder(tmp_path)
    replica = replica_of(folder, durable=True)
    folder.calls.clear()
    replica.apply(TREE, CONTENTS)
    files = sum(isinstance(change.new, File) for change in TREE)
    assert folder.calls.count("sync_file") == files
    assert {f"{STAGE}/x", *paths_in(tmp_path)} >= {change.path for change in TREE}
