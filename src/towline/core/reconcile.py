"""Three-way reconciliation: decide, path by path, how two sides come to agree again.

A pure function of three trees and a direction. It knows no disk, no time and no peer, carries
nothing out, and does not say how a conflict is resolved, only that there is one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from towline.core.direction import Direction
from towline.core.entry import DIRECTORY, Directory, Entry, Unsynced, is_part_of
from towline.core.path import join

DirectionOf = Callable[[str], Direction]


class Verdict(enum.Enum):
    AGREE = "both sides hold the same; remember it"
    PUSH = "the local entry replaces the remote one"
    PULL = "the remote entry replaces the local one"
    CONFLICT = "each side holds something the other would lose"


@dataclass(frozen=True, slots=True)
class Step:
    path: str
    verdict: Verdict
    entry: Entry | None  # What both sides hold afterwards; None also on conflict.


def judge(
    ancestor: Entry | None,
    local: Entry | None,
    remote: Entry | None,
    direction: Direction = Direction.BOTH,
) -> Verdict | None:
    """Decide one path, given the last entry both sides agreed on. None: leave both as they are."""
    if isinstance(local, Unsynced) or isinstance(remote, Unsynced):
        return None
    if local == remote:
        return Verdict.AGREE
    if direction is Direction.PUSH:
        return _follow(ancestor, local, remote, Verdict.PUSH)
    if direction is Direction.PULL:
        return _follow(ancestor, remote, local, Verdict.PULL)
    # A side with nothing new, unchanged or only deleted from, yields to the other:
    # a lost deletion is redone in a second, a lost edit is gone.
    local_yields = is_part_of(local, ancestor)
    remote_yields = is_part_of(remote, ancestor)
    if local_yields and remote_yields:  # One of them is a deletion of the whole.
        return Verdict.PUSH if local is None else Verdict.PULL
    if local_yields:
        return Verdict.PULL
    if remote_yields:
        return Verdict.PUSH
    return Verdict.CONFLICT


def _follow(
    ancestor: Entry | None, truth: Entry | None, other: Entry | None, verdict: Verdict
) -> Verdict | None:
    """Decide where one side is the truth: the other follows, but loses nothing of its own."""
    if is_part_of(other, ancestor):
        return verdict
    # What the other side made or edited stays when the truth has nothing to put in its place.
    return None if truth is None else Verdict.CONFLICT


def reconcile(
    ancestor: Entry | None,
    local: Entry | None,
    remote: Entry | None,
    direction: Direction | DirectionOf = Direction.BOTH,
    path: str = "",
) -> Iterator[Step]:
    """Yield what to do at and below `path`, parents first. Paths that need nothing are absent.

    The entries are those at `path`. `direction` is one for all paths, or a function of the path.
    """
    if isinstance(local, Directory) and isinstance(remote, Directory):
        if not isinstance(ancestor, Directory):
            ancestor = DIRECTORY
            yield Step(path, Verdict.AGREE, DIRECTORY)
        yield from _reconcile_children(ancestor, local, remote, direction, path)
    elif _is_mixed(path, ancestor, local, remote, direction):
        yield from _reconcile_apart(ancestor, local, remote, direction, path)
    else:
        here = direction if isinstance(direction, Direction) else direction(path)
        verdict = judge(ancestor, local, remote, here)
        if verdict is Verdict.CONFLICT:
            yield Step(path, verdict, None)
        elif verdict is Verdict.PULL:
            yield Step(path, verdict, syncable(remote))
        elif verdict is Verdict.PUSH or (verdict is Verdict.AGREE and local != ancestor):
            yield Step(path, verdict, syncable(local))


def syncable(entry: Entry | None) -> Entry | None:
    """Return the entry without the parts that cannot be synced."""
    if isinstance(entry, Unsynced):
        return None
    if not isinstance(entry, Directory):
        return entry
    return Directory(
        {
            name: part
            for name, child in entry.children.items()
            if (part := syncable(child)) is not None
        }
    )


def _reconcile_children(
    ancestor: Directory,
    local: Directory,
    remote: Directory,
    direction: Direction | DirectionOf,
    path: str,
) -> Iterator[Step]:
    for name in sorted({*ancestor.children, *local.children, *remote.children}):
        before = ancestor.children.get(name)
        here, there = local.children.get(name), remote.children.get(name)
        if before is here and here is there:  # Most of a tree that was just found to be the same.
            continue
        yield from reconcile(before, here, there, direction, join(path, name))


def _is_mixed(
    path: str,
    ancestor: Entry | None,
    local: Entry | None,
    remote: Entry | None,
    direction: Direction | DirectionOf,
) -> bool:
    """Whether a directory that one side lacks holds paths of different directions."""
    if isinstance(direction, Direction) or (local is None) == (remote is None):
        return False
    if not isinstance(remote if local is None else local, Directory):
        return False
    here = direction(path)

    def differs(entry: Entry | None, at: str) -> bool:
        return isinstance(entry, Directory) and any(
            direction(join(at, name)) is not here or differs(child, join(at, name))
            for name, child in entry.children.items()
        )

    return any(differs(entry, path) for entry in (ancestor, local, remote))


def _reconcile_apart(
    ancestor: Entry | None,
    local: Entry | None,
    remote: Entry | None,
    direction: Direction | DirectionOf,
    path: str,
) -> Iterator[Step]:
    """Decide each child by its own direction; remove the directory if nothing is left in it."""
    trees = [
        entry if isinstance(entry, Directory) else DIRECTORY for entry in (ancestor, local, remote)
    ]
    steps = list(_reconcile_children(trees[0], trees[1], trees[2], direction, path))
    removal = Verdict.PUSH if local is None else Verdict.PULL
    present = remote if local is None else local
    if isinstance(present, Directory) and isinstance(ancestor, Directory):
        removed = {step.path for step in steps if step.verdict is removal and step.entry is None}
        if all(join(path, name) in removed for name in present.children):
            yield Step(path, removal, None)
            return
    yield from steps
