"""When the lock file is written, and when it is left: nothing listed is dropped by mistake."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.environment.test_lock import FULL, NOTHING
from towline.environment import keep as keep_module
from towline.environment.file import LockFile
from towline.environment.keep import MISSING, THEIRS, keep, take_down
from towline.environment.lock import from_machine, to_text


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LockFile:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "project").mkdir()
    return LockFile(tmp_path / "project")


def told(lock: dict[str, Any], holds: bool) -> dict[str, Any]:
    return {**lock, "holds": holds}


def test_nothing_is_written_of_nothing(file: LockFile) -> None:
    assert take_down(told(NOTHING, False), file) == ("", True)
    assert not file.path.exists()


def test_the_first_installation_makes_the_file(file: LockFile) -> None:
    note, is_held = take_down(told(FULL, True), file)
    assert is_held
    assert "6 packages" in note
    assert file.lock() == FULL
    assert file.is_ours()


def test_an_empty_machine_does_not_empty_the_list(file: LockFile) -> None:
    file.write(FULL)
    assert take_down(told(NOTHING, False), file) == (MISSING, False)
    assert file.lock() == FULL


def test_what_was_removed_on_a_machine_that_had_it_is_removed(file: LockFile) -> None:
    file.write(FULL)
    assert take_down(told(NOTHING, True), file)[1]
    assert file.lock() == NOTHING


def test_a_file_that_a_person_changed_is_theirs(file: LockFile) -> None:
    file.write(FULL)
    file.path.write_text(to_text(NOTHING))
    assert take_down(told(FULL, True), file) == (THEIRS, False)
    assert file.lock() == NOTHING
    file.write(FULL)
    assert file.is_ours()


def test_a_machine_that_has_it_all_is_known_to_hold_it(file: LockFile) -> None:
    file.path.write_text(to_text(FULL))
    assert take_down(told(FULL, False), file) == ("", True)


def test_the_machine_is_told_once_that_its_list_is_written_down(
    file: LockFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = [told(FULL, False), told({**FULL, "apt": ["tree"]}, True), told(NOTHING, True)]
    held: list[Any] = []

    def hold(_asked: Any, captured: Any) -> None:
        assert file.lock() == {key: captured[key] for key in FULL}, "it is written by then"
        held.append(captured)

    monkeypatch.setattr(keep_module, "watch", lambda _asked: iter(looks))
    monkeypatch.setattr(keep_module, "hold", hold)
    notes: list[str] = []
    keep(None, file, notes.append)  # type: ignore[arg-type]  # Nobody is asked.
    assert held == looks[:1]
    assert len(notes) == 3
    assert file.lock() == NOTHING


def test_what_is_no_text_on_the_machine_does_not_end_the_engine(file: LockFile) -> None:
    variables = {"GREETING": os.fsdecode(b"caf\xe9"), "CACHE": "/data"}
    editable = {"ours": os.fsdecode(b"/srv/d\xe9p\xf4t")}
    told = {**NOTHING, "variables": variables, "editable": editable, "holds": True}
    take_down(from_machine(told), file)
    lock = file.lock()
    assert lock is not None
    assert (lock["variables"], lock["editable"]) == ({"CACHE": "/data"}, {})
