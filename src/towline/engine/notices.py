"""What people should know of a folder: conflicts kept, and paths that cannot be synced for now.

Each is told once. Conflicts are remembered in the workspace's state, problems for as long as they
last. Nothing is resolved here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from towline.core.entry import Directory, Entry, Unsynced
from towline.core.path import join, parents_of
from towline.core.problem import Problem, ProblemKind
from towline.core.tree import Tree
from towline.engine import events
from towline.engine.ancestor import KeptConflict, Store

COPIES_MAX = 10_000  # Of the copies known; the oldest could be told again, were it met again.
PROBLEMS_MAX = 10_000  # Nobody reads so many, and a machine may invent more.


class Notices:
    def __init__(self, store: Store, report: Callable[[events.Event], None]) -> None:
        self.problems: dict[tuple[str, str], Problem] = {}  # By side and path.
        self.unsettled: dict[tuple[str, str], Problem] = {}  # No trouble: it passes by itself.
        self._store = store
        self._report = report
        self._copies = dict.fromkeys(kept.copy for kept in store.conflicts())  # In order.

    def conflict(self, path: str, copy: str, side: str) -> None:
        """A version of `side` lives on as `copy`. One that is known already is not told again."""
        if copy not in self._copies:
            self._copies[copy] = None
            while len(self._copies) > COPIES_MAX:
                del self._copies[next(iter(self._copies))]
            self._store.keep_conflict(path, copy, side)
            self._report(events.ConflictKept(path, copy, side))

    def standing(self, trees: Sequence[Tree]) -> list[KeptConflict]:
        """Return the conflicts that stand. One is settled when its copy is in none of the trees.

        Without trees nobody knows.
        """
        standing: list[KeptConflict] = []
        for kept in self._store.conflicts():
            if trees and not any(tree.get(kept.copy) for tree in trees):
                self._store.forget_conflict(kept.copy)
                self._copies.pop(kept.copy, None)
            else:
                standing.append(kept)
        return standing

    def entry(self, side: str, path: str, entry: Entry | None) -> None:
        """This is at `path` now: a problem, or the end of one."""
        if isinstance(entry, Unsynced):
            self.problem(side, Problem(path, entry.kind, entry.detail))
        elif isinstance(entry, Directory):
            for name, child in entry.children.items():
                self.entry(side, join(path, name), child)
        else:
            self.clear(side, path)

    def problem(self, side: str, problem: Problem) -> None:
        if problem.kind is ProblemKind.UNSETTLED:
            self.clear(side, problem.path)
            self.unsettled[side, problem.path] = problem
            return
        self.unsettled.pop((side, problem.path), None)
        is_room = len(self.problems) < PROBLEMS_MAX or (side, problem.path) in self.problems
        if is_room and self.problems.get((side, problem.path)) != problem:
            self.problems[side, problem.path] = problem
            self._report(events.ProblemFound(problem.path, problem.reason, side))

    @property
    def is_quiet(self) -> bool:
        """Whether there is no trouble that could come to an end."""
        return not self.problems and not self.unsettled

    def clear(self, side: str, path: str) -> None:
        self.problems.pop((side, path), None)
        self.unsettled.pop((side, path), None)

    def gone(self, side: str, replaced: Iterable[str], tree: Tree) -> None:
        """Of what is at and below these paths, only what is in the tree is still trouble."""
        tops = set(replaced)
        for at in [path for known, path in (*self.problems, *self.unsettled) if known == side]:
            is_replaced = not tops.isdisjoint([at, *parents_of(at), ""])
            if is_replaced and not isinstance(tree.get(at), Unsynced):
                self.clear(side, at)
