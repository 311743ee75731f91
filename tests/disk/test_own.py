from __future__ import annotations

import stat
from pathlib import Path

import pytest

from towline.disk.own import ensure_own_directory


def test_it_is_private_and_invisible_to_git(tmp_path: Path) -> None:
    own = ensure_own_directory(tmp_path)
    assert own == tmp_path / ".towline"
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert (own / ".gitignore").read_text() == "*\n"


def test_what_is_there_stays(tmp_path: Path) -> None:
    (ensure_own_directory(tmp_path) / ".gitignore").write_text("mine\n")
    assert (ensure_own_directory(tmp_path) / ".gitignore").read_text() == "mine\n"


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root/.towline").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotADirectoryError):
        ensure_own_directory(tmp_path / "root")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_root_that_is_gone_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ensure_own_directory(tmp_path / "gone")
