"""Every scenario of the table holds, here and on the other Pythons of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.pythons import Python, find_pythons
from tests.notebook.reload.scenario import Scenario, play, scenarios

ROOT = Path(__file__).parents[3]
PYTHONS = {str(python): python for python in find_pythons((3, 10))}
OTHERS = {"3.10", "3.11", "3.12", "3.13"} - {"{}.{}".format(*sys.version_info)}


@pytest.mark.parametrize("scenario", scenarios(), ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario, tmp_path: Path) -> None:
    if sys.version_info[:2] < scenario.python:
        pytest.skip(f"needs Python {'.'.join(map(str, scenario.python))}")
    play(scenario, tmp_path.resolve())


@pytest.mark.parametrize("version", sorted(OTHERS))
def test_scenarios_hold_on(version: str) -> None:
    python: Python | None = PYTHONS.get(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    done = subprocess.run(
        [python.path, "-X", "dev", "-W", "ignore", Path(__file__).with_name("scenario.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_two_scenarios_share_a_name() -> None:
    names = [scenario.name for scenario in scenarios()]
    assert len(names) == len(set(names))
