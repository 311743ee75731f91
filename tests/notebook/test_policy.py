"""What becomes of a cell: the table of docs/guide-notebook.md, row by row."""

from __future__ import annotations

import pytest

from towline.notebook import words
from towline.notebook.policy import Decision, Kind, Policy, Trouble, decide

STOP, SAY, RUN = Decision.STOP, Decision.SAY, Decision.RUN


@pytest.mark.parametrize(
    ("policy", "away", "slow", "broken"),
    [
        (Policy.AUTO, SAY, STOP, SAY),
        (Policy.STRICT, STOP, STOP, STOP),
        (Policy.WARN, SAY, SAY, SAY),
        (Policy.OFF, RUN, RUN, SAY),
    ],
)
def test_decide(policy: Policy, away: Decision, slow: Decision, broken: Decision) -> None:
    decided = [decide(policy, Trouble(kind, "why")) for kind in Kind]
    assert decided == [away, slow, broken]


@pytest.mark.parametrize("kind", Kind)
def test_each_message_names_the_reason_and_a_stopped_cell_the_next_step(kind: Kind) -> None:
    trouble = Trouble(kind, "the reason", 0.0, ("    detail",))
    assert "NOT run: the reason" in words.stopped(trouble)
    assert "`%towline policy warn`" in words.stopped(trouble)
    assert words.stopped(trouble).endswith("\n    detail")
    said = words.went_on(trouble, 7)
    assert "the reason" in said
    assert "revision 7" in said
    assert "revision" not in words.went_on(trouble, None)
