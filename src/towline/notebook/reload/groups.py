"""Statements that change one object belong together: `L = []` and the `L.append(1)` below it.

If one of them changed or vanished, what it had done must not stay. Where that is one entry under
a known key, or an object that only that statement made, the entry is taken out; else the object
is made again.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from towline.notebook.reload.peek import attributes_of, is_dict, is_set
from towline.notebook.reload.source import Source, Unit, all_bound
from towline.notebook.reload.taint import Key, Taint
from towline.notebook.reload.work import Work, body_only, is_partial

if TYPE_CHECKING:
    from towline.notebook.reload.transaction import Transaction

# How deep it is looked for what a called function changes.
CALLS_MAX = 4
_SILENT = frozenset({"locals", "globals", "print", "warn", "warnings", "logging", "basicConfig"})


class Groups:
    """Finds what old statements did to objects that stay."""

    def __init__(
        self,
        works: dict[str, Work],
        taint: Taint,
        work_of: Callable[[str], Work | None],
        source_of: Callable[[str], Source | None],
    ) -> None:
        self._works = works
        self._taint = taint
        self._work_of = work_of
        self._source_of = source_of

    def settle(self, transaction: Transaction) -> None:
        """Take back, or have made again, what changed or vanished statements had done."""
        for work in list(self._works.values()):
            for unit in self._outdated(work):
                self._settle_unit(transaction, work, unit)
            for unit in work.diff.changed:
                self._make_bound_again(work, unit)
            self._make_rest_again(work)

    def _outdated(self, work: Work) -> Iterator[Unit]:
        """Yield old units whose effects are not those of any new unit."""
        after = {id(old): new for new, old in work.diff.before.items()}
        for unit in work.diff.vanished:
            new = after.get(id(unit))
            in_place = new is not None and (body_only(work, new) or is_partial(work, new))
            now = unit.analysis.now
            if not in_place and (new is None or now.calls or now.changes):
                yield unit

    def _settle_unit(self, transaction: Transaction, work: Work, unit: Unit) -> None:
        keys = self.changes(work.name, work.old, unit)
        settled = False
        self._withdraw_from_receivers(transaction, work, unit)
        for key in sorted(keys):
            if key[1] in unit.binds and key[0] == work.name:
                continue
            settled = True
            if not self._withdraw(transaction, work, unit, key) and not self._force(key):
                settled = False
        set_no_more = _set_inside(unit).difference(*map(_set_inside, work.new.units))
        if not settled and (_has_effect(unit) or set_no_more):
            line = unit.node.lineno
            transaction.leftovers.say(
                work.name,
                f"what its old line {line} did stays",
                "restart the kernel if that matters",
            )

    def changes(self, module: str, source: Source, unit: Unit) -> set[Key]:
        """Return the names of what a statement changes, itself or through what it calls."""
        effects = unit.analysis.now
        found = self._owned(module, source, effects.changes)
        waiting = [(module, chain, 0) for chain in effects.calls]
        seen: set[Key] = set()
        while waiting:
            place, chain, depth = waiting.pop()
            keys = self._old_keys(place, source if place == module else None, chain)
            for key in keys - seen:
                seen.add(key)
                home = source if key[0] == module else self._source_of(key[0])
                later = home.later.get(key[1]) if home is not None else None
                if later is not None and home is not None and depth < CALLS_MAX:
                    found |= self._owned(key[0], home, later.changes)
                    waiting += [(key[0], inner, depth + 1) for inner in later.calls]
        return found

    def _old_keys(self, module: str, source: Source | None, chain: tuple[str, ...]) -> set[Key]:
        keys = self._taint.keys(module, chain)
        if source is not None and chain[0] in source.imports:
            origin, attribute = source.imports[chain[0]]
            keys |= self._taint.keys(
                "", ("", origin, *([attribute] if attribute else []), *chain[1:])
            )
        return keys

    def _owned(self, module: str, source: Source, chains: set[tuple[str, ...]]) -> set[Key]:
        """Return the module-level names behind some chains, where they are made."""
        found: set[Key] = set()
        for chain in chains:
            for key in self._taint.keys(module, chain):
                home = source if key[0] == module else self._source_of(key[0])
                if home is not None and any(
                    key[1] in unit.binds and not unit.is_import for unit in home.units
                ):
                    found.add(key)
        return found

    def _withdraw(self, transaction: Transaction, work: Work, unit: Unit, key: Key) -> bool:
        """Take out of a container what a statement had put in, if that is certain."""
        home = self._work_of(key[0])
        container: Any = home.record.namespace.get(key[1]) if home is not None else None
        entry = entry_of(unit.node)
        if entry is not None and is_dict(container):
            transaction.journal.keep(container)
            container.pop(entry, None)
            return True
        made = work.record.namespace.get(unit.name) if unit.name else None
        return made is not None and _take_out_of(container, made, transaction)

    def before_again(self, transaction: Transaction, work: Work, unit: Unit) -> None:
        """A definition runs again though it did not change: what it had entered is taken out."""
        for key in sorted(self.changes(work.name, work.new, unit)):
            if key[0] == work.name and key[1] in unit.binds:
                continue
            if not self._withdraw(transaction, work, unit, key):
                self._force(key)
        self._withdraw_from_receivers(transaction, work, unit)

    def _withdraw_from_receivers(self, transaction: Transaction, work: Work, unit: Unit) -> None:
        """`@app.route` enters a function into what `app` holds."""
        made = work.record.namespace.get(unit.name) if unit.name else None
        for chain in unit.analysis.now.calls:
            receiver: Any = work.record.namespace.get(chain[0])
            if made is not None and len(chain) > 1 and not isinstance(receiver, ModuleType | type):
                _take_out_of(receiver, made, transaction)

    def _force(self, key: Key) -> bool:
        home = self._work_of(key[0])
        if home is None:
            return False
        makers = [unit for unit in home.new.units if key[1] in unit.binds and not unit.is_import]
        if home.old is home.new and any(unit.name for unit in makers):
            return True
        home.forced.update(id(unit) for unit in makers)
        for unit in home.new.units:
            if any(chain[0] == key[1] for chain in unit.analysis.now.changes):
                home.forced.add(id(unit))
        return bool(makers)

    def _make_bound_again(self, work: Work, unit: Unit) -> None:
        """`x = x + 2` changed: what bound x before it must run, too."""
        for chain in unit.analysis.now.reads:
            if chain[0] in unit.binds and not unit.name:
                self._force((work.name, chain[0]))

    def _make_rest_again(self, work: Work) -> None:
        """One of two statements that bind a name vanished: the other is in force now."""
        paired = {id(old) for old in work.diff.before.values()}
        gone = all_bound(unit for unit in work.diff.vanished if id(unit) not in paired)
        fresh = all_bound(work.diff.changed)
        for unit in work.new.units:
            if unit.binds & (gone - fresh) or (unit.guards and unit.binds & gone):
                work.forced.add(id(unit))


def entry_of(node: ast.stmt) -> Any:
    """Return the key of `D["key"] = ...`."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
        if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            return target.slice.value
    return None


