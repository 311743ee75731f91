"""Where agents are found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from towline.agent.place import (
    SOCKET_PATH_MAX,
    NoPlaceError,
    ensure_place,
    find_place,
    socket_paths,
)


def test_one_workspace_has_one_place_and_another_has_another(home: Path) -> None:
    assert ensure_place("a") == ensure_place("a")
    assert ensure_place("a") != ensure_place("b")
    assert ensure_place("a").directory == f"{home}/.cache/towline/run"


def test_no_agent_is_found_where_none_has_a_socket(home: Path) -> None:
    place = ensure_place("a")
    assert find_place("a") is None
    Path(place.socket).touch()
    assert find_place("a") == place


@pytest.mark.parametrize("folder", ["x" * SOCKET_PATH_MAX, "file"])
def test_a_home_that_cannot_hold_a_socket_is_passed_over(
    home: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    (home / "file").touch()
    monkeypatch.setenv("HOME", str(home / folder))
    place = ensure_place("a")
    assert Path(place.directory).parent == Path(f"/tmp/towline-{os.getuid()}")  # noqa: S108
    assert len(os.fsencode(place.socket)) < SOCKET_PATH_MAX
    Path(place.directory).rmdir()


def test_homes_do_not_see_each_other_s_agents(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home / ("x" * SOCKET_PATH_MAX)))
    here = ensure_place("a")
    Path(here.socket).touch()
    assert here.socket in socket_paths()
    monkeypatch.setenv("HOME", str(home / ("y" * SOCKET_PATH_MAX)))
    other = ensure_place("a")
    assert here.socket not in socket_paths()
    assert other.directory != here.directory
    Path(here.socket).unlink()
    for place in (here, other):
        Path(place.directory).rmdir()


def test_a_directory_is_not_used_where_others_could_put_another_in_its_place(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = home / "tmp"
    shared.mkdir(mode=0o700)
    monkeypatch.setattr("towline.agent.place._temporary", lambda: str(shared))
    monkeypatch.setenv("HOME", str(home / ("x" * SOCKET_PATH_MAX)))
    place = ensure_place("a")
    assert Path(place.directory).parent == shared
    shared.chmod(0o777)
    with pytest.raises(NoPlaceError):
        ensure_place("a")


def test_a_directory_that_others_can_enter_is_not_used(home: Path) -> None:
    run = home / ".cache/towline/run"
    run.mkdir(parents=True, mode=0o755)
    run.chmod(0o755)
    assert ensure_place("a").directory != str(run)
