"""What one module has to do in a reload: its two texts, what differs, what is due.

Which statements are due is decided here; running them is `transaction`'s.
"""

from __future__ import annotations

import ast
import copy
import functools
from collections import Counter
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

from towline.notebook.reload.diff import Diff, diff, only_body_changed, same_header
from towline.notebook.reload.effects import FUNCTIONS, Function, names_bound
from towline.notebook.reload.modules import Record
from towline.notebook.reload.reach import functions_of
from towline.notebook.reload.source import Codes, Source, Unit, all_bound, first_line
from towline.notebook.reload.taint import Taint

_WHOLE_BASES = (
    "NamedTuple",
    "TypedDict",
    "Enum",
    "IntEnum",
    "StrEnum",
    "Flag",
    "IntFlag",
    "Protocol",
)


@dataclass(eq=False)
class Work:
    """One module in a reload."""

    record: Record
    old: Source
    new: Source
    diff: Diff
    done: set[int] = field(default_factory=set[int])  # Units that were run or patched.
    forced: set[int] = field(default_factory=set[int])
    touched: bool = False
    ran: set[str] = field(default_factory=set[str])  # Names bound by what was run.
    functions: dict[int, list[FunctionType]] = field(default_factory=dict[int, list[FunctionType]])
    classes: dict[int, Diff] = field(default_factory=dict[int, Diff])
    codes_before: Codes = field(default_factory=Codes)  # The record's, at the old text's lines.

    @property
    def name(self) -> str:
        return self.record.name

    def removed(self) -> set[str]:
        """Return the names that the new text no longer binds."""
        return all_bound(self.diff.vanished) - all_bound(self.new.units)

    @functools.cached_property
    def bound_before(self) -> set[str]:
        """Return the names that the old text bound."""
        return all_bound(self.old.units)

    @functools.cached_property
    def rebound(self) -> set[str]:
        """Return the names that more than one statement binds."""
        counts = Counter(name for unit in self.new.units for name in unit.binds)
        return {name for name, count in counts.items() if count > 1}

    def changed(self, unit: Unit) -> bool:
        return any(unit is other for other in self.diff.changed)

    def before(self, unit: Unit) -> Unit | None:
        """Return the old version of a unit, itself or changed."""
        if unit in self.diff.before:
            return self.diff.before[unit]
        return self._same.get(id(unit))

    @functools.cached_property
    def _same(self) -> dict[int, Unit]:
        return {id(new): old for old, new in self.diff.same}

    def made_before(self, unit: Unit) -> list[FunctionType]:
        """Return the functions that the old version of a definition had made."""
        old = self.before(unit)
        if old is None or not isinstance(old.node, FUNCTIONS):
            return []
        return self.functions.get(id(self.codes_before.get(key_of(old.node))), [])

    def members_changed(self) -> bool:
        """Whether a class has other names in its body than before."""
        diffs = self.classes.values()
        return any(all_bound(inner.changed) != all_bound(inner.vanished) for inner in diffs)

    def enter(self) -> None:
        """Find the functions that are alive in the module, by their code."""
        self.touched = True
        self.codes_before = dict(self.record.codes)
        for function in functions_of(self.record.module):
            self.functions.setdefault(id(function.__code__), []).append(function)

    def class_diff(self, unit: Unit) -> Diff:
        found = self.classes.get(id(unit))
        if found is None:
            old = self.before(unit)
            assert old is not None
            assert isinstance(old.node, ast.ClassDef)
            assert isinstance(unit.node, ast.ClassDef)
            found = diff(self.old.class_units(old.node), self.new.class_units(unit.node))
            self.classes[id(unit)] = found
        return found


def start(record: Record, new: Source) -> Work:
    return Work(record, record.source, new, diff(record.source.units, new.units))


def unchanged(record: Record) -> Work:
    """Return the work of a module whose text stays: it may depend on others that changed."""
    units = record.source.units
    return Work(record, record.source, record.source, Diff(same=[(unit, unit) for unit in units]))


def mark_changes(work: Work, taint: Taint) -> None:
    """Put the marks that the texts alone tell."""
    for unit in work.diff.changed:
        old = work.diff.before.get(unit)
        if old is None:
            if unit.name:
                taint.mark_value((work.name, unit.name))
                taint.mark_behaviour((work.name, unit.name))
        elif isinstance(unit.node, ast.ClassDef):
            _mark_class(work, unit, taint)
        else:
            taint.mark_behaviour((work.name, unit.name))
        for name in unit.analysis.later:
            if name == "<lambda>" and len(unit.binds) == 1:
                taint.mark_behaviour((work.name, next(iter(unit.binds))))
    for name in work.removed():
        taint.mark_value((work.name, name))


