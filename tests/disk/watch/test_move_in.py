"""A directory of our own making gets its place: only what others do there is told, all of it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disk.watch.test_watch import Watched
from towline.disk.watch.base import NOTHING

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")

STAGED = ".towline/stage/graft-1"


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    (tmp_path / "above").mkdir()
    watched = Watched(tmp_path)
    yield watched
    watched.watch.close()


def stage(watched: Watched) -> None:
    watched.make(f"{STAGED}/sub/file")
    watched.drain()


def move_in(watched: Watched, path: str) -> None:
    def move() -> None:
        if (watched.root / path).exists():
            raise FileExistsError(path)
        (watched.root / STAGED).rename(watched.root / path)

    watched.watch.move_in({STAGED: path, f"{STAGED}/sub": f"{path}/sub"}, move)


def paths_told(watched: Watched) -> set[str]:
    seen = watched.drain()
    return {*seen.paths, *seen.writing}


@pytest.mark.parametrize("path", ["new", "above/new"])
def test_that_it_came_is_not_told(watched: Watched, path: str) -> None:
    stage(watched)
    move_in(watched, path)
    assert paths_told(watched) == set()
    assert watched.watch.read() is NOTHING


@pytest.mark.parametrize("path", ["new", "above/new"])
def test_what_is_done_in_it_at_once_is_told(watched: Watched, path: str) -> None:
    stage(watched)
    move_in(watched, path)
    watched.make(f"{path}/sub/file", "an edit")
    watched.make(f"{path}/more")
    assert paths_told(watched) == {f"{path}/sub/file", f"{path}/more"}


def test_that_it_is_moved_away_is_told_and_what_is_done_there(watched: Watched) -> None:
    stage(watched)
    move_in(watched, "new")
    (watched.root / "new").rename(watched.root / "above/other")
    watched.make("above/other/sub/file", "an edit")
    assert {"new", "above/other"} <= paths_told(watched)
    watched.make("above/other/sub/file", "another")
    assert paths_told(watched) == {"above/other/sub/file"}


def test_another_in_its_place_is_told_and_watched(watched: Watched) -> None:
    stage(watched)
    move_in(watched, "new")
    shutil.rmtree(watched.root / "new")
    watched.make("above/mine/sub/file")
    (watched.root / "above/mine").rename(watched.root / "new")
    assert "new" in paths_told(watched)
    watched.make("new/sub/file", "an edit")
    assert paths_told(watched) == {"new/sub/file"}


def test_one_that_was_there_before_is_told(watched: Watched) -> None:
    stage(watched)
    watched.make("above/mine/file")
    (watched.root / "above/mine").rename(watched.root / "new")
    (watched.root / "new").rename(watched.root / "above/mine")
    move_in(watched, "new")
    assert {"new", "above/mine"} <= paths_told(watched)
    watched.make("new/sub/file", "an edit")
    assert paths_told(watched) == {"new/sub/file"}


def test_if_it_cannot_be_what_stands_there_is_watched_as_before(watched: Watched) -> None:
    stage(watched)
    watched.make("new/sub/file")
    watched.drain()
    with pytest.raises(FileExistsError):
        move_in(watched, "new")
    watched.make(f"{STAGED}/sub/file", "nobody's edit")
    assert paths_told(watched) == set()
    watched.make("new/sub/file", "an edit")
    assert paths_told(watched) == {"new/sub/file"}


def test_that_the_directory_above_is_renamed_is_told_and_what_is_done_there(
    watched: Watched,
) -> None:
    stage(watched)
    move_in(watched, "above/new")
    (watched.root / "above").rename(watched.root / "beside")
    assert {"above", "beside"} <= paths_told(watched)
    watched.make("beside/new/sub/file", "an edit")
    assert paths_told(watched) == {"beside/new/sub/file"}


def test_after_all_was_watched_anew_nothing_is_taken_for_it(watched: Watched) -> None:
    stage(watched)
    move_in(watched, "new")
    watched.watch.rewatch()
    (watched.root / "new").rename(watched.root / "above/new")
    (watched.root / "above/new").rename(watched.root / "new")
    assert "new" in paths_told(watched)
    watched.make("new/sub/file", "an edit")
    assert paths_told(watched) == {"new/sub/file"}


def test_without_watches_for_all_of_it_it_is_told_as_any(tmp_path: Path) -> None:
    (tmp_path / "above").mkdir()
    watched = Watched(tmp_path, limit=4)  # Cookies', the root's, one above, and one more.
    stage(watched)
    move_in(watched, "new")
    assert "new" in paths_told(watched)
    watched.make("new/file", "an edit")
    seen = watched.poll()
    assert "new/file" in {*paths_told(watched), *seen.paths, *seen.writing}
    watched.watch.close()
