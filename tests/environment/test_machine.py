"""Look after look at a machine's environment: what is installed during one is seen by the next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.environment.test_lock import NOTHING
from towline.config import load
from towline.environment import machine
from towline.environment.machine import Asked, watch
from towline.errors import ExitCode, UserError
from towline.places import Binding

FILES = ["/site-packages"]
PIECES = UserError("the machine's environment: no Python", "", ExitCode.BAD_DATA)
LOST = UserError("the machine was lost", "", ExitCode.UNAVAILABLE)


class Machine:
    """Answers what it is told to: looks, errors, and the times of its files at each change."""

    def __init__(self, looks: list[dict[str, str] | UserError]) -> None:
        self._looks = iter(looks)
        self.asked: list[dict[str, int | None]] = []
        self.lasts: list[Any] = []

    def look(self, _asked: Asked, verb: str, *, behind: bool, **more: Any) -> dict[str, Any]:
        assert verb == "capture"
        assert behind
        self.lasts.append(more.get("last"))
        look = next(self._looks)
        if isinstance(look, UserError):
            raise look
        return {**NOTHING, "added": look, "executable": "/python", "files": FILES}

    def changed(
        self, _binding: Binding, greeting: Any, question: Any, *, bulk: bool
    ) -> dict[str, Any]:
        assert greeting == {"stamps": True}
        assert bulk
        self.asked.append(question["stamps"])
        return {"stamps": dict.fromkeys(FILES, len(self.asked))}


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(Binding.__new__(Binding), str(tmp_path), load(tmp_path, {}))


def watched(monkeypatch: pytest.MonkeyPatch, asked: Asked, there: Machine) -> Iterator[Any]:
    monkeypatch.setattr(machine, "_answer_to", there.look)
    monkeypatch.setattr(machine, "ask_once", there.changed)
    return (captured["added"] for captured in watch(asked))


def test_each_installation_is_told_and_times_are_older_than_the_look(
    monkeypatch: pytest.MonkeyPatch, asked: Asked
) -> None:
    there = Machine([{}, {}, {"rich": "1"}, {"rich": "2"}, LOST])
    told = watched(monkeypatch, asked, there)
    assert [next(told) for _ in range(3)] == [{}, {"rich": "1"}, {"rich": "2"}]
    # Of the first look there are no times, so that there is a second at once.
    assert there.asked == [dict.fromkeys(FILES, at) for at in (None, 1, 2)]
    assert there.lasts == [None, *[{"executable": "/python", "variables": {}}] * 3]


def test_a_python_in_pieces_is_waited_for_and_a_lost_machine_is_not(
    monkeypatch: pytest.MonkeyPatch, asked: Asked
) -> None:
    there = Machine([{}, PIECES, {"rich": "1"}, LOST])
    told = watched(monkeypatch, asked, there)
    assert [next(told), next(told)] == [{}, {"rich": "1"}]
    with pytest.raises(UserError, match="was lost"):
        next(told)