def _take_out_of(holder: Any, made: Any, transaction: Transaction) -> bool:
    """Take an object out of a container, or out of those that an object has as attributes."""
    if type(holder) in (dict, list, set):
        return _take_out(holder, made, transaction)
    inside = list(attributes_of(holder).values())
    found = [
        _take_out(value, made, transaction) for value in inside if type(value) in (dict, list, set)
    ]
    return any(found)


def _take_out(container: Any, made: Any, transaction: Transaction) -> bool:
    transaction.journal.keep(container)
    if is_dict(container):
        names = [name for name, value in container.items() if value is made]
        for name in names:
            del container[name]
        return bool(names)
    if is_set(container):
        had = any(item is made for item in container)
        if had:
            container.discard(made)
        return had
    had = any(item is made for item in container)
    container[:] = [item for item in container if item is not made]
    return had


def _set_inside(unit: Unit) -> set[str]:
    """Return what a statement sets, or deletes, that is no name: `lib.TIMEOUT = 5`."""
    targets = getattr(unit.node, "targets", [getattr(unit.node, "target", None)])
    return {ast.dump(one) for one in targets if isinstance(one, ast.Attribute | ast.Subscript)}


def _has_effect(unit: Unit) -> bool:
    node = unit.node
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call | ast.Await):
        return False
    return not any(set(chain) & _SILENT for chain in unit.analysis.now.calls)
