"""One read tells what is queued, however fast others write meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from towline.disk.watch.inotify import CREATE, MOVED_FROM, MOVED_TO, Event, Inotify

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")

READ_MAX = 1 << 20


class Beside(Inotify):
    """Somebody does the next thing each time that records have been read."""

    def __init__(self) -> None:
        super().__init__()
        self.doings: list[Path] = []

    def _parse(self, records: bytes, events: list[Event]) -> None:
        super()._parse(records, events)
        if self.doings:
            self.doings.pop(0).touch()


@pytest.fixture
def inotify() -> Iterator[Beside]:
    with closing(Beside()) as opened:
        yield opened


def names(events: list[Event]) -> list[str]:
    return [event.name for event in events]


def test_what_comes_while_it_is_read_is_left_for_the_next_time(
    inotify: Beside, tmp_path: Path
) -> None:
    inotify.add(str(tmp_path), CREATE)
    inotify.doings = [tmp_path / "b", tmp_path / "c"]
    (tmp_path / "a").touch()
    assert names(inotify.read(READ_MAX)) == ["a"]
    assert names(inotify.read(READ_MAX)) == ["b"]
    assert names(inotify.read(READ_MAX)) == ["c"]
    assert inotify.read(READ_MAX) == []


def test_more_than_one_read_takes_is_read(inotify: Beside, tmp_path: Path) -> None:
    inotify.add(str(tmp_path), CREATE)
    written = [f"{number:04}{'x' * 200}" for number in range(1000)]
    for name in written:
        (tmp_path / name).touch()
    assert names(inotify.read(READ_MAX)) == written


def test_the_second_half_of_a_rename_is_waited_for(inotify: Beside, tmp_path: Path) -> None:
    """Half a rename ends a read only if nothing follows: out of what is watched."""
    near, far = tmp_path / "near", tmp_path / "far"
    near.mkdir()
    far.mkdir()
    (near / "a").touch()
    inotify.add(str(near), CREATE | MOVED_FROM | MOVED_TO)
    inotify.doings = [near / "b"]
    (near / "a").rename(far / "a")
    assert names(inotify.read(READ_MAX)) == ["a", "b"]
