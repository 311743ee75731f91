"""Make an old object like a new one, so that all who hold the old one have the new.

`Merge.value(old, new)` returns what the name is to hold: `old`, changed in place, where that is
possible; else `new`. What could not be changed in place is listed in `replaced`.
"""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

from towline.notebook.reload import enums
from towline.notebook.reload.journal import Journal
from towline.notebook.reload.patch import (
    can_take,
    copy_attributes,
    forward,
    patch_code,
    set_cell,
)
from towline.notebook.reload.peek import is_dict
from towline.notebook.reload.reach import LRU, reach

_SKIPPED = frozenset(
    {"__dict__", "__weakref__", "__slots__", "_abc_impl", "__module__", "_abc_registry"}
    | {"_member_map_", "_member_names_", "_value2member_map_"}
)
_SIMPLE = (int, str, bytes, float, complex, bool, type(None), type(...))
UNSETTABLE = ("__name__", "__class__")  # `type` has attributes of these names.
COMPARED_MAX = 10_000


class Merge:
    """Merges the objects of one reload; everything goes through its journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._results: dict[
            tuple[int, int], tuple[Any, Any, Any]
        ] = {}  # With both, so ids stay theirs.
        self.replaced: list[tuple[str, Any, Any]] = []  # Name, the old object, the new one.
        self.twins: list[tuple[Any, Any]] = []  # What was made, and what it was poured into.
        self.forwarded: list[FunctionType] = []
        self.gone: list[tuple[str, Any]] = []  # Enum members that are no more.
        self.bodies: dict[str, tuple[set[str], set[str]]] = {}  # Of a class: removed, to be kept.

    def close(self) -> None:
        self._results.clear()
        self.replaced.clear()
        self.twins.clear()
        self.forwarded.clear()
        self.gone.clear()

    def ours(self) -> set[int]:
        return {id(entry) for entry in self._results.values()}

    def value(self, old: Any, new: Any, label: str) -> Any:
        """Return what a name that held `old` is to hold, now that `new` was made for it."""
        if old is new or is_simple(old):
            return new
        key = (id(old), id(new))
        if key in self._results:
            return self._results[key][2]
        self._results[key] = (old, new, old)  # While it is being merged: it may contain itself.
        kept = self._merged(old, new, label)
        self._results[key] = (old, new, kept)
        if kept is not old:
            self.replaced.append((label, old, new))
        elif kept is old and callable(new):
            self.twins.append((new, old))
        return kept

    def _merged(self, old: Any, new: Any, label: str) -> Any:
        if isinstance(old, type) and isinstance(new, type):
            return self._class(old, new, label)
        if type(old) is not type(new):
            return new
        if isinstance(old, FunctionType):
            return self._function(old, new, label)
        if isinstance(old, staticmethod | classmethod):
            return self._around(old, new, label)
        if isinstance(old, property):
            return self._property(old, new, label)
        if isinstance(old, functools.cached_property):
            self.value(old.func, new.func, label)
            return new
        if type(old) is functools.partial:
            return self._partial(old, new, label)
        if type(old) is LRU:
            return self._cached(old, new, label)
        return new

    # Functions and what is around them

    def _function(self, old: FunctionType, new: FunctionType, label: str) -> Any:
        if old.__globals__ is not new.__globals__:
            return new
        if not can_take(old, new.__code__):
            forward(old, new, self._journal)
            self.forwarded.append(old)
            return new
        self._cells(old, new, label)
        copy_attributes(old, new, self._journal)
        patch_code(old, new.__code__, self._journal)
        for name, value in vars(new).items():
            had = vars(old).get(name)
            kept = self.value(had, value, label) if had is not None else value
            self._journal.put(vars(old), name, kept)
        return old

    def _cells(self, old: FunctionType, new: FunctionType, label: str) -> None:
        names = old.__code__.co_freevars
        for name, cell, made in zip(
            names, old.__closure__ or (), new.__closure__ or (), strict=True
        ):
            if name == "__class__" or cell is made:
                continue
            try:
                before, after = cell.cell_contents, made.cell_contents
            except ValueError:
                continue
            set_cell(cell, self._captured(before, after, label), self._journal)

    def _captured(self, before: Any, after: Any, label: str) -> Any:
        same = type(before) is type(after) and callable(after)
        if same and getattr(before, "__qualname__", 0) == getattr(after, "__qualname__", 1):
            return self.value(before, after, label)
        return after

    def _around(self, old: Any, new: Any, label: str) -> Any:
        inside = self.value(old.__func__, new.__func__, label)
        return old if inside is old.__func__ else new

    def _property(self, old: property, new: property, label: str) -> property:
        same = True
        for before, after in ((old.fget, new.fget), (old.fset, new.fset), (old.fdel, new.fdel)):
            if before is None or after is None:
                same = same and before is after
            else:
                same = self.value(before, after, label) is before and same
        return old if same and old.__doc__ == new.__doc__ else new

    def _partial(self, old: Any, new: Any, label: str) -> Any:
        function = self._captured(old.func, new.func, label)
        state: Any = (old.func, old.args, old.keywords, vars(old) or None)
        self._journal.undone_by(old.__setstate__, state)
        old.__setstate__((function, new.args, new.keywords, vars(new) or None))
        return old

    def _cached(self, old: Any, new: Any, label: str) -> Any:
        inside = self.value(old.__wrapped__, new.__wrapped__, label)
        old.cache_clear()
        if inside is old.__wrapped__ and old.cache_parameters() == new.cache_parameters():
            return old
        return new

    # Classes

    def _class(self, old: type, new: type, label: str) -> type:
        if not self._fits(old, new) or _unsettable(old, new):
            return new
        if old.__bases__ != new.__bases__ and not self._take_bases(old, new):
            return new
        self._claim(new, old)
        if enums.is_enum(old):
            self.gone += enums.merge_members(old, new, self._journal)
        self._attributes(old, new, label)
        return old

    def _fits(self, old: type, new: type) -> bool:
        """Whether instances of the old class can go on as instances of the new one."""
        if type(old) is not type(new) or old.__name__ != new.__name__:
            return False
        slots = [kind.__dict__.get("__slots__") for kind in (old, new)]
        return slots[0] == slots[1] and old.__basicsize__ == new.__basicsize__

    def _take_bases(self, old: type, new: type) -> bool:
        try:
            self._journal.assign(old, "__bases__", new.__bases__)
        except TypeError:  # CPython: from `object` alone, or another layout.
            return False
        return True

    def _claim(self, new: type, old: type) -> None:
        """Point the `__class__` that the new methods know, for `super()`, to the old class."""
        for function in _methods(new):
            for name, cell in zip(
                function.__code__.co_freevars, function.__closure__ or (), strict=True
            ):
                if name == "__class__" and _contents(cell) is new:
                    set_cell(cell, old, self._journal)

    def _attributes(self, old: type, new: type, label: str) -> None:
        members = enums.members_of(old)
        removed, unchanged = self.bodies.get(label, (None, set[str]()))
        for name, value in list(new.__dict__.items()):
            if name in _SKIPPED or type(value).__name__ in (
                "member_descriptor",
                "getset_descriptor",
            ):
                continue
            if members and (name in members or enums.holds_member(value)):
                continue
            had = old.__dict__.get(name)
            if name in unchanged and had is not None:
                continue  # What was counted or collected in it goes on.
            kept = value
            if had is not None and callable_inside(had):
                kept = self.value(had, value, f"{label}.{name}")
            if kept is not had and name not in UNSETTABLE:
                self._journal.assign(old, name, kept)
        for name in set(old.__dict__) - set(new.__dict__) - _SKIPPED - members:
            if removed is None or name in removed or _is_special(name):
                self._journal.erase(old, name)


def _unsettable(old: type, new: type) -> bool:
    """Whether they define otherwise what CPython lets nobody set on a class that is there."""
    for name in UNSETTABLE:
        before, after = old.__dict__.get(name), new.__dict__.get(name)
        both = isinstance(before, property) and isinstance(after, property)
        if before is not after and not both:
            return True
    return False


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def callable_inside(value: Any) -> bool:
    return callable(value) or isinstance(value, staticmethod | classmethod | property)


def _methods(kind: type) -> list[FunctionType]:
    return list(reach(kind.__dict__.values(), kind.__module__))


def _contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def is_simple(value: Any) -> bool:
    """Whether a value has no identity that anyone could care for."""
    if type(value) in (tuple, frozenset):
        return len(value) <= COMPARED_MAX and all(map(is_simple, value))
    return type(value) in _SIMPLE


def same_value(old: Any, new: Any) -> bool:
    """Whether nobody can tell two values apart, identity aside. Only built-in data is compared."""
    if old is new:
        return True
    if type(old) is not type(new):
        return False
    if type(old) in _SIMPLE:
        return bool(old == new) and repr(old) == repr(new)
    if type(old) in (list, tuple):
        return len(old) == len(new) <= COMPARED_MAX and all(map(same_value, old, new))
    if is_dict(old) and type(old) is dict:
        if len(old) != len(new) or len(old) > COMPARED_MAX:
            return False
        pairs = zip(old.items(), new.items(), strict=True)
        return all(same_value(a[0], b[0]) and same_value(a[1], b[1]) for a, b in pairs)
    if type(old) in (set, frozenset):
        return len(old) <= COMPARED_MAX and all(map(is_simple, old)) and old == new
    return False
