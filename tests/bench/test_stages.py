"""The stages of a save, from the stamps of both sides."""

from __future__ import annotations

import pytest

from bench import stamps
from bench.stages import MOMENTS, WHOLE, medians, one_save, table


def test_each_stage_lasts_from_the_moment_before() -> None:
    took = one_save(10.0, [(10.001, MOMENTS[0]), (10.004, MOMENTS[1]), (10.004, "other")])
    assert took == pytest.approx({MOMENTS[0]: 0.001, MOMENTS[1]: 0.003, WHOLE: 0.004})


def test_a_moment_that_did_not_come_is_passed_over() -> None:
    took = one_save(0.0, [(1.0, MOMENTS[2]), (2.0, MOMENTS[0]), (3.0, MOMENTS[3])])
    assert took == {MOMENTS[0]: 2.0, MOMENTS[3]: 1.0, WHOLE: 3.0}
    assert one_save(0.0, []) == {}


def test_how_it_was_stands_before_how_it_is() -> None:
    now = {"loopback": medians({MOMENTS[0]: [0.001, 0.002, 0.003], WHOLE: [0.005]})}
    lines = table(now, {"loopback": {MOMENTS[0]: 0.004, "gone by now": 0.001}}).splitlines()
    assert lines[0] == "| until | loopback, before | loopback |"
    assert lines[2] == f"| {MOMENTS[0]} | 4 ms | 2 ms |"
    assert lines[-2:] == ["| gone by now | 1 ms | - |", f"| {WHOLE} | - | 5 ms |"]


def test_every_stage_is_one_of_the_programs() -> None:
    """What is stamped must be there under its name, or the breakdown has a hole."""
    for module, what, _, _ in (*stamps.ENGINE, *stamps.AGENT, *stamps.ANSWER):
        owner, _, name = what.partition(".")
        found = getattr(__import__(module, fromlist=[owner]), owner)
        assert callable(getattr(found, name))
