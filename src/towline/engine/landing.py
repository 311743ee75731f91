"""What became of changes: the trees learn what each side did, the planner what it would not.

Returns what both sides agree on from now on; writing that down is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from towline.core.change import Change, Outcome, Result
from towline.core.entry import Entry, shallow
from towline.core.rename import Rename
from towline.core.tree import Tree
from towline.core.wire.frames import ProtocolError
from towline.core.wire.messages import Applied
from towline.core.wire.telling import rows_of
from towline.engine.flights import Flights
from towline.engine.notices import Notices
from towline.engine.plan import Planner
from towline.engine.push import Group
from towline.engine.trees import Trees

Agreed = list[tuple[str, Entry | None]]


class Landing:
    """`ignores` goes by the rules of now: they may have changed since a change was sent."""

    def __init__(
        self,
        trees: Trees,
        flights: Flights,
        planner: Planner,
        notices: Notices,
        ignores: Callable[[str, Entry | None], bool],
    ) -> None:
        self._trees = trees
        self._flights = flights
        self._planner = planner
        self._notices = notices
        self._ignores = ignores

    def there(self, group: Group, applied: Applied) -> Agreed:
        """The machine has answered. Raises `ProtocolError` if that is no answer to the group."""
        as_planned = (Result(change.path, Outcome.DONE) for change in group.changes[: applied.done])
        results = [*as_planned, *applied.results]
        if [result.path for result in results] != [change.path for change in group.changes]:
            raise ProtocolError("an answer to other changes than were sent")
        if group.rename is not None:
            return self._rename(group.rename, results[0])
        agreed: Agreed = []
        for change, result in zip(group.changes, results, strict=True):
            agreed += self._one(change, result, "machine", self._trees.remote, self._trees.local)
        return agreed

    def here(self, landed: Sequence[tuple[Change, Result]]) -> Agreed:
        """Changes from the machine were carried out on the laptop."""
        agreed: Agreed = []
        for change, result in landed:
            agreed += self._one(change, result, "laptop", self._trees.local, self._trees.remote)
        return agreed

    def _one(self, change: Change, result: Result, side: str, tree: Tree, other: Tree) -> Agreed:
        path, agreed = change.path, Agreed()
        moment = self._flights.moment_of(path)
        if result.kept is not None:
            self._notices.conflict(path, result.kept, side)
        match result.outcome:
            case Outcome.DONE if self._ignores(path, change.new):
                self._planner.succeeded(path)
            case Outcome.DONE:
                tree.put_shallow(path, change.new)
                agreed.append((path, change.new))
                agreed += ((gone, None) for gone in self._trees.gone_below(path))
                self._planner.succeeded(path)
                self._notices.clear(side, path)
            case Outcome.FAILED if result.problem is not None:
                self._planner.failed(change, result.problem, side, moment)
                self._notices.problem(side, result.problem)
            case _:
                if result.outcome is Outcome.REFUSED and not self._ignores(path, result.actual):
                    tree.put_shallow(path, result.actual)
                self._planner.refused(path, side, moment)
        is_last = self._flights.land(path)
        if is_last and result.outcome is Outcome.DONE and shallow(other.get(path)) != change.new:
            # It went on its way when nothing had to be done any more: undone before it was sent.
            self._flights.restore({path: moment})
        return agreed

    def _rename(self, rename: Rename, result: Result) -> Agreed:
        """A directory has another name on the machine, too; if not, its files go one by one."""
        for path in (rename.source, rename.target):
            if result.outcome is not Outcome.DONE:
                self._planner.refused(path, "machine", self._flights.moment_of(path))
            self._flights.land(path)
        if result.outcome is not Outcome.DONE:
            return []
        agreed: Agreed = []
        for path, entry in [(rename.source, None), *rows_of(rename.target, rename.entry)]:
            if not self._ignores(path, entry):
                self._trees.remote.put_shallow(path, entry)
                agreed.append((path, entry))
            self._planner.succeeded(path)
        return agreed
