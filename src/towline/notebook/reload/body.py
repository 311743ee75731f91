"""A class changed inside: only what changed in its body is run, into the class that is there."""

from __future__ import annotations

import ast
from types import CellType, CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from towline.notebook.reload.census import subclasses_of
from towline.notebook.reload.diff import only_body_changed
from towline.notebook.reload.effects import FUNCTIONS, names_bound
from towline.notebook.reload.merge import callable_inside, same_value
from towline.notebook.reload.peek import kind_of
from towline.notebook.reload.source import Unit, all_bound, index_codes
from towline.notebook.reload.work import Work

if TYPE_CHECKING:
    from towline.notebook.reload.transaction import Transaction

MISSING: Any = object()


class _Namespace(dict[str, Any]):
    """What a class body runs in: it finds what the class has already, from statements above."""

    def __init__(self, kind: type) -> None:
        super().__init__()
        self._kind = kind
        self._above: set[str] = set()

    def stand_below(self, statements: list[ast.stmt]) -> None:
        self._above = {mangled(name, self._kind) for name in names_bound(statements)}

    def __missing__(self, name: str) -> Any:
        if name not in self._above:
            raise KeyError(name)
        return self._kind.__dict__[name]


class ClassBody:
    """One class, and the statements of its body that are due."""

    def __init__(self, transaction: Transaction, work: Work, unit: Unit, kind: type) -> None:
        self._transaction = transaction
        self._work = work
        self._unit = unit
        self._kind = kind
        self._diff = work.class_diff(unit)
        before = work.before(unit)
        assert before is not None
        assert isinstance(before.node, ast.ClassDef)
        assert isinstance(unit.node, ast.ClassDef)
        self._before, self._node = before.node, unit.node
        self._label = f"{work.name}.{unit.name}"

    @classmethod
    def of(cls, transaction: Transaction, work: Work, unit: Unit) -> ClassBody | None:
        """Return the body of the class that the unit's name holds, if it still is that class."""
        kind: Any = work.record.namespace.get(unit.name)
        if not isinstance(kind, type) or kind.__qualname__ != unit.name:
            return None
        if kind.__module__ != work.name:
            return None
        return cls(transaction, work, unit, kind)

    def run(self) -> bool:
        due = self._due()
        to_run = [unit for unit in due if not self._patched(unit)]
        self._remove()
        if to_run:
            self._run(to_run)
        self._hash()
        self._docstring()
        self._annotations()
        self._abstract()
        self._transaction.leftovers.constructor_changed(self._label, self._kind, self._diff)
        self._transaction.said[self._label] = "changed in place"
        return True

    def _due(self) -> list[Unit]:
        """Return the changed statements, what depends on them, and what shares a name with them."""
        changed = {id(unit) for unit in self._diff.changed}
        units = [*(new for _, new in self._diff.same), *self._diff.changed]
        units.sort(key=lambda unit: unit.node.lineno)
        names: set[str] = set()
        for unit in self._diff.vanished:
            if unit not in self._diff.before.values():
                names |= unit.binds
        due: list[Unit] = []
        reason = self._transaction.taint.reason
        for unit in units:
            reads = {chain[0] for chain in unit.analysis.now.reads}
            if id(unit) in changed or (unit.binds | reads) & names or reason(self._work.name, unit):
                due.append(unit)
                names |= unit.binds
        return [unit for unit in units if unit in due or self._shares(unit, names, units)]

    def _shares(self, unit: Unit, names: set[str], units: list[Unit]) -> bool:
        """Whether a statement binds a name that others bind, too, as a property's parts do."""
        return any(
            name in names and sum(name in other.binds for other in units) > 1 for name in unit.binds
        )

    def _patched(self, unit: Unit) -> bool:
        old = self._diff.before.get(unit)
        if old is None or not isinstance(unit.node, FUNCTIONS) or not only_body_changed(old, unit):
            return False
        name = f"{self._unit.name}.{unit.name}"
        return self._transaction.in_place.patch_function(self._work, name, old.node, unit.node)

    def _remove(self) -> None:
        bound = all_bound([*self._diff.changed, *(new for _, new in self._diff.same)])
        for unit in self._diff.vanished:
            for name in (mangled(name, self._kind) for name in sorted(unit.binds - bound)):
                if name in self._kind.__dict__:
                    self._transaction.journal.erase(self._kind, name)

    def _run(self, units: list[Unit]) -> None:
        namespace = _Namespace(self._kind)
        for unit in units:
            code = self._exec(unit.node, unit.node, namespace)
            self._work.record.codes.update(index_codes(code))
            cell: Any = namespace.pop("__classcell__", None)
            if isinstance(cell, CellType):
                cell.cell_contents = self._kind
        for bound in sorted(all_bound(units)):
            name = mangled(bound, self._kind)
            if name in namespace:
                self._set(name, _as_type_has_it(name, namespace[name]))

    def _exec(self, place: ast.stmt, statement: ast.stmt, namespace: _Namespace) -> CodeType:
        """Run a statement where one of the body stands."""
        body = self._node.body
        namespace.stand_below(body[: body.index(place)])
        code = self._work.new.class_body(self._node, [statement])
        exec(code, self._work.record.namespace, namespace)  # noqa: S102 - Their own class.
        return code

    def _hash(self) -> None:
        """`type` gives a class no hash if its body says what is equal, but not that."""
        before, after = (
            names_bound(node.body) & {"__eq__", "__hash__"} for node in (self._before, self._node)
        )
        if after == {"__eq__"} != before:
            self._transaction.journal.assign(self._kind, "__hash__", None)
        elif before == {"__eq__"} and not after:
            self._transaction.journal.erase(self._kind, "__hash__")

    def _docstring(self) -> None:
        before, after = (
            ast.get_docstring(node, clean=False) for node in (self._before, self._node)
        )
        if before != after and "__doc__" not in names_bound(self._node.body):
            namespace = _Namespace(self._kind)
            if after is not None:
                self._exec(self._node.body[0], self._node.body[0], namespace)
            self._transaction.journal.assign(self._kind, "__doc__", namespace.get("__doc__"))

    def _set(self, name: str, new: Any) -> None:
        transaction = self._transaction
        old = self._kind.__dict__.get(name, MISSING)
        kept = new
        if old is not MISSING and callable_inside(old):
            kept = transaction.merge.value(old, new, f"{self._label}.{name}")
        elif old is not MISSING and same_value(old, new):
            kept = old
        if kept is not old:
            transaction.journal.assign(self._kind, name, kept)
            announce = getattr(kind_of(kept), "__set_name__", None)
            if announce is not None:
                announce(kept, self._kind, name)
            if not callable_inside(kept):
                transaction.taint.mark_value((self._work.name, f"{self._unit.name}.{name}"))
        transaction.said[f"{self._label}.{name}"] = "changed in place" if kept is old else "is new"

    def _annotations(self) -> None:
        touched = [*self._diff.changed, *self._diff.vanished]
        if not any(isinstance(unit.node, ast.AnnAssign) for unit in touched):
            return
        namespace = _Namespace(self._kind)
        for node in self._node.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                bare = ast.AnnAssign(node.target, node.annotation, None, 1)
                self._exec(node, ast.copy_location(bare, node), namespace)
        self._transaction.journal.assign(
            self._kind, "__annotations__", namespace.get("__annotations__", {})
        )

    def _abstract(self) -> None:
        """Tell an abstract class, and those below it, which methods are still missing."""
        if not hasattr(self._kind, "__abstractmethods__") and type(self._kind) is type:
            return
        from abc import update_abstractmethods

        waiting: list[type] = [self._kind]
        for kind in waiting:
            waiting += [heir for heir in subclasses_of(kind) if heir not in waiting]
            if "__abstractmethods__" in kind.__dict__:
                before = kind.__dict__["__abstractmethods__"]
                self._transaction.journal.undone_by(setattr, kind, "__abstractmethods__", before)
                update_abstractmethods(kind)


def _as_type_has_it(name: str, value: Any) -> Any:
    """Wrap what `type` wraps, unasked, when it makes a class."""
    if isinstance(value, FunctionType) and name == "__new__":
        return staticmethod(value)
    if isinstance(value, FunctionType) and name in ("__init_subclass__", "__class_getitem__"):
        return classmethod(value)
    return value


def mangled(name: str, kind: type) -> str:
    """Return the name that a class really has for `name` in its body."""
    if name.startswith("__") and not name.endswith("__"):
        return f"_{kind.__name__.lstrip('_')}{name}"
    return name
