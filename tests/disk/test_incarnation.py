"""One life of a root, told from every other."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from towline.disk.folder import Folder
from towline.disk.incarnation import RootState, read_or_create, root_state


def test_a_life_is_begun_once(tmp_path: Path) -> None:
    first, second = read_or_create(Folder(tmp_path)), read_or_create(Folder(tmp_path))
    assert first.new
    assert not second.new
    assert first.id == second.id
    assert len(first.id) == 32


def test_an_emptied_root_is_a_new_life(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    first = read_or_create(folder)
    shutil.rmtree(tmp_path / ".towline")
    second = read_or_create(folder)
    assert second.new
    assert second.id != first.id


def test_a_copy_is_a_new_life(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    first = read_or_create(Folder(tmp_path / "root"))
    shutil.copytree(tmp_path / "root", tmp_path / "copy")
    assert read_or_create(Folder(tmp_path / "copy")).new
    assert read_or_create(Folder(tmp_path / "root")).id == first.id


def test_a_copied_volume_is_a_new_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The roots of two file systems of a kind have the same inode."""
    (tmp_path / "root").mkdir()
    volume = Folder(tmp_path / "root")
    first = read_or_create(volume)
    shutil.copytree(tmp_path / "root", tmp_path / "copy")
    copy, status = Folder(tmp_path / "copy"), volume.fstat_root()
    monkeypatch.setattr(copy, "fstat_root", lambda: status)
    assert read_or_create(copy).id == first.id  # As things stand in one file system.
    plain = os.fstatvfs
    monkeypatch.setattr(
        os, "fstatvfs", lambda descriptor: SimpleNamespace(f_fsid=plain(descriptor).f_fsid + 1)
    )
    assert read_or_create(copy).new


@pytest.mark.parametrize("damage", [b"", b"x" * 32, b"0" * 200])
def test_a_damaged_id_is_a_new_life(tmp_path: Path, damage: bytes) -> None:
    read_or_create(Folder(tmp_path))
    (tmp_path / ".towline" / "incarnation").write_bytes(damage)
    assert read_or_create(Folder(tmp_path)).new


def test_of_two_at_once_one_begins_and_the_other_reads(tmp_path: Path) -> None:
    class Slow(Folder):
        def place(self, source: str, target: str) -> None:
            self.other = read_or_create(Folder(tmp_path))
            super().place(source, target)

    slow = Slow(tmp_path)
    found = read_or_create(slow)
    assert slow.other.new
    assert not found.new
    assert found.id == slow.other.id


def test_the_root_is_present_missing_or_replaced(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    folder = Folder(root)
    assert root_state(folder) is RootState.PRESENT
    root.rename(tmp_path / "elsewhere")
    assert root_state(folder) is RootState.MISSING
    root.write_bytes(b"")
    assert root_state(folder) is RootState.MISSING
    root.unlink()
    root.mkdir()
    assert root_state(folder) is RootState.REPLACED
