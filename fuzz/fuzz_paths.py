"""Fuzz target: a path from a peer is refused, or names something inside the root and only there.

What passes is tried on a real folder full of links that lead out of it. With atheris:
`python fuzz/fuzz_paths.py`. `test_one_input` alone needs nothing beside towline.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from towline.core.path import (
    NAME_MAX,
    OWN_DIRECTORY,
    BadPathError,
    check_path,
    collisions,
    encode_path,
    is_below,
    join,
    name_of,
    parent_of,
    parents_of,
)
from towline.disk.folder import Folder


def test_one_input(data: bytes) -> None:
    """Raise if a path is let through that is not plain, or that leads out of a folder."""
    for path in _texts(data):
        try:
            assert check_path(path) == path
        except BadPathError:
            continue
        _check_plain(path)
        _check_stays_inside(path)


def _texts(data: bytes) -> Iterator[str]:
    """Yield what path these bytes may be: as a system has names, and as JSON may hold any text."""
    yield data.decode("utf-8", "surrogateescape")
    yield data[: len(data) // 2 * 2].decode("utf-16-le", "surrogatepass")


def _check_plain(path: str) -> None:
    assert path == os.path.normpath(path)
    assert not path.startswith("/")
    assert os.fsdecode(encode_path(path)) == path
    names = path.split("/")
    assert all(name not in ("", ".", "..") and "\0" not in name for name in names)
    assert all(len(encode_path(name)) <= NAME_MAX for name in names)
    assert names[0].lower() != OWN_DIRECTORY
    assert join(parent_of(path), name_of(path)) == path
    assert all(is_below(path, parent) for parent in ("", *parents_of(path)))
    assert len(list(parents_of(path))) == len(names) - 1
    assert all(sorted(group) == group for group in collisions(names))


@functools.cache
def _ground() -> tuple[tempfile.TemporaryDirectory[str], Folder, Path]:
    """Make a folder in which every short name at the top and below `d` is a link that leads out."""
    made = tempfile.TemporaryDirectory(prefix="towline-fuzz-")
    root, outside = Path(made.name, "root"), Path(made.name, "outside")
    (root / "d").mkdir(parents=True)
    outside.mkdir()
    for name in ("a", "b"):
        (root / name).symlink_to(outside)
        (root / "d" / name).symlink_to("../../outside")
    return made, Folder(root), outside


def _check_stays_inside(path: str) -> None:
    """Make a file there, by the same calls that bring a change to its place."""
    _, folder, outside = _ground()
    for leading in ("", "d/", "a/", "d/b/"):
        with suppress(OSError):
            folder.close_file(folder.create(leading + path))
            folder.unlink(leading + path)
    assert not os.listdir(outside), f"{path!r} leads out"


def main() -> None:
    import atheris

    atheris.instrument_all()
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
