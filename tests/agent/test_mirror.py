"""What a machine tells of its folder when a laptop comes: all of it, or that it is as agreed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from towline.agent.changes import Changes
from towline.agent.mirror import LOOK_LATE_S, Lane, Mirror
from towline.agent.roots import Roots
from towline.core.change import Change
from towline.core.entry import Directory, File, Unsynced, digest_of
from towline.core.ignore import Rules
from towline.core.problem import ProblemKind
from towline.core.summary import digest_of_agreed, life_of
from towline.core.tree import Tree
from towline.core.wire.messages import (
    Applied,
    Apply,
    Begin,
    Begun,
    Message,
    TreeEnd,
    TreePart,
)

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


def test_good_news_of_parts_waits_for_the_last_of_them(roots: Roots, tmp_path: Path) -> None:
    mirror, outlet = scanned(roots, tmp_path / "root")
    for group, name in enumerate("abc"):
        mirror.receive(part_of_a_revision(group, name, last=group == 2), 1.0)
        mirror.step(1.0, busy=True)
        assert answered(outlet) == ([0, 1, 2] if group == 2 else [])


def test_good_news_of_parts_waits_no_longer_than_parts_come(roots: Roots, tmp_path: Path) -> None:
    mirror, outlet = scanned(roots, tmp_path / "root")
    mirror.receive(part_of_a_revision(0, "a"), 1.0)
    mirror.step(1.0, busy=True)
    due = mirror.deadline()
    assert answered(outlet) == []
    assert due is not None
    assert due <= 1.0 + LOOK_LATE_S
    mirror.receive(part_of_a_revision(1, "b"), 1.05)
    mirror.step(1.0 + LOOK_LATE_S, busy=True)
    assert answered(outlet) == [0, 1]
    mirror.receive(part_of_a_revision(2, "c"), 2.0)
    mirror.step(2.0)
    assert answered(outlet) == [0, 1, 2]


def test_what_went_wrong_with_a_part_is_told_at_once(roots: Roots, tmp_path: Path) -> None:
    mirror, outlet = scanned(roots, tmp_path / "root")
    mirror.receive(part_of_a_revision(0, "a"), 1.0)
    (tmp_path / "root/b").write_bytes(b"somebody's")
    mirror.receive(part_of_a_revision(1, "b"), 1.0)
    assert answered(outlet) == [0, 1]


def scanned(roots: Roots, root: Path) -> tuple[Mirror, Told]:
    outlet = Told()
    mirror = Mirror(outlet, roots.open, Changes("life"))
    mirror.receive(Begin(str(root), "host", "laptop", 0, Rules([], LARGE).to_wire()), 0.0)
    while not mirror.takes():
        mirror.step(0.0)
    return mirror, outlet


def part_of_a_revision(group: int, name: str, *, last: bool = False) -> Apply:
    return Apply(group, 1, last, (Change(name, None, X),), {X.digest: b"x"})


def answered(outlet: Told) -> list[int]:
    return [message.group for message in outlet.messages if isinstance(message, Applied)]
