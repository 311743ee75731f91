"""A disk that is full, on either side: said with the path, harmless to the rest, and mended."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.disk.mounts import small_disk_at
from tests.end_to_end.laptop import Laptop, conflict_copies, read, save, wait_content, wait_until

DISK_SIZE = 8 << 20
TOO_LARGE = os.urandom(6 << 20)  # With what fills the disk; alone it fits.
FILLER = 5 << 20


@contextmanager
def small_disk(at: Path) -> Iterator[None]:
    """Mount a file system of DISK_SIZE at the folder."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    at.mkdir(parents=True, exist_ok=True)
    with small_disk_at(at, DISK_SIZE):
        yield


@pytest.mark.parametrize("side", ["machine", "laptop"])
def test_a_full_disk_is_reported_and_mended(laptop: Laptop, side: str) -> None:
    source, target = laptop.project, laptop.there
    if side == "laptop":
        source, target = target, source
    with small_disk(target):
        save(laptop.project / "a.py", "a\n")
        link = laptop.start()
        link.wait_for("ready")
        filler = target / ".towline/filler"
        filler.write_bytes(bytes(FILLER))

        save(source / "model.bin", TOO_LARGE)
        problem = link.wait_for("problem", path="model.bin")
        print(f"full {side}: {problem['reason']}")
        assert problem["side"] == side
        assert "full" in problem["reason"] or "space" in problem["reason"]
        assert read(target / "model.bin") is None
        save(source / "b.py", "b\n")
        wait_content(target / "b.py", "b\n")
        assert laptop.status()["problems"] == 1
        if side == "machine":
            done = laptop.run("flush", "--timeout", "5")
            assert done.returncode == 75
            assert "model.bin" in done.stderr

        filler.unlink()
        took_s = wait_content(target / "model.bin", TOO_LARGE)
        print(f"there {took_s:.1f} s after space was freed")
        laptop.flush()
        laptop.assert_equal()
        assert laptop.status()["problems"] == 0
        assert conflict_copies(laptop.project, laptop.there) == []
        assert link.end() == 0
        assert "Traceback" not in link.stderr + laptop.agent_log()


def test_a_disk_that_is_full_to_the_last_byte_spoils_nothing(laptop: Laptop) -> None:
    with small_disk(laptop.there):
        save(laptop.project / "a.py", "old\n")
        link = laptop.start()
        link.wait_for("ready")
        filler = laptop.there / ".towline/filler"
        with filler.open("wb") as file:
            while _write(file.fileno()):
                pass
        for number in range(20):
            save(laptop.project / f"new{number}.py", f"new {number}\n")
        save(laptop.project / "a.py", "new\n")
        link.wait_for("problem", side="machine")
        assert read(laptop.there / "a.py") in (b"old\n", b"new\n")
        filler.unlink()
        wait_content(laptop.there / "a.py", "new\n")
        for number in range(20):
            wait_content(laptop.there / f"new{number}.py", f"new {number}\n")
        laptop.flush()
        laptop.assert_equal()
        assert link.end() == 0
        assert "Traceback" not in link.stderr + laptop.agent_log()


def test_a_full_disk_under_the_state_ends_nothing(laptop: Laptop) -> None:
    """The state lies on the same disk as the project, as a rule."""
    state = Path(laptop.environment["XDG_STATE_HOME"])
    with small_disk(state):
        save(laptop.project / "a.py", "a\n")
        link = laptop.start()
        link.wait_for("ready")
        filler = state / "filler"
        with filler.open("wb") as file:
            while _write(file.fileno()):
                pass
        for number in range(200):
            save(laptop.project / f"b{number}.py", f"b{number}\n")
            wait_content(laptop.there / f"b{number}.py", f"b{number}\n")
        save(laptop.there / "from there.py", "c\n")
        wait_content(laptop.project / "from there.py", "c\n")
        notes = [event["text"] for event in link.events if event["event"] == "note"]
        assert sum("state cannot be written" in note for note in notes) == 1
        filler.unlink()
        save(laptop.project / "a.py", "b\n")
        wait_content(laptop.there / "a.py", "b\n")
        assert link.end() == 0
        assert "Traceback" not in link.stderr
        (laptop.project / "b7.py").unlink()
        again = laptop.start()
        again.wait_for("ready")
        wait_until(lambda: read(laptop.there / "b7.py") is None, "it is gone there, too")
        laptop.assert_equal()
        assert again.end() == 0


def _write(descriptor: int) -> int:
    try:
        return os.write(descriptor, bytes(4096))
    except OSError:
        return 0
