"""The bundle runs under every Python from 3.10 on that this computer has."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.pythons import Python, find_pythons
from tests.end_to_end.laptop import Laptop, conflict_copies, read, save, wait_content, wait_until

WANTED = [(3, minor) for minor in range(10, 15)]


@pytest.mark.parametrize("version", WANTED, ids=lambda version: "{}.{}".format(*version))
def test_edits_each_way_and_a_conflict_under(laptop: Laptop, version: tuple[int, int]) -> None:
    found = {python.version: python for python in find_pythons(minimum=(3, 10))}
    if version not in found:
        pytest.skip("there is no Python {}.{} here".format(*version))
    laptop.configure(f'python = "{found[version].path}"\n')
    for name in ("here.py", "there.py", "both.py"):
        save(laptop.project / name, "ancestor\n")
    with laptop.linked():
        assert_runs_under(laptop.agent(), found[version])
        save(laptop.project / "here.py", "laptop\n")
        wait_content(laptop.there / "here.py", "laptop\n")
        save(laptop.there / "there.py", "machine\n")
        wait_content(laptop.project / "there.py", "machine\n")
    save(laptop.project / "both.py", "laptop\n")
    save(laptop.there / "both.py", "machine\n")
    with laptop.linked() as link:
        link.wait_for("conflict", path="both.py")
        wait_until(lambda: len(conflict_copies(laptop.project)) == 1, "the copy is here")
        (copy,) = conflict_copies(laptop.project)
        assert {read(laptop.project / "both.py"), read(copy)} == {b"laptop\n", b"machine\n"}
        laptop.flush()
        laptop.assert_equal()


def assert_runs_under(pid: int, python: Python) -> None:
    """The process maps, or is, an interpreter of this version."""
    running = Path(f"/proc/{pid}/exe").resolve()
    assert running.name.startswith(f"python{python}") or running == python.path.resolve()
