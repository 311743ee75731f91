"""What became of changes: the trees learn what each side did, the planner what it would not.

Returns what both sides agree on from now on; writing that down is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

from towline.core.change import Change, Outcome, Result
from towline.core.entry import Entry, File, shallow
from towline.core.path import by_directory, name_of
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
        changes, others = group.changes, applied.results
        told = [result.path for result in others]
        if told != [change.path for change in changes[applied.done :]]:
            raise ProtocolError("an answer to other changes than were sent")
        if group.rename is not None:
            return self._rename(group.rename, (*others, Result(changes[0].path, Outcome.DONE))[0])
        agreed: Agreed = []
        for directory, some in by_directory(changes[: applied.done], attrgetter("path")):
            agreed += self._as_planned(directory, some)
        for change, result in zip(changes[applied.done :], others, strict=True):
            agreed += self._one(change, result, "machine", self._trees.remote, self._trees.local)
        return agreed

    def here(self, landed: Sequence[tuple[Change, Result]]) -> Agreed:
        """Changes from the machine were carried out on the laptop."""
        agreed: Agreed = []
        for change, result in landed:
            agreed += self._one(change, result, "laptop", self._trees.local, self._trees.remote)
        return agreed

    def _as_planned(self, directory: str, changes: Sequence[Change]) -> Agreed:
        """These went as planned on the machine, all in one directory."""
        files = {
            name_of(change.path): change.new
            for change in changes
            if change.old is None and isinstance(change.new, File)
        }
        if len(files) == len(changes) and self._is_plain(directory, files):
            self._trees.remote.add(directory, files)
            self._flights.land_in(directory, [change.path for change in changes])
            return [(change.path, change.new) for change in changes]
        agreed: Agreed = []
        for change in changes:
            done = Result(change.path, Outcome.DONE)
            agreed += self._one(change, done, "machine", self._trees.remote, self._trees.local)
        return agreed

    def _is_plain(self, directory: str, files: Mapping[str, Entry]) -> bool:
        """Whether these files are new to the machine, as they are on the laptop, and no trouble.

        As in a first copy, where asking for each file would take longer than all else. What the
        laptop holds is not ignored.
        """
        if not (self._planner.is_smooth and self._notices.is_quiet):
            return False
        here = self._trees.local.children_in(directory) or {}
        if any(here.get(name) is not new and here.get(name) != new for name, new in files.items()):
            return False
        known = (
            self._trees.remote.children_in(directory),
            self._trees.ancestor.children_in(directory),
        )
        return all(not children or children.keys().isdisjoint(files) for children in known)

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
                    self._notices.entry(side, path, result.actual)
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
