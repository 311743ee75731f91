"""Up to when everything is safe: as long as nothing is missing, and not a moment longer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio

from tests.engine.two_sided import Machine, SmallDisk, run_linked, until
from towline.core.change import Change
from towline.core.entry import File
from towline.core.problem import Problem, ProblemKind
from towline.engine.flights import Flights, Way
from towline.engine.live import Live
from towline.engine.plan import Stuck
from towline.engine.safe import Safe, Safety, together

A = File(b"a", False, 500)


class Folder:
    """What a folder's parts say, and the time."""

    def __init__(self) -> None:
        self.flights = Flights()
        self.planner = SimpleNamespace(stuck={}, held="", is_done=lambda _: True)
        self.puller = SimpleNamespace(left=0, waiting=[], received=0)
        self.notices = SimpleNamespace(unsettled={}, problems={})
        self.is_known = True
        self.now = 100.0
        parts = (self.flights, self.planner, self.puller, self.notices)
        self.blocked: list[tuple[str, int]] = []
        self.safe = Safe(
            *cast(Any, parts), lambda: self.is_known, lambda: self.now, lambda _: self.blocked
        )

    def tells(self, path: str) -> None:
        self.safe.note()
        self.flights.note([path])
        self.safe.note_told()


def test_it_goes_with_the_time_while_nothing_is_missing() -> None:
    folder = Folder()
    assert folder.safe.now() == Safety(100.0, 0, 0)
    folder.now = 160.0
    assert folder.safe.now().at == 160.0


def test_it_stops_when_something_is_told_until_that_has_landed() -> None:
    folder = Folder()
    folder.tells("a.pt")
    folder.now = 160.0
    folder.puller.left = 500
    assert folder.safe.now() == Safety(100.0, 500, 0)
    for path, moment in folder.flights.take_free().items():
        folder.flights.start(path, Way.PULL, A, moment)
    assert folder.safe.now().at == 100.0
    folder.flights.land("a.pt")
    assert folder.safe.now().at == 160.0


def test_what_the_laptop_saves_later_does_not_stop_it() -> None:
    folder = Folder()
    folder.tells("a.pt")
    folder.flights.take_free()
    folder.flights.note(["train.py"])
    folder.now = 160.0
    assert folder.safe.now().at == 160.0


def test_nothing_is_said_of_what_is_not_known_and_time_does_not_go_back() -> None:
    folder = Folder()
    folder.is_known = False
    assert folder.safe.now().at is None
    folder.is_known = True
    assert folder.safe.now().at == 100.0
    folder.now = 50.0
    assert folder.safe.now().at == 100.0


def test_what_failed_on_the_laptop_is_missing() -> None:
    folder = Folder()
    problem = Problem("a.pt", ProblemKind.DISK_FULL)
    folder.safe.note()
    folder.planner.stuck["a.pt"] = Stuck(Change("a.pt", None, A), problem, "laptop", 0)
    folder.planner.stuck["b.py"] = Stuck(Change("b.py", None, A), problem, "machine", 0)
    folder.notices.unsettled = {("machine", "c.pt"): problem}
    folder.now = 160.0
    assert folder.safe.now() == Safety(100.0, 500, 1)
    assert folder.safe.missing() == ["a.pt", "c.pt"]


def test_what_could_not_be_kept_beside_a_save_on_the_machine_is_missing() -> None:
    folder = Folder()
    folder.safe.note()
    problem = Problem("a.py", ProblemKind.DISK_FULL)
    change = Change("a.py", A, File(b"b", False, 7), keep="a.conflict.py")
    folder.planner.stuck["a.py"] = Stuck(change, problem, "machine", 0)
    folder.now = 160.0
    assert folder.safe.now() == Safety(100.0, 500, 0)
    assert folder.safe.missing() == ["a.py"]


def test_what_has_no_place_on_the_laptop_is_missing() -> None:
    folder = Folder()
    folder.safe.note()
    folder.blocked = [("out/a.pt", 500)]
    folder.now = 160.0
    assert folder.safe.now() == Safety(100.0, 500, 0)
    assert folder.safe.missing() == ["out/a.pt"]


def test_nothing_is_said_while_a_plan_is_held() -> None:
    folder = Folder()
    folder.safe.note()
    folder.planner.held = "the folder is empty"
    folder.now = 160.0
    assert folder.safe.now().at == 100.0


def test_what_is_said_after_a_gap_may_be_old_until_a_question_is_answered() -> None:
    folder = Folder()
    folder.safe.doubt()
    earlier = folder.safe.question.token
    folder.now = 160.0  # It is heard again, and tells what it could not meanwhile.
    folder.tells("a.pt")
    assert folder.safe.now().at == 100.0
    folder.flights.take_free()
    folder.safe.doubt()
    folder.safe.trust(earlier)
    assert folder.safe.now().at == 100.0
    folder.safe.trust(folder.safe.question.token)
    assert folder.safe.now().at == 160.0
    folder.safe.doubt()
    folder.safe.begin_life()
    folder.now = 170.0
    assert folder.safe.now().at == 170.0


def test_the_machine_is_asked_once_it_is_heard_again(tmp_path: Path) -> None:
    async def scenario(live: Live, _machine: Machine, _disk: SmallDisk) -> None:
        await until(lambda: live.safe.now().at is not None, 10)
        live.line_changed(connected=False)
        before = live.safe.now().at
        await anyio.sleep(1)
        assert live.safe.now().at == before
        live.line_changed(connected=True)
        assert live.safe.now().at == before
        await until(lambda: live.safe.now().at != before, 10)

    run_linked(tmp_path, scenario)


def test_several_folders_are_as_safe_as_the_least() -> None:
    assert together([Safety(5.0, 1, 0), Safety(4.0, 2, 1)]) == Safety(4.0, 3, 1)
    assert together([Safety(5.0, 0, 0), Safety(None, 0, 0)]).at is None
