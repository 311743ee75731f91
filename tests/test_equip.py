"""What keeps installations from being written down passes, and is told once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from towline import equip
from towline.config import load
from towline.engine import events
from towline.environment.machine import Asked
from towline.equip import Equipment
from towline.errors import ExitCode, UserError
from towline.places import Binding

NO_PYTHON = UserError("the machine's environment: there is no Python at .venv/bin/python")
MERGE = UserError("towline.lock: Expected '=' after a key", "", ExitCode.CONFIG)
LOST = UserError("the machine was lost", "", ExitCode.UNAVAILABLE)


class EndError(Exception):
    """Nothing is left to be tried."""


class Line:
    """Of a machine. Its life of a number begins when the number of tries is that of `begins`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, project: Path, *ends: UserError) -> None:
        self.begins = {1: 0}
        self.lives: list[int] = []
        self.notes: list[str] = []
        self._ends: Iterator[UserError] = iter(ends)
        self.tries = 0
        options = load(project, {}, {"environment.restore": False})
        asked = Asked(Binding("0" * 16, "proj", project, "box"), str(project), options)
        self.equipment = Equipment(
            asked, wait_life=self._wait_life, wait_live=anyio.sleep_forever, report=self._note
        )
        monkeypatch.setattr(equip, "keep", self._keep)

    def _keep(self, *_: object) -> None:
        self.tries += 1
        raise next(self._ends, EndError)

    async def _wait_life(self, after: int) -> int:
        while self.begins.get(after + 1, 99) > self.tries:
            await anyio.lowlevel.checkpoint()
        self.lives.append(after + 1)
        return after + 1

    def _note(self, event: events.Event) -> None:
        if isinstance(event, events.Note):
            self.notes.append(event.text)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_what_is_in_the_way_of_a_list_is_told_once_and_tried_again(
    homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(equip, "AGAIN_S", 0.0)
    line = Line(monkeypatch, tmp_path, NO_PYTHON, NO_PYTHON, MERGE, LOST)
    line.begins[2] = 4
    with pytest.raises(EndError):
        await line.equipment._equip()
    assert line.notes == [NO_PYTHON.message, MERGE.message]
    assert line.lives == [1, 2]


@pytest.mark.anyio
async def test_another_machine_is_not_waited_for_by_what_is_tried_again(
    homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(equip, "AGAIN_S", 1e6)
    line = Line(monkeypatch, tmp_path, NO_PYTHON)
    line.begins[2] = 1
    with pytest.raises(EndError):
        await line.equipment._equip()
    assert line.lives == [1, 2, 2], "seen by what waits, and taken up"
