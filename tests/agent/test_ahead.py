"""The start of a new checkpoint goes before it is asked for, and never further than that."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from towline.agent.ahead import Vanguard
from towline.core.checkpoint import Checkpoints
from towline.core.entry import File
from towline.core.ignore import Rules
from towline.core.wire.messages import AHEAD_MAX, Adopt, Ahead, Part
from towline.core.wire.records import Want
from towline.disk.folder import Folder
from towline.disk.observation import Observation
from towline.disk.replica import Replica

SIZE = 3_000_000
LATER_NS = 3600 * 10**9


@pytest.fixture
def replica(tmp_path: Path) -> Replica:
    rules = Rules([], None, Checkpoints(settle_s=0))
    now = os.stat(tmp_path).st_mtime_ns + LATER_NS
    replica = Replica(Folder(tmp_path), rules, host="gpu", settles=True, now_ns=lambda: now)
    replica.scan()
    return replica


def begun(replica: Replica, name: str, content: bytes) -> str | None:
    """Write a checkpoint, begin to read it; return it if its start may go."""
    (replica.folder.root / name).write_bytes(content)
    replica.settling.note_closed([name])
    replica.observe([name])
    replica.read_on()
    return replica.new_checkpoint()


def read_to_end(replica: Replica) -> list[Observation]:
    observations: list[Observation] = []
    while replica.reading.delay_s() is not None:
        observations += replica.read_on()[0]
    return observations


def test_it_goes_as_a_draft_then_by_its_digest_then_as_it_was_asked_for(replica: Replica) -> None:
    content = os.urandom(SIZE * 3)
    path = begun(replica, "a.pt", content)
    assert path == "a.pt"
    vanguard = Vanguard(replica, path)
    steps = vanguard.steps()
    first = [next(steps), next(steps)]
    assert [part.data for part in first if isinstance(part, Ahead)] == [
        content[: 256 << 10],
        content[256 << 10 : 512 << 10],
    ]
    observations = read_to_end(replica)
    vanguard.learn(observations)
    file = observations[0].entry
    assert isinstance(file, File)
    adopt, part = next(steps), next(steps)
    assert isinstance(first[0], Ahead)
    assert adopt == Adopt(first[0].draft, file.digest, 512 << 10)
    assert part == Part(file.digest, file.size, 512 << 10, content[512 << 10 : 768 << 10])
    want = Want(path, file, 0)
    assert vanguard.takes(want)
    assert not vanguard.takes(want)
    assert vanguard.is_in_vain(want)
    assert list(steps) == []
    assert vanguard.at == 768 << 10


def test_what_nobody_asks_for_ends(replica: Replica) -> None:
    path = begun(replica, "a.pt", bytes(AHEAD_MAX * 2))
    assert path is not None
    vanguard = Vanguard(replica, path)
    steps = vanguard.steps()
    while (message := next(steps)) is not None:
        assert isinstance(message, Ahead)
    assert vanguard.at == AHEAD_MAX
    observations = read_to_end(replica)
    vanguard.learn(observations)
    assert [type(message) for message in steps] == [Adopt]
    assert isinstance(file := observations[0].entry, File)
    assert not vanguard.takes(Want(path, file, 0))


def test_a_draft_of_what_was_changed_meanwhile_is_of_no_use(replica: Replica) -> None:
    path = begun(replica, "a.pt", os.urandom(SIZE * 3))
    assert path is not None
    steps = Vanguard(replica, path).steps()
    assert isinstance(next(steps), Ahead)
    (replica.folder.root / path).unlink()
    read_to_end(replica)
    assert [getattr(message, "size", None) for message in steps] == [0]


def test_only_a_checkpoint_of_a_new_name_goes(replica: Replica) -> None:
    assert begun(replica, "data.bin", os.urandom(SIZE * 3)) is None
    read_to_end(replica)
    assert begun(replica, "a.pt", os.urandom(SIZE * 3)) == "a.pt"
    read_to_end(replica)
    assert begun(replica, "a.pt", os.urandom(SIZE * 3)) is None
