"""What is on its way from the machine, for a mark that waits for it."""

from __future__ import annotations

from towline.core.checkpoint import Checkpoints
from towline.core.direction import Direction
from towline.core.entry import Directory, File, digest_of
from towline.core.tree import Tree
from towline.engine.ancestor import Store
from towline.engine.coming import Coming
from towline.engine.flights import Flights
from towline.engine.notices import Notices
from towline.engine.trees import Trees

A = File(digest_of(b"a"), size=1)


def test_what_is_gone_on_the_machine_does_not_come() -> None:
    """Found by the simulation (seed 7001277): a mark waited for what was below it, and that for it.

    The mark had taken the place of a directory. What had been in it was dirty, and could not be
    planned before the mark had landed.
    """
    store, flights = Store(":memory:"), Flights()
    trees = Trees(store, 0, lambda _: Direction.BOTH)
    trees.remote = Tree(Directory({"out": Directory({"latest": A, "new.pt": A, "x.py": A})}))
    coming = Coming(
        Checkpoints(["*.pt"], ["latest"]),
        trees,
        flights,
        Notices(store, lambda _: None),
        stuck=lambda: ["out/old.pt"],
    )
    flights.note(["out/latest", "out/latest/inner.pt", "out/new.pt", "out/x.py"])
    assert coming.below("out") == ["out/new.pt"]
    assert coming.below("") == ["out/new.pt"]
