"""What could not follow, found and named: nothing is left behind in silence.

Questions are collected while modules run; `settle` asks the heap once and answers them. Closures
and instances that can still follow are brought along there.
"""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Iterable
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from towline.notebook.reload.census import Census, heirs, replace_in, subclasses_of, threads_inside
from towline.notebook.reload.diff import Diff
from towline.notebook.reload.journal import Journal
from towline.notebook.reload.merge import is_simple
from towline.notebook.reload.names import MISSING
from towline.notebook.reload.patch import (
    GENERATORS,
    can_take,
    forward,
    patch_code,
    rebuilt,
    same_behaviour,
)
from towline.notebook.reload.peek import is_dict, is_tuple, kind_of
from towline.notebook.reload.reach import walk
from towline.notebook.reload.report import Left
from towline.notebook.reload.taint import CONSTRUCTORS

if TYPE_CHECKING:
    from towline.notebook.reload.transaction import Transaction


class Leftovers:
    """What one reload may leave behind."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._census = Census()
        self._said: dict[tuple[str, str], Left] = {}
        self._codes: dict[int, tuple[CodeType, CodeType, str, bool]] = {}  # Old, new, name, same.
        self._changed: dict[int, str] = {}  # Code that behaves otherwise now: its function's name.
        self._kept: list[CodeType] = []  # So that no id of theirs is given to another.
        self._constructors: dict[int, tuple[type, str, str, set[str]]] = {}
        self._replaced: list[tuple[str, Any, Any]] = []
        self._properties: list[tuple[type, str]] = []

    def say(self, name: str, reason: str, next_step: str) -> None:
        self._said[name, reason] = Left(name, reason, next_step)

    def close(self) -> None:
        self._census.close()
        self._codes.clear()
        self._kept.clear()
        self._constructors.clear()
        self._replaced.clear()
        self._properties.clear()

    # Questions

    def search(self, code: CodeType) -> list[FunctionType]:
        """Look through the heap now for functions with some code: they are in no module."""
        return [
            f for f in gc.get_referrers(code) if isinstance(f, FunctionType) and f.__code__ is code
        ]

    def code_changed(self, old: CodeType, new: CodeType, label: str) -> None:
        self._kept.append(old)
        self._changed[id(old)] = label
        if old.co_flags & GENERATORS:
            self._census.ask_for_functions([old])

    def nested_changed(self, old: CodeType, new: CodeType, label: str, same: bool) -> None:
        """A function made inside another: those that were made before may be held anywhere."""
        self._kept.append(old)
        self._codes[id(old)] = (old, new, label, same)
        if not same:
            self._changed[id(old)] = label
        self._census.ask_for_functions([old])

    def constructor_changed(self, label: str, kind: type, changes: Diff) -> None:
        touched = [
            unit for unit in (*changes.changed, *changes.vanished) if unit.name in CONSTRUCTORS
        ]
        if not touched:
            return
        before = _attributes_set(unit.node for unit in changes.vanished)
        gained = _attributes_set(unit.node for unit in changes.changed) - before
        self._ask_about(kind, label, touched[0].name, gained)

    def class_made_again(self, label: str, old: type, new: type) -> None:
        """Ask for instances if the new class makes them otherwise."""
        for name in CONSTRUCTORS:
            a, b = old.__dict__.get(name), new.__dict__.get(name)
            if not _same_code(a, b):
                self._ask_about(old, label, name, _fields(new) - _fields(old))
                return
        if _fields(old) != _fields(new) or _defaults(old) != _defaults(new):
            self._ask_about(old, label, "fields", _fields(new) - _fields(old))

    def _ask_about(self, kind: type, label: str, name: str, gained: set[str]) -> None:
        self._constructors[id(kind)] = (kind, label, name, gained)
        self._census.ask_for_instances(heirs(kind))

    def value_replaced(self, label: str, old: Any, new: Any) -> None:
        """A name holds another object now: somebody may still have the old one."""
        if is_simple(old) or isinstance(old, ModuleType):
            return
        self._replaced.append((label, old, new))
        self._census.ask_for([old])
        if isinstance(old, type):
            self._census.ask_for_instances(heirs(old))

    def cached_property_changed(self, module: str, name: str, value: Any) -> None:
        owner: Any = sys.modules.get(module)
        for part in name.split(".")[:-1]:
            owner = getattr(owner, part, None)
        if isinstance(owner, type) and value.attrname:
            self._properties.append((owner, value.attrname))
            self._census.ask_for_instances(heirs(owner))

    # Answers

    def settle(self, transaction: Transaction) -> list[Left]:
        twins = transaction.merge.twins
        forwarded = {id(function) for function in transaction.merge.forwarded}
        self._replaced = [entry for entry in self._replaced if id(entry[1]) not in forwarded]
        # No closure here: its cells would hold what is asked for.
        known = forwarded | {id(entry[1]) for entry in self._replaced}
        fresh = [entry for entry in transaction.merge.replaced if id(entry[1]) not in known]
        self._replaced += fresh
        self._census.ask_for(entry[1] for entry in fresh)
        self._census.ask_for(new for new, _ in twins)
        self._census.ask_for(member for _, member in transaction.merge.gone)
        self._census.take()
        self._bring_closures()
        self._swap_twins(twins, self._ours(transaction) | {id(twins)})
        self._name_running()
        self._empty_properties()
        self._name_instances(_inside_values(transaction))
        ours = self._ours(transaction)
        for label, old, new in self._replaced:
            self._settle_replaced(label, old, new, ours)
        for label, member in transaction.merge.gone:
            self._name_holders(label, member, "deleted", ours)
        return list(self._said.values())

    def _bring_closures(self) -> None:
        """Give closures that were made before the code that they would be made with now."""
        held: dict[str, int] = {}
        for function in self._census.functions_with(self._codes):
            _, new, label, same = self._codes[id(function.__code__)]
            if can_take(function, new):
                patch_code(function, new, self._journal)
            elif (made := rebuilt(function, new)) is not None:
                forward(function, made, self._journal)
            elif not same:
                held[label] = held.get(label, 0) + 1
        for label, count in held.items():
            what = "1 live closure captures" if count == 1 else f"{count} live closures capture"
            self.say(label, f"{what} other variables", f"call {_maker(label)} again")

    def _swap_twins(self, twins: list[tuple[Any, Any]], ours: set[int]) -> None:
        for new, old in twins:
            own = vars(new) if isinstance(new, type) else None
            for holder in self._census.holders(new, ours):
                if own is None or not _is_part_of(holder, new):
                    self._journal.keep(holder)
                    replace_in(holder, new, old)
            if isinstance(new, type):
                for instance in self._census.instances([new]):
                    _move(instance, old, self._journal)

    def _name_running(self) -> None:
        for label, count in self._census.running(self._changed).items():
            what = "1 running generator" if count == 1 else f"{count} running generators"
            self.say(label, f"{what} or coroutine keeps old code", "start it again")
        for label, thread in threads_inside(self._changed):
            self.say(label, f"running in {thread} with old code", "wait for it, or start it again")

    def _empty_properties(self) -> None:
        for owner, name in self._properties:
            for instance in self._census.instances(heirs(owner)):
                if name in getattr(instance, "__dict__", {}):
                    self._journal.drop(instance.__dict__, name)

    def _name_instances(self, known: set[int]) -> None:
        for kind, label, name, gained in self._constructors.values():
            found = [one for one in self._census.instances(heirs(kind)) if id(one) not in known]
            lacking = [word for word in sorted(gained) if any(_lacks(one, word) for one in found)]
            count = _live(len(found))
            if lacking:
                self.say(label, f"{count} without .{', .'.join(lacking)}", "re-create")
            elif found:
                self.say(label, f"{count} made by the old {name}", "re-create if that matters")

    def _settle_replaced(self, label: str, old: Any, new: Any, ours: set[int]) -> None:
        if isinstance(old, type):
            self._settle_class(label, old, new, ours)
        else:
            self._name_holders(label, old, "old value" if new is not MISSING else "deleted", ours)

    def _settle_class(self, label: str, old: type, new: Any, ours: set[int]) -> None:
        stuck = 0
        for instance in self._census.instances([old]):
            follows = isinstance(new, type) and new.__name__ == old.__name__
            stuck += not (follows and _move(instance, new, self._journal))
        if stuck:
            why = "deleted" if new is MISSING else "another layout"
            self.say(label, f"{why}: {_live(stuck)} keep the old class", "re-create")
        for heir in subclasses_of(old):
            if _is_alive(heir):
                self._rebase(label, heir, old, new)
        self._name_holders(label, old, "old class" if new is not MISSING else "deleted", ours)

    def _rebase(self, label: str, heir: type, old: type, new: Any) -> None:
        bases = tuple(new if base is old else base for base in heir.__bases__)
        try:
            self._journal.assign(heir, "__bases__", bases)
        except TypeError:
            self.say(
                f"{heir.__module__}.{heir.__qualname__}",
                f"keeps the old base {label}",
                "define it again",
            )

    def _name_holders(self, label: str, old: Any, what: str, ours: set[int]) -> None:
        count = 0
        for holder in self._census.holders(old, ours):
            if _counts(holder, old):
                count += 1
        if count:
            places = "1 place" if count == 1 else f"{count} places"
            self.say(label, f"{what} still held in {places}", "make again what holds it")

    def _ours(self, transaction: Transaction) -> set[int]:
        held = {id(entry) for entry in (*self._replaced, *transaction.merge.replaced)}
        held |= {id(entry) for entry in (*transaction.merge.twins, *transaction.merge.gone)}
        held |= {id(entry) for entry in transaction.values.values()}
        held |= {id(entry) for entry in self._constructors.values()}
        return held | transaction.journal.ours() | transaction.merge.ours()


def _inside_values(transaction: Transaction) -> set[int]:
    """Return what was made in this reload, or is on its way out in it."""
    pairs = [(module, old, new) for (module, _), (old, new, _) in transaction.values.items()]
    return {id(one) for module, *values in pairs for one in walk(values, module)}


def _is_alive(heir: type) -> bool:
    module: Any = sys.modules.get(heir.__module__)
    return getattr(module, heir.__name__, None) is heir or heir.__module__ == "__main__"


def _is_part_of(holder: Any, kind: type) -> bool:
    return holder is kind.__dict__ or holder is kind.__mro__


def _counts(holder: Any, old: Any) -> bool:
    """Whether a holder is somebody's, and not a part of the old object itself."""
    if isinstance(old, type):
        return _holds_class(holder, old)
    if is_dict(holder):
        return "__builtins__" not in holder or holder.get("__name__") == "__main__"
    return not isinstance(holder, FrameType | ModuleType)


