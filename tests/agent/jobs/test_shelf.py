"""Where jobs lie when the home cannot take them."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from towline.agent.jobs.record import LOCK, RUNNING, Request, Running, write_record
from towline.agent.jobs.shelf import Shelf, state_directory
from towline.agent.lifetime import boot_id
from towline.agent.place import beside_home


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The temporary directory, and a home in which nothing can be made, not by root either."""
    (tmp_path / "file").touch()
    temporary = tmp_path / "tmp"
    monkeypatch.setattr("towline.agent.place._temporary", lambda: str(temporary))
    monkeypatch.setenv("HOME", str(tmp_path / "file/ana"))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    before = os.umask(0)  # Nothing may depend on it.
    yield temporary
    os.umask(before)


def take_up(shelf: Shelf) -> None:
    with shelf.locked():
        shelf.take_up(shelf.stage(), Request(key="key", argv=("true",), cwd="/"))


def test_each_home_has_jobs_of_its_own(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_up(Shelf("project"))
    assert len(Shelf("project").jobs()) == 1
    monkeypatch.setenv("HOME", str(temporary.parent / "file/ben"))
    assert Shelf("project").jobs() == []
    take_up(Shelf("project"))
    assert len(Shelf("project").jobs()) == 1
    made = [path for path in temporary.rglob("*") if path.name == "state"]
    assert len(made) == 2
    for path in (temporary, *(path.parent for path in made), *made):
        assert path.stat().st_mode & 0o777 == 0o700


def test_no_link_is_followed_to_where_jobs_would_lie(temporary: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    beside = Path(beside_home())
    for place in (temporary, beside, beside / "state"):
        place.symlink_to(elsewhere)
        with pytest.raises(OSError, match="can be used"):
            state_directory()
        assert list(elsewhere.iterdir()) == []
        place.unlink()
        place.mkdir(mode=0o700)
    assert state_directory() == str(beside / "state")


@pytest.mark.parametrize("part", ["", "beside", "state"])
def test_what_others_can_enter_is_not_used(temporary: Path, part: str) -> None:
    state = Path(state_directory())
    {"": temporary, "beside": state.parent, "state": state}[part].chmod(0o755)
    with pytest.raises(OSError, match="can be used"):
        state_directory()


def test_what_belongs_to_somebody_else_is_not_used(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_directory()
    somebody = os.getuid() + 1
    monkeypatch.setattr("os.getuid", lambda: somebody)
    with pytest.raises(OSError, match="can be used"):
        state_directory()


@pytest.mark.parametrize("elsewhere", [{"boot": "another"}, {"host": "another"}])
def test_without_locks_a_process_of_another_life_is_not_the_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elsewhere: dict[str, str]
) -> None:
    """NFS without lockd, Lustre: the number of a supervisor is given again after a boot."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)

    def without_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", without_locks)
    here = {"host": os.uname().nodename, "boot": boot_id()}
    shelf = Shelf("w")
    with shelf.locked():
        job = shelf.take_up(shelf.stage(), Request("k", ("true",), "/", **{**here, **elsewhere}))
    write_record(job.file(RUNNING), Running(os.getpid(), os.getpid(), 1.0, "/"))
    assert job.state()[0] == ("lost" if "boot" in elsewhere else "elsewhere")


@pytest.mark.parametrize(
    ("taken_in", "state"),
    [({"host": "another", "boot": "another"}, "elsewhere"), ({"host": "renamed"}, "running")],
)
def test_whose_lock_is_held_runs_where_it_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken_in: dict[str, str], state: str
) -> None:
    """NFS with locks shows those of all machines."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    here = {"host": os.uname().nodename, "boot": boot_id()}
    shelf = Shelf("w")
    with shelf.locked():
        job = shelf.take_up(shelf.stage(), Request("k", ("true",), "/", **{**here, **taken_in}))
    with open(job.file(LOCK)) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert job.state()[0] == state
        monkeypatch.setattr("towline.agent.jobs.shelf.JOBS_KEPT", 0)
        shelf.clear()
        assert len(shelf.jobs()) == 1
