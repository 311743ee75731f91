"""The simulation notices when a guarantee is taken away: each of these must be caught by a seed."""

from __future__ import annotations

import pytest

from tests.simulation.mutations import MUTATIONS
from tests.simulation.test_simulation import run_worlds

SEEDS = {
    "old": (0, 60),
    "planned": (0, 60),
    "replay": (0, 60),
    "incarnation": (0, 200),
    "swap": (0, 120),
    "changes": (0, 60),
    "boot": (30, 60),
    "contents": (0, 60),
    "names": (160, 500),  # The first one to notice is 168.
}


@pytest.mark.parametrize("mutation", sorted(MUTATIONS))
def test_a_world_notices(mutation: str) -> None:
    first, end = SEEDS[mutation]
    done = run_worlds(first, end, "--mutation", mutation)
    assert done.returncode == 1, f"{end - first} seeds ran without {mutation!r}"
    caught = done.stdout[done.stdout.rindex("\nseed ") :].strip().splitlines()
    print(f"{mutation}: {caught[0]} {caught[1]}")  # noqa: T201 - Shown with `pytest -rP`.
