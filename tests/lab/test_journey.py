"""A short smoke of the lab: journey 2 by a server of one's own and by the real bore, in a moment.

All of it, at a round trip of 100 ms and by every way, is for `nox -s lab`.
"""

from __future__ import annotations

import pytest

from lab import wan
from lab.journey import Scale, go
from lab.table import Row, as_table, verdicts
from lab.three import three
from lab.ways import ways_named

SHORT = Scale(rtt_ms=0, megabytes=2, large_megabytes=4, outage_s=1, sleep_s=1)


@pytest.mark.skipif(bool(wan.why_not()), reason=f"lab: {wan.why_not()}")
@pytest.mark.parametrize("name", ["ssh", "bore"])
def test_a_laptop_and_a_machine_that_reach_only_a_relay(name: str) -> None:
    (way,) = ways_named([name])
    if reason := way.why_not():
        pytest.skip(f"{name}: {reason}")
    with three(SHORT.rtt_ms) as lab:
        row = go(lab, way, SHORT)
    assert row.refused
    assert {"up", "link", "save ms", "ssh", "relay back", "awake"} <= row.figures.keys()


SLOW = Row("slow", "x", "no", {"up": 5.0, "provider": 1.0, "link": 9.0})
QUICK = Row("quick", "x", "", {"up": 2.0, "provider": 1.0, "link": 1.0})


def test_a_limit_that_is_not_held_is_said() -> None:
    assert all("not held by slow" in sentence for sentence in verdicts([SLOW, QUICK], 100))
    assert all(sentence.endswith(": held") for sentence in verdicts([QUICK], 100))


def test_a_table_has_a_cell_for_each_column() -> None:
    head, rule, *rows = as_table([SLOW, QUICK]).splitlines()
    assert {line.count("|") for line in (head, rule, *rows)} == {head.count("|")}
