"""A real restic and real repositories, for the tests of snapshots."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from towline.core.ignore import Rules
from towline.disk.extent import exclude_lines
from towline.snapshots import restic
from towline.snapshots.location import parse_location
from towline.snapshots.repository import Repository, Settings

NEEDS_RESTIC = pytest.mark.skipif(
    shutil.which(os.environ.get("TOWLINE_RESTIC") or "restic") is None, reason="restic: not here"
)
KEY = "not much of a secret"


def settings_for(place: Path | str, **more: object) -> Settings:
    location = parse_location(str(place))
    return Settings(location, "env:TEST_KEY", "proj", **more)  # type: ignore[arg-type]


async def repository_at(place: Path | str, **more: object) -> Repository:
    """Return a repository, not made yet; its key is in the environment."""
    program = restic.program()
    return Repository(settings_for(place, **more), program, await restic.version(program))


def nothing_left_out(folder: Path) -> list[str]:
    return exclude_lines(folder, Rules([]))


def everything_in(root: Path, leave_out: tuple[str, ...] = (".towline",)) -> Mapping[str, object]:
    """Return what a folder holds, bit by bit: kind, mode, mtime, content or the text of a link."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if name.split("/")[0] in leave_out:
            continue
        status = path.lstat()
        mode, mtime = stat.filemode(status.st_mode), status.st_mtime_ns
        if path.is_symlink():
            found[name] = (mode[0], mtime, os.readlink(path))
        else:
            found[name] = (mode, mtime, path.read_bytes() if path.is_file() else None)
    return found


def furnish(root: Path) -> None:
    """Fill a folder with what a project may hold, in every mode and with times of its own."""
    files = {
        "train.py": (b"print('a')\n", 0o644),
        "run.sh": (b"#!/bin/sh\n", 0o755),
        "secret": (b"s", 0o600),
        "empty": (b"", 0o444),
        "data/we [i]r*d? \\ name$HOME": (b"x", 0o640),
        "data/ leading and trailing ": (b"y", 0o644),
        "data/ünïcode": ("é".encode(), 0o644),
        "deep/er/and/deeper/f": (os.urandom(70_000), 0o644),
    }
    for number, (name, (content, mode)) in enumerate(files.items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        os.utime(path, ns=(0, 1_600_000_000_123_456_789 + number))
    (root / "void").mkdir()
    (root / "link").symlink_to("train.py")
    (root / "data/up").symlink_to("../deep/er")
    for directory in ("deep/er/and/deeper", "deep/er/and", "deep/er", "deep", "data", "void"):
        os.utime(root / directory, ns=(0, 1_500_000_000_987_654_321))
