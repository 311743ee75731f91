"""What people read of a problem."""

from __future__ import annotations

import pytest

from towline.core.problem import Problem, ProblemKind


@pytest.mark.parametrize(
    ("detail", "reason"),
    [("", "cannot be read"), ("Permission denied", "cannot be read (Permission denied)")],
)
def test_a_problem_is_told_with_its_path_and_reason(detail: str, reason: str) -> None:
    problem = Problem("a/b", ProblemKind.UNREADABLE, detail)
    assert problem.reason == reason
    assert str(problem) == f"a/b: {reason}"
