"""Python runs the new code after every apply, however fast they follow each other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.disk.world import contents_of, file_of, replica_of
from towline.core.change import Change, Outcome
from towline.core.entry import Entry
from towline.disk.mtime import raised_above
from towline.disk.replica import Replica

SECOND = 1_000_000_000


def code(number: int) -> bytes:
    return b"VALUE = %d\n" % number


def save(replica: Replica, old: bytes | None, new: bytes | None) -> None:
    def entry(content: bytes | None) -> Entry | None:
        return None if content is None else file_of(content)

    change = Change("module.py", entry(old), entry(new))
    (result,) = replica.apply([change], contents_of(new or b""))
    assert result.outcome is Outcome.DONE


def value_in_fresh_process(root: Path) -> int:
    """Import with the cache on, whatever the environment of the tests says."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    program = [sys.executable, "-c", "import module; print(module.VALUE)"]
    done = subprocess.run(program, cwd=root, env=environment, capture_output=True, check=True)
    return int(done.stdout)


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    return replica_of(tmp_path)


def test_a_fresh_process_sees_each_of_many_saves_of_equal_size(
    tmp_path: Path, replica: Replica
) -> None:
    seen: list[int] = []
    for number in range(1, 8):
        save(replica, code(number - 1) if number > 1 else None, code(number))
        seen.append(value_in_fresh_process(tmp_path))
    assert seen == list(range(1, 8))


def test_reload_sees_each_of_many_saves_of_equal_size(tmp_path: Path, replica: Replica) -> None:
    save(replica, None, code(1))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    program = (
        "import importlib, module\n"
        "while True:\n"
        "    print(importlib.reload(module).VALUE, flush=True)\n"
        "    input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "1\n"
        for number in range(2, 9):
            save(replica, code(number - 1), code(number))
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{number}\n"
        process.stdin.close()


def test_a_source_deleted_and_created_again_is_seen(tmp_path: Path, replica: Replica) -> None:
    for number in range(1, 5):
        save(replica, None, code(number))
        assert value_in_fresh_process(tmp_path) == number
        save(replica, code(number), None)


@pytest.mark.parametrize(
    ("recorded", "now", "expected"),
    [
        ([], 5 * SECOND + 7, 5 * SECOND + 7),
        ([4 * SECOND], 5 * SECOND + 7, 5 * SECOND + 7),
        ([5 * SECOND], 5 * SECOND + 7, 6 * SECOND),
        ([5 * SECOND + 9], 5 * SECOND + 7, 6 * SECOND),
        ([9 * SECOND + 1, 2 * SECOND], 5 * SECOND, 10 * SECOND),
    ],
)
def test_the_whole_second_rises(recorded: list[int], now: int, expected: int) -> None:
    assert raised_above(recorded, now) == expected


def test_data_gets_the_time_of_its_writing(tmp_path: Path) -> None:
    replica = replica_of(tmp_path, now_ns=lambda: 7 * SECOND + 5)
    (tmp_path / "data.bin").write_bytes(b"old")
    replica.apply([Change("data.bin", file_of(b"old"), file_of(b"new"))], contents_of(b"new"))
    assert (tmp_path / "data.bin").stat().st_mtime_ns == 7 * SECOND + 5


def test_the_whole_second_rises_with_every_save_even_without_bytecode(
    tmp_path: Path, replica: Replica
) -> None:
    """Bytecode may lie elsewhere (PYTHONPYCACHEPREFIX), and autoreload remembers mtimes itself."""
    seconds: list[int] = []
    for number in range(1, 5):
        save(replica, code(number - 1) if number > 1 else None, code(number))
        seconds.append((tmp_path / "module.py").stat().st_mtime_ns // SECOND)
    assert seconds == sorted(set(seconds))


def test_bytecode_beside_a_known_file_counts(tmp_path: Path, replica: Replica) -> None:
    """What is staged without a look, because its stamp is known, is dated after it all the same."""
    save(replica, None, code(1))
    value_in_fresh_process(tmp_path)
    (pyc,) = (tmp_path / "__pycache__").iterdir()
    ahead = int((tmp_path / "module.py").stat().st_mtime) + 50
    header = bytearray(pyc.read_bytes())
    header[8:12] = ahead.to_bytes(4, "little")
    pyc.write_bytes(header)
    save(replica, code(1), code(2))
    assert (tmp_path / "module.py").stat().st_mtime > ahead
    assert value_in_fresh_process(tmp_path) == 2
