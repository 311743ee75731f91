"""In the place of a machine with an sshd: one that is `up`, and a laptop that knows its ticket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.borrowed import Borrowed, Laptop, borrowed_in, why_not


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Borrowed]:
    """A machine on which `up` can be called."""
    if reason := why_not():
        pytest.skip(reason)
    with borrowed_in(tmp_path / "machine") as machine:
        yield machine


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    """A laptop that has nothing yet."""
    if reason := why_not():
        pytest.skip(reason)
    laptop = Laptop(tmp_path / "laptop")
    yield laptop
    laptop.close()
