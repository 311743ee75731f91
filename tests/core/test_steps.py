"""Work in steps, run without stopping."""

from __future__ import annotations

import pytest

from towline.core.steps import Steps, run_to_end


def counted(steps: int, done: list[int]) -> Steps[str]:
    for number in range(steps):
        done.append(number)
        yield
    return "all of it"


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_every_step_is_made_and_what_they_return_comes(steps: int) -> None:
    done: list[int] = []
    assert run_to_end(counted(steps, done)) == "all of it"
    assert done == list(range(steps))


def test_what_a_step_raises_is_raised() -> None:
    def fails() -> Steps[None]:
        yield
        raise KeyError("which")

    with pytest.raises(KeyError, match="which"):
        run_to_end(fails())
