"""What end-to-end tests share: a real machine, and the same one behind a WAN link."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from lab import wan
from lab.wan import Link
from tests.end_to_end import django, sshd
from tests.end_to_end.laptop import Laptop, laptop_in
from tests.end_to_end.sshd import Machine, machine_in


@pytest.fixture
def machine(short_path: Path) -> Iterator[Machine]:
    """A machine on loopback, freshly set up and empty."""
    if reason := sshd.why_not():
        pytest.skip(f"machine: {reason}")
    with machine_in(short_path / "machine") as machine:
        yield machine


@pytest.fixture
def machine_over(short_path: Path) -> Callable[[Link], AbstractContextManager[Machine]]:
    """Start a machine at the far end: `with wan(rtt_ms=50) as link, machine_over(link) as m`."""
    if reason := sshd.why_not() or wan.why_not():
        pytest.skip(f"machine behind a WAN: {reason}")

    def over(link: Link) -> AbstractContextManager[Machine]:
        return machine_in(short_path / "machine", link=link)

    return over


@pytest.fixture
def laptop(short_path: Path, machine: Machine) -> Iterator[Laptop]:
    """A laptop with an empty project, and the machine it may be linked to."""
    with laptop_in(short_path / "laptop", machine) as laptop:
        yield laptop


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders with releases of Django, by version. They are everybody's: copy, do not change."""
    got = django.download(tmp_path_factory.mktemp("django"))
    if isinstance(got, str):
        pytest.skip(got)
    return got
