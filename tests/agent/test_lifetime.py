"""What a machine knows of its own start and end."""

from __future__ import annotations

import time
from typing import Any

import pytest

from towline.agent.lifetime import HOURS_12, age_s, boot_id, deadline_of, environment

COLAB = {"COLAB_RELEASE_TAG": "release-colab-external_20261101"}


@pytest.mark.parametrize(
    ("lives_s", "known", "age", "left_s", "why"),
    [
        (0, COLAB, 3600.0, HOURS_12 - 3600, "Colab"),
        (0, {"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}, 0.0, HOURS_12, "Kaggle"),
        (7200, COLAB, 3600.0, 3600, "2 h, as was said"),
        (600, {}, 9e6, 600, "10 min, as was said"),
    ],
)
def test_when_it_ends(lives_s: float, known: Any, age: float, left_s: float, why: str) -> None:
    before = time.time()
    deadline = deadline_of(lives_s, known, age)
    assert deadline is not None
    assert before + left_s <= deadline.at <= time.time() + left_s
    assert why in deadline.why


def test_a_job_of_slurm_ends_when_slurm_says() -> None:
    deadline = deadline_of(0, {"SLURM_JOB_END_TIME": "1795627000"}, 0.0)
    assert deadline is not None
    assert (deadline.at, deadline.why) == (1795627000.0, "SLURM ends the job")


@pytest.mark.parametrize("known", [{}, {"SLURM_JOB_END_TIME": "soon"}])
def test_most_machines_know_nothing(known: dict[str, str]) -> None:
    assert deadline_of(0, known, 0.0) is None


def test_a_rule_that_did_not_hold_is_none() -> None:
    assert deadline_of(0, COLAB, HOURS_12 + 1) is None


def test_this_machine_has_an_age_and_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < age_s() < 1e9
    monkeypatch.setenv("SOMETHING", "here")
    assert environment()["SOMETHING"] == "here"


def test_a_start_has_no_name_where_nothing_gives_it_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", missing)
    assert boot_id() == "", "as on macOS"
