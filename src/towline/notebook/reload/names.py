"""The notebook's names, and names in modules that no statement of theirs binds: they follow, too.

A name follows if it came from `from x import y`. That is known from the cell's text where it was
shown (`saw`, or IPython's own history); else it is judged by the object: same name and same object,
or an object that only that module can have made.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import MutableMapping
from typing import Any

from towline.notebook.reload.journal import Journal
from towline.notebook.reload.merge import is_simple
from towline.notebook.reload.peek import attributes_of, is_list

MISSING: Any = object()
HISTORY = "_ih"  # Where IPython keeps the cells that ran.


class Names:
    """What the notebook imported from where, and its names that must follow."""

    def __init__(self, namespace: MutableMapping[str, object] | None) -> None:
        self.namespace: MutableMapping[str, Any] = {} if namespace is None else namespace
        self._imported: dict[str, tuple[str, str]] = {}
        self._stars: set[str] = set()
        self._told = False
        self._read = 0

    def saw(self, cell: str) -> None:
        """Note the from-imports of a cell. What is not plain Python says nothing."""
        self._told = True
        if "import" not in cell:
            return
        try:
            tree = ast.parse("\n".join(map(_without_magic, cell.split("\n"))))
        except (SyntaxError, ValueError):
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    if alias.name == "*":
                        self._stars.add(node.module)
                    else:
                        self._imported[alias.asname or alias.name] = (node.module, alias.name)

    def read_history(self) -> None:
        """Catch up with IPython's history, if this is its namespace."""
        history = self.namespace.get(HISTORY)
        if not is_list(history):
            return
        for cell in history[self._read :]:
            if isinstance(cell, str):
                self.saw(cell)
        self._read = len(history)

    def follow(
        self, module: str, name: str, old: Any, new: Any, made_there: bool, journal: Journal
    ) -> list[str]:
        """Rebind what came from a name of a module; return those that hold what is gone."""
        left: list[str] = []
        if old is MISSING:
            self._take_new(module, name, new, journal)
            return left
        for bound, value in list(self.namespace.items()):
            if value is not old or not self._came_from(bound, module, name, old, made_there):
                continue
            if new is MISSING:
                if made_there or self._imported.get(bound) == (module, name):
                    left.append(bound)
            else:
                journal.put(self.namespace, bound, new)
        return left

    def _came_from(self, bound: str, module: str, name: str, old: Any, made_there: bool) -> bool:
        if bound.startswith("_") and bound != name:
            return False  # IPython's `_`, `_3`, `__`: results, not imports.
        if is_simple(old) and self._is_anothers(bound, (module, name), old):
            return False
        if bound in self._imported:
            _, attribute = self._imported[bound]
            return attribute == name or not is_simple(old)
        if self._told:
            return bound == name and (bool(self._stars) or not is_simple(old))
        return bound == name or (made_there and not is_simple(old))

    def _is_anothers(self, bound: str, place: tuple[str, str], value: Any) -> bool:
        """Whether it came from elsewhere and is there still: any `True` is the same object."""
        stars = ((star, bound) for star in self._stars)
        origins = (self._imported[bound],) if bound in self._imported else stars
        return any(origin != place and holds(*origin, value) for origin in origins)

    def _take_new(self, module: str, name: str, new: Any, journal: Journal) -> None:
        if module in self._stars and not name.startswith("_") and name not in self.namespace:
            journal.put(self.namespace, name, new)


def holds(module: str, name: str, value: Any) -> bool:
    """Whether a name of a module holds an object now."""
    return attributes_of(sys.modules.get(module)).get(name, MISSING) is value


def _without_magic(line: str) -> str:
    return "pass" if line.lstrip()[:1] in ("%", "!", "?") and line[:1] in ("%", "!", "?") else line
