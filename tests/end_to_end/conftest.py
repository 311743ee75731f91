"""What end-to-end tests share: a real machine, and the same one behind a WAN link."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from lab import wan
from lab.wan import Link
from tests.end_to_end import sshd
from tests.end_to_end.sshd import Machine, machine_in


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine on loopback, freshly set up and empty."""
    if reason := sshd.why_not():
        pytest.skip(f"machine: {reason}")
    with machine_in(tmp_path / "machine") as machine:
        yield machine


@pytest.fixture
def machine_over(tmp_path: Path) -> Callable[[Link], AbstractContextManager[Machine]]:
    """Start a machine at the far end: `with wan(rtt_ms=50) as link, machine_over(link) as m`."""
    if reason := sshd.why_not() or wan.why_not():
        pytest.skip(f"machine behind a WAN: {reason}")

    def over(link: Link) -> AbstractContextManager[Machine]:
        return machine_in(tmp_path / "machine", link=link)

    return over
