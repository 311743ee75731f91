"""The simulation notices when a guarantee is taken away: each of these must be caught by a seed."""

from __future__ import annotations

import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.test_simulation import run_worlds

SEEDS_MAX = {"old": 60, "planned": 60, "replay": 60, "incarnation": 200, "swap": 120, "changes": 60}


@pytest.mark.parametrize("mutation", sorted(MUTATIONS))
def test_a_world_notices(mutation: str) -> None:
    done = run_worlds(0, SEEDS_MAX[mutation], "--mutation", mutation)
    assert done.returncode == 1, f"{SEEDS_MAX[mutation]} seeds ran without {mutation!r}"
    caught = done.stdout[done.stdout.rindex("\nseed ") :].strip().splitlines()
    print(f"{mutation}: {caught[0]} {caught[1]}")  # noqa: T201 - Shown with `pytest -rP`.
