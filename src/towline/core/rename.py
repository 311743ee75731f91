"""Directories that only have another name: found among the steps of a plan.

A renamed directory shows as one that is gone and one that is new, and both hold the same. Said so,
it is one system call on the machine instead of a change for each file. Nothing here decides what
is to happen, only that two steps are one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from towline.core.entry import Directory, Entry
from towline.core.path import is_below
from towline.core.reconcile import Step, Verdict


@dataclass(frozen=True, slots=True)
class Rename:
    """`entry`, a directory with all in it, is to be at `target` and no longer at `source`."""

    source: str
    target: str
    entry: Directory


def renames_among(steps: Sequence[Step], remote: Callable[[str], Entry | None]) -> list[Rename]:
    """Return the renames that some of the steps, two each, amount to.

    `remote` says what the machine holds at a path.
    """
    arriving = [step for step in steps if _arrives(step) and remote(step.path) is None]
    departing = [step for step in steps if step.verdict is Verdict.PUSH and step.entry is None]
    renames: list[Rename] = []
    for step in arriving:
        gone = next((one for one in departing if remote(one.path) == step.entry), None)
        if gone is None or not isinstance(step.entry, Directory):
            continue
        if is_below(step.path, gone.path) or is_below(gone.path, step.path):
            continue
        departing.remove(gone)
        renames.append(Rename(gone.path, step.path, step.entry))
    return renames


def _arrives(step: Step) -> bool:
    is_filled = isinstance(step.entry, Directory) and bool(step.entry.children)
    return is_filled and step.verdict is Verdict.PUSH
