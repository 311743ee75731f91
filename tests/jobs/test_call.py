"""What a machine tells of a job is looked at before it is used."""

from __future__ import annotations

from typing import Any

import pytest

from towline.errors import ExitCode, UserError
from towline.jobs.call import Job

JOB: dict[str, Any] = {
    "job": 1,
    "key": "k",
    "name": "",
    "state": "done",
    "reason": "",
    "code": None,
}


def test_a_job_as_the_machine_tells_of_it() -> None:
    assert Job.from_json(JOB) == Job(1, "k", "", "done", "", None, JOB)


@pytest.mark.parametrize(
    "told",
    [
        [],
        "job",
        None,
        {},
        {**JOB, "job": "1"},
        {**JOB, "key": 1},
        {**JOB, "name": None},
        {**JOB, "state": ["done"]},
        {**JOB, "reason": {}},
        {**JOB, "code": "0"},
    ],
)
def test_what_is_no_job_is_not_understood(told: Any) -> None:
    with pytest.raises(UserError) as caught:
        Job.from_json(told)
    assert caught.value.exit_code is ExitCode.BAD_DATA
