"""Where agents are found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from towline.agent.place import SOCKET_PATH_MAX, ensure_place, find_place


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
    assert ensure_place("a").directory == f"/tmp/towline-{os.getuid()}"  # noqa: S108


def test_a_directory_that_others_can_enter_is_not_used(home: Path) -> None:
    run = home / ".cache/towline/run"
    run.mkdir(parents=True, mode=0o755)
    run.chmod(0o755)
    assert ensure_place("a").directory != str(run)
