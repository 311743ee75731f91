"""Functions that keep their place and get a new body, wherever decorators have put them."""

from __future__ import annotations

from types import CodeType, FunctionType
from typing import Any

from towline.notebook.reload.journal import Journal
from towline.notebook.reload.leftovers import Leftovers
from towline.notebook.reload.patch import can_take, nested_pairs, patch_code, same_behaviour
from towline.notebook.reload.reach import is_opaque
from towline.notebook.reload.source import Unit
from towline.notebook.reload.work import Work, key_of


class InPlace:
    """`said` gets what became of each, by its label."""

    def __init__(self, journal: Journal, leftovers: Leftovers, said: dict[str, str]) -> None:
        self._journal = journal
        self._leftovers = leftovers
        self._said = said

    def patch(self, work: Work, unit: Unit) -> bool:
        """Give a function, wherever its decorators have put it, its new body."""
        old = work.before(unit)
        assert old is not None
        value = work.record.namespace.get(unit.name)
        decorated = bool(getattr(unit.node, "decorator_list", ()))
        if decorated and callable(value) and is_opaque(value):
            return False
        return self.patch_function(work, unit.name, old.node, unit.node)

    def patch_function(self, work: Work, name: str, old: Any, new: Any) -> bool:
        before = work.codes_before.get(key_of(old))
        after = work.new.function_code(new)
        if before is None or after is None:
            return False
        found = self._functions(work, before)
        if not found or not all(can_take(function, after) for function in found):
            return False
        self._replace(work, before, after, f"{work.name}.{name}")
        work.record.codes[key_of(new)] = after
        self._said[f"{work.name}.{name}"] = "changed in place"
        return True

    def _functions(self, work: Work, code: CodeType) -> list[FunctionType]:
        found = work.functions.get(id(code))
        if found is None:
            found = self._leftovers.search(code)
            work.functions[id(code)] = found
        return found

    def _replace(self, work: Work, before: CodeType, after: CodeType, label: str) -> None:
        for function in self._functions(work, before):
            patch_code(function, after, self._journal)
        self._leftovers.code_changed(before, after, label)
        for old, new in nested_pairs(before, after):
            inside = f"{label}.<locals>.{old.co_name}"
            work.record.codes[new.co_name, new.co_firstlineno] = new
            self._leftovers.nested_changed(old, new, inside, same_behaviour(old, new))
