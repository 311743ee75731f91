"""The newest checkpoint goes first, and a mark never before what it names."""

from __future__ import annotations

from towline.core.change import Change
from towline.core.checkpoint import Checkpoints
from towline.core.entry import DIRECTORY, File, Symlink
from towline.core.path import is_below
from towline.engine.turns import Turns

LARGE = 1000


class Machine:
    """What is coming from it."""

    def __init__(self) -> None:
        self.coming: set[str] = set()
        self.turns = Turns(Checkpoints(["*.pt"], ["latest"]), self.below, LARGE)

    def below(self, directory: str) -> list[str]:
        return [path for path in self.coming if is_below(path, directory)]

    def tells(self, *paths: str, size: int = 2 * LARGE) -> None:
        self.coming.update(path for path in paths if path.endswith(".pt"))
        self.turns.put([change(path, size if path.endswith(".pt") else 10) for path in paths])

    def take_large(self) -> str | None:
        large = self.turns.large()
        return self.turns.take(large[0].path).path if large else None


def change(path: str, size: int) -> Change:
    return Change(path, None, File(path.encode(), False, size))


def small(turns: Turns) -> list[str]:
    return [waiting.path for waiting in turns.small()]


def test_whoever_waits_is_there_whatever_it_waits_for() -> None:
    for path, size in (("small", 10), ("large.pt", 2 * LARGE), ("latest", 10)):
        machine = Machine()
        assert not machine.turns
        machine.tells(path, size=size)
        assert machine.turns
        machine.turns.take(path)
        assert not machine.turns


def test_the_newest_checkpoint_goes_first() -> None:
    machine = Machine()
    machine.tells("epoch_1.pt")
    machine.tells("epoch_2.pt")
    machine.tells("epoch_3.pt")
    assert [machine.take_large() for _ in range(4)] == [
        "epoch_3.pt", "epoch_2.pt", "epoch_1.pt", None,
    ]  # fmt: skip


def test_of_those_told_together_the_highest_number_goes_first() -> None:
    machine = Machine()
    machine.tells("epoch_9.pt", "epoch_10.pt", "epoch_9b.pt", "epoch_8.pt", "epoch.pt")
    taken = [machine.take_large() for _ in range(5)]
    assert taken == ["epoch_10.pt", "epoch_9b.pt", "epoch_9.pt", "epoch_8.pt", "epoch.pt"]


def test_checkpoints_go_before_other_large_files() -> None:
    machine = Machine()
    machine.turns.put([change("data.bin", 2 * LARGE), change("more.bin", 2 * LARGE)])
    machine.tells("epoch_1.pt")
    assert [machine.take_large() for _ in range(3)] == ["epoch_1.pt", "data.bin", "more.bin"]


def test_a_checkpoint_that_was_replaced_before_its_turn_is_not_sent() -> None:
    machine = Machine()
    machine.tells("a/epoch_1.pt", "epoch_2.pt")
    assert machine.turns.drop("a") == ["a/epoch_1.pt"]
    assert machine.take_large() == "epoch_2.pt"
    assert machine.take_large() is None


def test_a_mark_waits_for_all_that_were_coming_below_its_directory() -> None:
    machine = Machine()
    machine.coming = {"runs/a/epoch_1.pt", "other/epoch_1.pt"}
    machine.tells("runs/epoch_2.pt", "runs/latest")
    assert small(machine.turns) == []
    machine.coming -= {"runs/epoch_2.pt"}
    assert small(machine.turns) == []
    machine.coming |= {"runs/epoch_3.pt"}  # Newer than the mark.
    machine.coming -= {"runs/a/epoch_1.pt"}
    assert small(machine.turns) == ["runs/latest"]


def test_a_mark_waits_for_all_that_may_be_in_a_directory() -> None:
    machine = Machine()
    machine.coming = {"runs/new"}
    machine.tells("runs/latest")
    machine.coming = {"runs/new/epoch_1.pt"}
    assert small(machine.turns) == []
    machine.coming = set()
    assert small(machine.turns) == ["runs/latest"]


def test_a_mark_may_be_a_link_and_a_directory_is_none() -> None:
    machine = Machine()
    machine.coming = {"epoch_1.pt"}
    machine.turns.put([Change("latest", None, Symlink("epoch_1.pt"))])
    assert small(machine.turns) == []
    assert machine.turns.drop("latest") == ["latest"]
    machine.turns.put([Change("latest", None, DIRECTORY)])
    assert small(machine.turns) == ["latest"]


def test_a_mark_that_is_held_does_not_change_any_more() -> None:
    machine = Machine()
    machine.tells("epoch_1.pt", "latest")
    mark = machine.turns.mark_to_hold()
    assert mark is not None
    assert machine.turns.has(mark)
    machine.turns.hold(mark)
    assert machine.turns.mark_to_hold() is None
    assert machine.turns.drop("latest") == []
    machine.coming.clear()
    assert small(machine.turns) == ["latest"]
    machine.turns.take("latest")
    assert not machine.turns.has(mark)


def test_small_files_keep_their_order() -> None:
    machine = Machine()
    machine.turns.put([change("b", 1), change("a", 1)])
    machine.turns.put([change("c", 1)])
    assert small(machine.turns) == ["b", "a", "c"]
    machine.turns.clear()
    assert list(machine.turns) == []
