"""What rsync says on the machine, and what becomes of it: offline."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.unprivileged import without_root
from towline.agent.courier import Call, Courier, CourierError

NOT_ALL = "rsync error: some files/attrs were not transferred (see previous errors) (code 23)"
NOT_TAKEN = (
    'rsync: [generator] recv_generator: mkdir "/keep/outputs" failed: Read-only file system (30)',
    'rsync: recv_generator: mkdir "/keep/outputs" failed: Permission denied (13)',
    'rsync: [receiver] mkstemp "/keep/.a.BTah4P" failed: Disk quota exceeded (122)',
    'rsync: mkstemp "/keep/.a.BTah4P" failed: No space left on device (28)',
    'rsync: [generator] symlink "/keep/l" -> "a" failed: Permission denied (13)',
    'rsync: [receiver] rename "/keep/.a.BTah4P" -> "a": Operation not permitted (1)',
    "could not make way for new regular file: a",
    "ERROR: a failed verification -- update discarded.",
)
USUAL = (
    'rsync: [sender] send_files failed to open "/proj/a": Permission denied (13)',
    'rsync: send_files failed to open "/proj/a": Permission denied (13)',
    'rsync: [sender] opendir "/proj/b" failed: Permission denied (13)',
    'rsync: link_stat "/proj/c" failed: No such file or directory (2)',
    'rsync: readlink_stat("/proj/c") failed: Permission denied (13)',
    'rsync: [generator] failed to set permissions on "/keep/.": Operation not permitted (1)',
    'rsync: failed to set times on "/keep/.a": Operation not permitted (1)',
    'file has vanished: "/proj/d"',
)
SSH = '#!/bin/sh\nshift 3; exec "$@"\n'  # ssh -F CONFIG HOST rsync …


@pytest.fixture
def programs(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs before all others."""
    folder = short_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def courier(root: Path, folder: str = "keep") -> Courier:
    call = Call(str(root), "server", 22, "me", (), folder)
    return Courier(call, "config", dict(os.environ))


def put(program: Path, text: str) -> None:
    program.write_text(text)
    program.chmod(0o755)


def says(program: Path, line: str) -> None:
    """Have rsync say that, and end as it does then."""
    said = f"{line}\n{NOT_ALL}\n"
    put(program, f"#!{sys.executable}\nimport sys\nsys.stderr.write({said!r})\nsys.exit(23)\n")


@pytest.mark.parametrize("line", NOT_TAKEN)
def test_what_who_receives_did_not_take_was_not_carried(
    short_path: Path, programs: Path, line: str
) -> None:
    says(programs / "rsync", line)
    with pytest.raises(CourierError, match=r"failed|rename|make way"):
        courier(short_path).send(["a"], keeping=False)
    with pytest.raises(CourierError, match=r"failed|rename|make way"):
        list(courier(short_path).fetch())


@pytest.mark.parametrize("line", USUAL)
def test_what_cannot_be_read_holds_up_nothing_else(
    short_path: Path, programs: Path, line: str
) -> None:
    says(programs / "rsync", line)
    courier(short_path).send(["a"], keeping=False)
    assert list(courier(short_path).fetch()) == []


@pytest.mark.skipif(shutil.which("rsync") is None, reason="needs rsync")
def test_the_rsync_that_is_here_says_which_of_both_it_was(short_path: Path, programs: Path) -> None:
    put(programs / "ssh", SSH)
    there = short_path / "there"
    with without_root(short_path):
        for name in ("a", "hidden"):
            (short_path / name).write_text(name)
        (short_path / "hidden").chmod(0)
        there.mkdir()
        carrier = courier(short_path, str(there))
        carrier.send(["a", "hidden", "gone"], keeping=False)
        assert [path.name for path in there.iterdir()] == ["a"]
        (there / "a").unlink()
        there.chmod(0o555)
        with pytest.raises(CourierError, match="mkstemp"):
            carrier.send(["a"], keeping=False)
        there.chmod(0o755)
