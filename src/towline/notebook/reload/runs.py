"""Which statements of a module ran in a reload, how often, and which are due again for that.

A statement may read what another, run after it, has made anew; and what stands below it may have
changed what it needs. Nothing is run here.
"""

from __future__ import annotations

from collections import Counter

from towline.notebook.reload.groups import entry_of
from towline.notebook.reload.source import Unit, all_bound
from towline.notebook.reload.taint import Key, Taint
from towline.notebook.reload.work import Work, names_deleted, touched_by

RUNS_MAX = 4  # Of one statement in one reload: two that feed each other come to an end.


class Runs:
    """A clock that ticks with each statement run and each value changed."""

    def __init__(self, taint: Taint) -> None:
        self._taint = taint
        self._now = self._last_change = 0
        self._count: Counter[int] = Counter()
        self._ran_at: dict[int, int] = {}
        self._changed_at: dict[Key, int] = {}

    def begin(self, unit: Unit) -> None:
        self._count[id(unit)] += 1

    def end(self, unit: Unit) -> None:
        self._now += 1
        self._ran_at[id(unit)] = self._now

    def note_change(self, key: Key) -> None:
        """What a name holds is another."""
        self._now += 1
        self._last_change = self._changed_at[key] = self._now

    def may_run(self, unit: Unit) -> bool:
        """Whether it has not run too often."""
        return self._count[id(unit)] < RUNS_MAX

    def is_again(self, unit: Unit) -> bool:
        return self._count[id(unit)] > 1

    def is_outdated(self, work: Work, unit: Unit) -> bool:
        """Whether what a unit read has changed again since it ran."""
        ran_at = self._ran_at.get(id(unit))
        if ran_at is None or ran_at >= self._last_change or not self.may_run(unit):
            return False
        below = self.marked_below(work, unit)
        keys = (
            key for chain in unit.analysis.now.reads for key in self._taint.keys(work.name, chain)
        )
        return any(self._changed_at.get(key, 0) > ran_at for key in keys if key not in below)

    def marked_below(self, work: Work, unit: Unit) -> set[Key]:
        """Return names that only statements below a unit have bound anew in this reload."""
        if not work.rebound:
            return set()
        ran_above: set[str] = set()
        since = self._ran_at.get(id(unit), 0)
        for other in work.new.units:
            if other is unit:
                break
            if self._ran_at.get(id(other), 0) > since:
                ran_above |= other.binds
        return {(work.name, name) for name in work.rebound - ran_above}

    def is_stale(self, work: Work, unit: Unit, name: str, *, again: bool) -> bool:
        """Whether what a unit gave a name is no longer what the name holds."""
        if unit.name and name not in unit.binds:
            return False
        if id(unit) not in work.done:
            return True
        return (again or name in work.rebound) and self.may_run(unit)

    def force_later_binders(self, work: Work, unit: Unit) -> None:
        """What stands below a unit and binds or deletes the same names has its turn after it."""
        after = False
        for other in work.new.units:
            again = self.may_run(other)
            touched = other.binds if other.name else touched_by(other)
            if after and again and touched & unit.binds:
                work.forced.add(id(other))
                work.done.discard(id(other))
            if after and names_deleted(other) & unit.binds:
                work.forced.add(id(other))
                work.done.discard(id(other))
            after = after or other is unit


def not_yet_bound(work: Work, unit: Unit) -> list[str]:
    """Return what a changed statement reads although only statements below it bind it: after
    a restart the name would not be there."""
    if not work.changed(unit):
        return []
    wanted = {chain[0] for chain in unit.analysis.now.reads if chain[0]}
    for other in work.new.units:
        if other is unit:
            break
        wanted -= other.binds
    below = all_bound(work.new.units) - unit.binds
    return sorted(name for name in wanted & below if name in work.record.namespace)


def changed_below(work: Work, unit: Unit) -> list[str]:
    """Return names that a unit needs and that are not, by now, what it would have found."""
    effects = unit.analysis.now
    needed = {chain[0] for chain in effects.reads | effects.calls | effects.bases if chain[0]}
    own = {chain[0] for chain in effects.changes} | (unit.binds & needed)
    if unit.name or entry_of(unit.node) is not None:
        own &= work.rebound
        needed -= {chain[0] for chain in effects.changes} - own  # One entry: others may stay.
    found = set(own)
    after = False
    for other in work.new.units:
        if after:
            found |= (other.binds if other.name else touched_by(other)) & needed
        after = after or other is unit
    return sorted(name for name in found if name not in work.new.imports)
