"""What the machine has carried out is agreed on: by directory if it is plain, else one by one."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.engine.test_plan import planner_over
from towline.core.change import Change, Outcome, Result
from towline.core.direction import Direction
from towline.core.entry import DIRECTORY, Directory, Entry, File
from towline.core.problem import Problem, ProblemKind
from towline.core.tree import Tree
from towline.core.wire.frames import ProtocolError
from towline.core.wire.messages import Applied
from towline.engine.ancestor import Store
from towline.engine.flights import Flights, Way
from towline.engine.landing import Landing
from towline.engine.notices import Notices
from towline.engine.push import Group
from towline.engine.trees import Trees

A, B, C = File(b"a"), File(b"b"), File(b"c")
PROJECT = {"x": A, "d": Directory({"x": A, "y": B})}
CHANGES = (
    Change("x", None, A),
    Change("d", None, DIRECTORY),
    Change("d/x", None, A),
    Change("d/y", None, B),
)
ROWS = [(change.path, change.new) for change in CHANGES]


class Engine:
    """A first copy of PROJECT is on its way, and the laptop holds `local` by now."""

    def __init__(self, local: Mapping[str, Entry] = PROJECT, ignored: str = "") -> None:
        store = Store(":memory:")
        self.flights = Flights()
        self.trees = Trees(store, 0, lambda _: Direction.BOTH)
        self.trees.local, self.trees.remote = Tree(Directory(local)), Tree(Directory({}))
        self.notices = Notices(store, lambda _: None)
        self._landing = Landing(
            self.trees,
            self.flights,
            planner_over({}, {}),
            self.notices,
            lambda at, _: at == ignored,
        )
        for change in CHANGES:
            self.flights.start(change.path, Way.BULK, change.new, 1)

    def lands(self, *results: Result) -> list[tuple[str, Entry | None]]:
        """The machine has answered; `results` are of the last changes, the others went well."""
        applied = Applied(1, len(CHANGES) - len(results), results)
        agreed = self._landing.there(Group(1, True, CHANGES), applied)
        self.trees.agree(agreed, 1)
        return agreed

    def dirty(self) -> list[str]:
        return sorted(self.flights.dirty)


def test_what_went_as_planned_is_agreed_on_and_no_longer_on_its_way() -> None:
    engine = Engine()
    assert engine.lands() == ROWS
    assert engine.trees.remote.root == engine.trees.ancestor.root == Directory(PROJECT)
    assert len(engine.flights) == 0


def test_a_file_that_changed_meanwhile_is_dirty_again() -> None:
    engine = Engine({"x": A, "d": Directory({"x": C, "y": B})})
    assert engine.lands() == ROWS
    assert engine.dirty() == ["d/x"]
    assert engine.trees.remote.get("d/x") == engine.trees.ancestor.get("d/x") == A


def test_a_directory_that_is_gone_meanwhile_is_dirty_again() -> None:
    engine = Engine({"x": A})
    engine.lands()
    assert engine.dirty() == ["d", "d/x", "d/y"]


def test_what_is_ignored_by_now_is_not_agreed_on() -> None:
    engine = Engine({"x": A, "d": Directory({"x": A})}, ignored="d/y")  # The local tree lacks it.
    assert engine.lands() == ROWS[:-1]
    assert engine.trees.ancestor.get("d/y") is None


def test_what_the_machine_told_meanwhile_of_its_own_is_replaced() -> None:
    engine = Engine()
    engine.trees.remote.put("d/x", Directory({"below": C}))
    engine.lands()
    assert engine.trees.remote.root == engine.trees.ancestor.root == Directory(PROJECT)
    assert len(engine.trees.remote) == len(engine.trees.ancestor) == 4


def test_a_problem_there_comes_to_its_end() -> None:
    engine = Engine()
    engine.notices.problem("machine", Problem("d/x", ProblemKind.UNWRITABLE))
    engine.lands()
    assert not engine.notices.problems


def test_a_refusal_at_the_end_is_planned_anew_with_what_stands_there() -> None:
    engine = Engine()
    engine.notices.problem("machine", Problem("d/y", ProblemKind.UNSETTLED))
    agreed = engine.lands(Result("d/y", Outcome.REFUSED, actual=C))
    assert agreed == ROWS[:-1]
    assert engine.trees.remote.get("d/y") == C
    assert not engine.notices.unsettled, "it is told by the refusal alone"
    assert len(engine.flights) == 0  # What is to be done anew is this test's planner's own.


def test_an_answer_to_something_else_is_a_fault() -> None:
    with pytest.raises(ProtocolError):
        Engine().lands(Result("d/x", Outcome.REFUSED, actual=C))
