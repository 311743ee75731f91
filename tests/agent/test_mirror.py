"""What a machine tells of its folder when a laptop comes: all of it, or that it is as agreed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from towline.agent import roots as roots_module
from towline.agent.changes import Changes
from towline.agent.mirror import Lane, Mirror
from towline.agent.roots import Roots
from towline.core.entry import Directory, File, Unsynced, digest_of
from towline.core.ignore import Rules
from towline.core.problem import ProblemKind
from towline.core.summary import digest_of_agreed, life_of
from towline.core.tree import Tree
from towline.core.wire.messages import (
    Begin,
    Begun,
    Fetch,
    Gone,
    Message,
    Part,
    TreeEnd,
    TreePart,
)
from towline.core.wire.records import Want
from towline.disk.folder import Folder
from towline.disk.look import PIECE
from towline.disk.reading import PIECES

X = File(digest_of(b"x"), size=1)
LARGE = 10


class Told:
    """An outlet that always has room."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def room(self, lane: Lane) -> bool:
        return True

    def send(self, lane: Lane, message: Message) -> None:
        self.messages.append(message)


@pytest.fixture
def roots() -> Iterator[Roots]:
    roots = Roots()
    yield roots
    roots.close()


def told(
    roots: Roots, root: Path, agreed: bytes | None, laptop: str = "laptop"
) -> tuple[str, dict[str, object], bool]:
    """Begin a life; return the incarnation, the rows told, and whether they are as agreed."""
    outlet = Told()
    mirror = Mirror(outlet, roots.open, Changes("life"))
    rules = Rules([], LARGE).to_wire()
    mirror.receive(Begin(str(root), "host", laptop, 0, rules, agreed=agreed), 0.0)
    while not isinstance(outlet.messages[-1], TreeEnd):
        mirror.step(0.0)
    begun, *parts, end = outlet.messages
    assert isinstance(begun, Begun)
    assert isinstance(end, TreeEnd)
    rows = Tree()
    for part in parts:
        assert isinstance(part, TreePart)
        for path, entry in part.rows:
            rows.put_shallow(path, entry)
    return begun.incarnation, dict(rows.walk()), end.as_agreed


def test_a_tree_that_is_as_agreed_is_not_told_but_for_what_cannot_be_synced(
    roots: Roots, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    (root / "d/x").write_bytes(b"x")
    (root / "d/large").write_bytes(bytes(LARGE + 1))
    too_large = Unsynced(ProblemKind.TOO_LARGE)
    incarnation, rows, as_agreed = told(roots, root, None)
    assert not as_agreed
    assert rows == {"d": rows["d"], "d/x": X, "d/large": too_large}
    tree = Directory({"d": Directory({"x": X})})
    agreed = digest_of_agreed(life_of("laptop", incarnation), tree)
    _, rows, as_agreed = told(roots, root, agreed)
    assert as_agreed
    assert rows == {"d": Directory({"large": too_large}), "d/large": too_large}
    _, rows, as_agreed = told(roots, root, agreed, laptop="another")
    assert not as_agreed
    assert rows["d/x"] == X


def test_it_says_which_start_of_the_machine_this_is(roots: Roots, tmp_path: Path) -> None:
    outlet = Told()
    mirror = Mirror(outlet, roots.open, Changes("life"))
    rules = Rules([], LARGE).to_wire()
    mirror.receive(Begin(str(tmp_path / "root"), "host", "laptop", 0, rules), 0.0)
    (begun,) = outlet.messages
    assert isinstance(begun, Begun)
    kernels = Path("/proc/sys/kernel/random/boot_id")
    assert begun.boot == (kernels.read_text().strip() if kernels.exists() else "")


def test_a_tree_that_is_not_is_told_whole(roots: Roots, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "x").write_bytes(b"x")
    incarnation, _, _ = told(roots, root, None)
    before = digest_of_agreed(life_of("laptop", incarnation), Directory({"y": X}))
    assert told(roots, root, before) == (incarnation, {"x": X}, False)


def test_a_kernel_is_told_of_what_was_there_for_a_moment(roots: Roots, tmp_path: Path) -> None:
    """It may have read that. Found by the simulation (seed 7011313)."""
    root, outlet, changes = tmp_path / "root", Told(), Changes("life")
    root.mkdir()
    (root / "x.py").write_bytes(b"x")
    mirror = Mirror(outlet, roots.open, changes)
    mirror.receive(Begin(str(root), "host", "laptop", 0, Rules([]).to_wire()), 0.0)
    while not isinstance(outlet.messages[-1], TreeEnd):
        mirror.step(0.0)
    position, told = changes.position, len(outlet.messages)
    (root / "new.py").write_bytes(b"n")
    (root / "new.py").unlink()
    (root / "x.py").write_bytes(b"y")
    (root / "x.py").write_bytes(b"x")
    mirror.settle(1, 1.0)
    while not mirror.settled:
        mirror.step(1.0)
    assert set(changes.since(position) or ()) == {f"{root}/new.py", f"{root}/x.py"}
    assert outlet.messages[told:] == []


def test_what_takes_the_place_of_a_large_file_that_is_sent_is_read_a_bit_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the agent would be silent meanwhile, and its line be given up."""
    read: list[int] = []

    class Counting(Folder):
        def read_into(self, descriptor: int, buffer: memoryview) -> int:
            read.append(len(buffer))
            return super().read_into(descriptor, buffer)

    monkeypatch.setattr(roots_module, "Folder", Counting)
    root, outlet, roots = tmp_path / "root", Told(), Roots()
    root.mkdir()
    before, after = os.urandom(40 * PIECE), os.urandom(40 * PIECE)
    (root / "last.pt").write_bytes(before)
    mirror = Mirror(outlet, roots.open, Changes("life"))
    mirror.receive(Begin(str(root), "host", "laptop", 0, Rules([]).to_wire()), 0.0)
    while not isinstance(outlet.messages[-1], TreeEnd):
        mirror.step(0.0)
    file = File(digest_of(before), size=len(before))
    mirror.receive(Fetch((Want("last.pt", file),)), 0.0)
    while not isinstance(outlet.messages[-1], Part):
        mirror.step(0.0)
    (tmp_path / "new").write_bytes(after)
    (tmp_path / "new").rename(root / "last.pt")
    most = 0
    while Gone("last.pt", file.digest) not in outlet.messages:
        read.clear()
        mirror.step(1.0)
        most = max(most, sum(read))
    assert 0 < most <= (PIECES + 1) * PIECE
    roots.close()
