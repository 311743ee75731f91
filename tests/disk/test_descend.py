"""From a descriptor down to a directory, in one system call and in many: both refuse links."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from towline.disk import descend as module
from towline.disk.descend import DIRECTORY, WALK, descend

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs descriptors of directories")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "root/a/b/c").mkdir(parents=True)
    (tmp_path / "outside/b").mkdir(parents=True)
    (tmp_path / "root/out").symlink_to("../outside")
    (tmp_path / "root/a/again").symlink_to("b")
    (tmp_path / "root/a/file").touch()
    descriptor = os.open(tmp_path / "root", os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture(params=["one call", "a call for each name"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "one call":
        monkeypatch.setattr(module, "_call", None)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("path", ["a", "a/b", "a/b/c"])
@pytest.mark.parametrize("flags", [WALK, os.O_RDONLY | DIRECTORY])
def test_a_directory_is_found(root: int, tmp_path: Path, path: str, flags: int) -> None:
    found = descend(root, path, flags)
    assert os.fstat(found).st_ino == (tmp_path / "root" / path).stat().st_ino
    assert not os.get_inheritable(found)
    os.close(found)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("path", ["out", "out/b", "a/again", "a/again/c"])
def test_no_link_is_followed(root: int, path: str) -> None:
    with pytest.raises(NotADirectoryError):
        os.close(descend(root, path, os.O_RDONLY | DIRECTORY))


@pytest.mark.usefixtures("way")
def test_what_is_missing_or_no_directory_is_told_as_such(root: int) -> None:
    with pytest.raises(FileNotFoundError):
        descend(root, "a/none/c", WALK)
    with pytest.raises(NotADirectoryError):
        descend(root, "a/file/c", WALK)


def test_a_system_without_the_call_walks(root: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> int:
        module.ctypes.set_errno(38)  # ENOSYS
        return -1

    monkeypatch.setattr(module, "_call", missing)
    os.close(descend(root, "a/b", WALK))
    assert module._call is None