def _mark_class(work: Work, unit: Unit, taint: Taint) -> None:
    inner = work.class_diff(unit)
    for statement in [*inner.changed, *inner.vanished]:
        for name in statement.binds:
            key = (work.name, f"{unit.name}.{name}")
            if isinstance(statement.node, FUNCTIONS):
                taint.mark_behaviour(key)
            else:
                taint.mark_value(key)
    if not is_partial(work, unit):
        taint.mark_shape((work.name, unit.name))
        taint.mark_behaviour((work.name, f"{unit.name}.__init__"))


def is_partial(work: Work, unit: Unit) -> bool:
    """Whether the changed statements of a class can be run alone, into the class that is there."""
    old = work.before(unit)
    new = unit.node
    if old is None or not isinstance(old.node, ast.ClassDef) or not isinstance(new, ast.ClassDef):
        return False
    if sum(unit.name in other.binds for other in work.new.units) > 1:
        return False  # Which of them is alive is the last one's to say.
    if not same_header(old.node, new) or getattr(new, "type_params", []):
        return False
    inner = work.class_diff(unit)
    touched = [*inner.changed, *inner.vanished]
    if "__slots__" in names_bound(u.node for u in touched):
        return False
    if any(
        isinstance(u.node, ast.ClassDef | ast.If | ast.For | ast.Try | ast.With) for u in touched
    ):
        return False
    if not _makes_more_of_its_body(new, work):
        return True
    return all(isinstance(u.node, FUNCTIONS) for u in touched) and names_bound(
        u.node for u in inner.changed
    ) == names_bound(u.node for u in inner.vanished)


def _makes_more_of_its_body(node: ast.ClassDef, work: Work) -> bool:
    """Whether a decorator, a metaclass or a base looks at what the body holds."""
    if node.decorator_list or node.keywords:
        return True
    live: Any = work.record.namespace.get(node.name)
    if not isinstance(live, type) or type(live).__name__ not in ("type", "ABCMeta"):
        return True
    bases = [
        base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
        for base in node.bases
    ]
    if any(base in _WHOLE_BASES for base in bases):
        return True
    return any("__init_subclass__" in base.__dict__ for base in live.__mro__[1:-1])


def is_state(node: ast.stmt) -> bool:
    """Whether a statement of a class's body gives the class, not its instances, a value."""
    if isinstance(node, ast.AnnAssign):
        return "ClassVar" in ast.dump(node.annotation)
    return isinstance(node, ast.Assign)


def header_of(work: Work, unit: Unit) -> Unit:
    """Return a class without its body, to ask what only its header depends on."""
    bare = copy.copy(unit.node)
    assert isinstance(bare, ast.ClassDef)
    bare.body = []
    return Unit(work.new, bare, unit.guards)


def body_only(work: Work, unit: Unit) -> bool:
    old = work.diff.before.get(unit)
    return old is not None and only_body_changed(old, unit)


def definitions(old: ast.AST, new: ast.AST) -> list[tuple[Function, Function]]:
    """Pair the functions in two equal pieces of syntax."""
    pairs = zip(ast.walk(old), ast.walk(new), strict=True)
    return [(a, b) for a, b in pairs if isinstance(a, FUNCTIONS) and isinstance(b, FUNCTIONS)]


def touched_by(unit: Unit) -> set[str]:
    """Return the names of the module that a unit binds, or whose objects it changes."""
    return {chain[0] for chain in unit.analysis.now.changes} | unit.binds


def names_deleted(unit: Unit) -> set[str]:
    """Return the names that a `del` takes out of the module."""
    targets = unit.node.targets if isinstance(unit.node, ast.Delete) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def key_of(node: Function) -> tuple[str, int]:
    return (node.name, first_line(node))


def made_there(work: Work, name: str, value: Any) -> bool:
    """Whether the object under a name was made by its statement, not taken from elsewhere."""
    for unit in work.old.units:
        if name in unit.binds and isinstance(unit.node, ast.Assign | ast.AnnAssign):
            return not isinstance(unit.node.value, ast.Name | ast.Attribute)
        if name in unit.binds and unit.is_import:
            return False
    return getattr(value, "__module__", work.name) == work.name
