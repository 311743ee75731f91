"""Where the way in keeps its files: another user of the machine can neither read nor offer it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from towline.errors import ExitCode, UserError
from towline.machine.authorized import add_key
from towline.machine.place import ensure_place, write_private
from towline.machine.public_key import public_line
from towline.places import ensure_private

NOBODY = 65534

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be somebody else as well")


def refused(directory: Path) -> str:
    with pytest.raises(UserError) as caught:
        ensure_place(directory)
    assert caught.value.exit_code is ExitCode.REFUSED
    return caught.value.message


@as_root
def test_a_directory_that_somebody_else_has_laid_out_is_refused(tmp_path: Path) -> None:
    (theirs := tmp_path / "machine").mkdir()
    os.chown(theirs, NOBODY, NOBODY)
    assert "is not a directory of yours" in refused(theirs)


def test_a_link_in_its_place_is_refused_wherever_it_leads(tmp_path: Path) -> None:
    (real := tmp_path / "real").mkdir()
    (link := tmp_path / "machine").symlink_to(real)
    assert "is not a directory of yours" in refused(link)


def test_one_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    (directory := tmp_path / "machine").mkdir()
    directory.chmod(0o777)
    assert ensure_place(directory).directory.stat().st_mode & 0o777 == 0o700


def test_what_is_written_is_private_from_its_first_byte_and_a_link_is_not_followed(
    tmp_path: Path,
) -> None:
    before = os.umask(0)
    try:
        (outside := tmp_path / "outside").write_text("theirs")
        (tmp_path / "key").symlink_to(outside)
        write_private(tmp_path / "key", "ours")
    finally:
        os.umask(before)
    assert outside.read_text() == "theirs"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A directory that everybody may enter: pytest's own are private as a whole."""
    base = Path(tempfile.mkdtemp(prefix="tow-"))
    base.chmod(0o755)
    yield base
    shutil.rmtree(base)


def as_nobody(program: str, path: Path) -> str:
    """Return what a program of another user says that is given a path of ours."""
    become = f"import os, socket, sys; os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY});"
    argv = [sys.executable, "-c", f"{become} {program}", str(path)]
    return subprocess.run(argv, capture_output=True, text=True).stderr


@as_root
def test_another_user_reads_nothing_of_it(reachable: Path) -> None:
    place = ensure_place(reachable / "machine")
    add_key(place, public_line(bytes(32)))
    place.authorized_keys.chmod(0o644)  # The directory alone keeps them out, too.
    assert "PermissionError" in as_nobody("open(sys.argv[1])", place.authorized_keys)


@as_root
def test_another_user_is_told_nothing_by_an_engine_of_ours(reachable: Path) -> None:
    """The directory of its socket is private; knowing the name is not enough."""
    path = ensure_private(reachable / "towline") / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()
        knock = "socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
        assert "PermissionError" in as_nobody(knock, path)
