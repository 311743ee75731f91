"""watchdog's notices, translated. Given by hand, so that no other system is needed to test them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from towline.disk.watch import observer as module
from towline.disk.watch.observer import COOKIE_SETTLE_S, ObserverWatch


@dataclass
class Event:
    """One of watchdog's, as far as it is looked at."""

    event_type: str
    src_path: str
    dest_path: str = ""
    is_directory: bool = False


class Observer:
    """watchdog's, silent."""

    def schedule(self, watch: ObserverWatch, path: str, recursive: bool) -> None:
        assert recursive

    def start(self) -> None:
        pass

    def is_alive(self) -> bool:
        return False


class Time:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def watch(tmp_path: Path, time: Time, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObserverWatch]:
    observers = ModuleType("watchdog.observers")
    observers.Observer = Observer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "watchdog", ModuleType("watchdog"))
    monkeypatch.setitem(sys.modules, "watchdog.observers", observers)
    with ObserverWatch(tmp_path, {"skipped"}.__contains__, now=time) as watch:
        watch.start()
        yield watch


def test_changes_are_told_by_relative_paths(watch: ObserverWatch, tmp_path: Path) -> None:
    watch.dispatch(Event("modified", f"{tmp_path}/a/b.py"))
    watch.dispatch(Event("moved", f"{tmp_path}/old", f"{tmp_path}/new"))
    assert watch.read().paths == {"a/b.py", "old", "new"}


def test_what_changes_nothing_or_is_left_out_is_not_told(
    watch: ObserverWatch, tmp_path: Path
) -> None:
    watch.dispatch(Event("opened", f"{tmp_path}/a"))
    watch.dispatch(Event("closed_no_write", f"{tmp_path}/a"))
    watch.dispatch(Event("modified", f"{tmp_path}/directory", is_directory=True))
    watch.dispatch(Event("created", f"{tmp_path}/skipped/deep/a"))
    watch.dispatch(Event("created", f"{tmp_path}/.towline/stage/a"))
    watch.dispatch(Event("created", f"{tmp_path}/.git/HEAD"))
    assert watch.read().paths == set()


def test_a_directory_that_came_is_told_whole(watch: ObserverWatch, tmp_path: Path) -> None:
    (tmp_path / "tree/deep").mkdir(parents=True)
    (tmp_path / "tree/deep/a").touch()
    watch.dispatch(Event("created", f"{tmp_path}/tree", is_directory=True))
    assert watch.read().paths == {"tree", "tree/deep", "tree/deep/a"}


def test_a_cookie_is_told_after_a_moment_for_what_is_late(
    watch: ObserverWatch, tmp_path: Path, time: Time
) -> None:
    cookie = watch.place_cookie()
    watch.dispatch(Event("created", f"{tmp_path}/.towline/cookies/{cookie}"))
    assert watch.read().cookies == set()
    assert watch.deadline() == time.now + COOKIE_SETTLE_S
    watch.dispatch(Event("modified", f"{tmp_path}/late"))
    time.now += COOKIE_SETTLE_S
    seen = watch.read()
    assert seen.cookies == {cookie}
    assert seen.paths == {"late"}
    assert list((tmp_path / ".towline/cookies").iterdir()) == []


def test_git_at_work_is_told(watch: ObserverWatch, tmp_path: Path) -> None:
    lock = tmp_path / ".git/index.lock"
    lock.parent.mkdir()
    lock.touch()
    watch.dispatch(Event("created", str(lock)))
    assert watch.read().git_busy is True
    lock.unlink()
    watch.dispatch(Event("deleted", str(lock)))
    assert watch.read().git_busy is False


def test_a_full_queue_asks_for_a_rescan(
    watch: ObserverWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUEUE_MAX", 3)
    for number in range(4):
        watch.dispatch(Event("modified", f"{tmp_path}/{number}"))
    assert watch.read().rescan
    assert not watch.read().rescan


def test_a_root_that_is_gone_is_told(watch: ObserverWatch, tmp_path: Path) -> None:
    tmp_path.rename(tmp_path.parent / "elsewhere")
    watch.dispatch(Event("deleted", str(tmp_path), is_directory=True))
    assert watch.read().root_gone
