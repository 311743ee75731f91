"""The end of the machine is told in a file, to callbacks and to programs that ask."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from towline.agent.ending import Ending
from towline.core.deadline import WHY_MAX, Deadline

END = Deadline(10_000.0, "it ends")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "deadline.json"


def test_it_stands_in_a_file(file: Path) -> None:
    ending = Ending(str(file))
    ending.step(0.0)
    assert not file.exists()
    assert ending.as_json(0.0) == {}
    ending.learn(END)
    assert json.loads(file.read_text()) == {"at": 10_000.0, "why": "it ends", "left_s": None}
    assert ending.next_at() == 6_400.0
    assert ending.as_json(9_000.0) == {"ends_in_s": 1000.0, "ends_why": "it ends"}


def test_each_warning_is_given_to_whoever_wants_it(file: Path) -> None:
    ending = Ending(str(file))
    given: list[tuple[float, str]] = []
    ending.warned.append(lambda left_s, why: given.append((left_s, why)))
    ending.learn(END)
    for now in (1.0, 6_400.0, 6_500.0, 9_700.0, 11_000.0):
        ending.step(now)
    assert given == [(3600.0, "it ends"), (300.0, "it ends"), (0.0, "it ends")]
    assert json.loads(file.read_text())["left_s"] == 0.0


def test_what_was_said_once_counts_when_it_is_said_again() -> None:
    ending = Ending()
    ending.learn(Deadline(500.0, "as was said"), lives_s=500.0)
    ending.learn(Deadline(700.0, "as was said"), lives_s=500.0)  # After a restart of the laptop.
    assert ending.deadline == Deadline(500.0, "as was said")
    ending.learn(None)
    assert ending.number == 1
    ending.learn(Deadline(900.0, "longer"), lives_s=900.0)
    assert ending.number == 2


def test_a_notice_goes_before_all(tmp_path: Path) -> None:
    ending = Ending(str(tmp_path / "nowhere/deadline.json"))  # It cannot be written: no matter.
    ending.learn(END)
    ending.tell(30.0, "taken\n away " + "x" * 999)
    assert ending.deadline is not None
    assert ending.deadline.why.startswith("taken away x")
    assert len(ending.deadline.why) == WHY_MAX
