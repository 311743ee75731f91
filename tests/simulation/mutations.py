"""Faults put into the code on purpose, to show that the simulation would notice them.

Each is a guarantee taken away: a patch for as long as a world lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest import mock

from tests.simulation.folder import SimulatedFolder
from towline.agent import mirror
from towline.core.change import Change
from towline.core.wire import replay
from towline.disk import apply, displaced
from towline.engine import ancestor, plan, trees
from towline.engine.remote import Remote

Mutation = Callable[[], Any]


@contextmanager
def old_is_not_checked() -> Iterator[None]:
    """A change is carried out whatever stands at its path."""
    decide = apply.Apply._decide

    def _decide(self: apply.Apply, change: Change, *rest: Any) -> Any:
        actual, _ = self._look.at(change.path)
        return decide(self, replace(change, old=actual), *rest)

    with mock.patch.object(apply.Apply, "_decide", _decide):
        yield


def _as_expected(*_: object, **__: object) -> displaced.Verdict:
    return displaced.Verdict(as_expected=True)


@contextmanager
def planned_steps_are_agreed_on() -> Iterator[None]:
    """The ancestor learns what is to be done, not what was done."""
    push = plan.Planner._push

    async def _push(
        self: plan.Planner, remote: Remote, changes: Sequence[Change], *rest: Any
    ) -> None:
        self._trees.agree([(change.path, change.new) for change in changes])
        await push(self, remote, changes, *rest)

    with mock.patch.object(plan.Planner, "_push", _push):
        yield


@contextmanager
def nothing_is_sent_again() -> Iterator[None]:
    """After a cut the Line goes on with what is new, as if all before had arrived."""
    rewind = replay.Replay.rewind

    def skip(self: replay.Replay, count: int) -> None:
        rewind(self, count)
        self._again.clear()

    with mock.patch.object(replay.Replay, "rewind", skip):
        yield


@contextmanager
def the_ancestor_outlives_the_machine() -> Iterator[None]:
    """A new machine is taken for the one that was lost."""
    open_ancestor = ancestor.Store.open_ancestor

    def open_old(self: ancestor.Store, mirror: int, life: str) -> Any:
        return open_ancestor(self, mirror, self.fact(f"life {mirror}") or life)

    with mock.patch.object(ancestor.Store, "open_ancestor", open_old):
        yield


@contextmanager
def nobody_looks_at_what_was_swapped_out() -> Iterator[None]:
    """What came out of an exchange is taken for what was expected, and dropped."""
    with mock.patch.object(displaced.Displaced, "examine", _as_expected):
        yield


@contextmanager
def kernels_hear_of_the_laptop_only() -> Iterator[None]:
    """What is changed on the machine itself is not noted for kernels."""
    with mock.patch.object(mirror.Mirror, "_note", return_value=None):
        yield


@contextmanager
def names_are_not_made_durable() -> Iterator[None]:
    """What the laptop did counts as done before the disk has its names."""
    with mock.patch.object(apply.Apply, "_sync_touched", return_value=None):
        yield


@contextmanager
def contents_are_not_made_durable() -> Iterator[None]:
    """A content gets its name on the laptop before the disk has it."""
    with mock.patch.object(SimulatedFolder, "sync_file", return_value=None):
        yield


@contextmanager
def a_machine_is_believed_after_a_power_cut() -> Iterator[None]:
    """What it lost, having been started anew, is taken for what somebody did there."""
    with mock.patch.object(trees.Trees, "doubt_lately_agreed", return_value=None):
        yield


MUTATIONS: dict[str, Mutation] = {
    "old": old_is_not_checked,
    "planned": planned_steps_are_agreed_on,
    "replay": nothing_is_sent_again,
    "incarnation": the_ancestor_outlives_the_machine,
    "changes": kernels_hear_of_the_laptop_only,
    "names": names_are_not_made_durable,
    "boot": a_machine_is_believed_after_a_power_cut,
    "contents": contents_are_not_made_durable,
    "swap": nobody_looks_at_what_was_swapped_out,
}