def _holds_class(holder: Any, old: type) -> bool:
    if isinstance(holder, dict):
        return _counts(holder, None)
    if isinstance(holder, tuple):
        parts = [part for kind in heirs(old) for part in (kind.__mro__, kind.__bases__)]
        return not any(holder is part for part in parts)
    return isinstance(holder, list | set)


def _move(instance: Any, kind: type, journal: Journal) -> bool:
    before = kind_of(instance)
    try:
        object.__setattr__(instance, "__class__", kind)
    except (TypeError, AttributeError):
        return False
    journal.undone_by(object.__setattr__, instance, "__class__", before)
    return True


def _lacks(instance: Any, name: str) -> bool:
    if name in getattr(instance, "__dict__", {}):
        return False
    if is_tuple(instance):
        fields: tuple[str, ...] = getattr(kind_of(instance), "_fields", ())
        return name in fields and fields.index(name) >= len(instance)
    return not any(name in kind.__dict__ for kind in kind_of(instance).__mro__)


def _attributes_set(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the attributes that constructors give to `self`."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.FunctionDef) and node.name in CONSTRUCTORS:
            for inner in ast.walk(node):
                if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
                    found.add(inner.attr)
    return found


def _fields(kind: type) -> set[str]:
    found = set(kind.__dict__.get("__dataclass_fields__", ()))
    return found | set(kind.__dict__.get("_fields", ()))


def _defaults(kind: type) -> list[str]:
    fields = kind.__dict__.get("__dataclass_fields__", {})
    return [
        f"{name}={field.default!r}" for name, field in fields.items() if is_simple(field.default)
    ]


def _same_code(a: Any, b: Any) -> bool:
    a, b = (getattr(one, "__func__", one) for one in (a, b))
    if isinstance(a, FunctionType) and isinstance(b, FunctionType):
        return same_behaviour(a.__code__, b.__code__)
    return a is b or type(a) is type(b) is not FunctionType


def _maker(label: str) -> str:
    return label.rpartition(".<locals>.")[0].rpartition(".")[2] + "()"


def _live(count: int) -> str:
    return "1 live object" if count == 1 else f"{count} live objects"
