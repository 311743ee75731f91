"""One reload: runs what is due, module by module in the order of imports, all of it or nothing.

It raises what the modules' own code raises; whoever calls it then has the journal take all back.
What could not follow is collected in `left`.
"""

from __future__ import annotations

import ast
import builtins
import functools
import sys
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from towline.notebook.reload.body import ClassBody
from towline.notebook.reload.census import forget_instance_checks
from towline.notebook.reload.groups import Groups
from towline.notebook.reload.inplace import InPlace
from towline.notebook.reload.journal import Journal
from towline.notebook.reload.leftovers import Leftovers
from towline.notebook.reload.lines import move_lines
from towline.notebook.reload.merge import Merge, same_value
from towline.notebook.reload.modules import Modules, Record
from towline.notebook.reload.names import MISSING, Names, holds
from towline.notebook.reload.peek import attributes_of, is_dict
from towline.notebook.reload.reach import LRU, is_opaque, is_plain, reach, walk
from towline.notebook.reload.report import Left
from towline.notebook.reload.runs import Runs, changed_below, not_yet_bound
from towline.notebook.reload.source import RAN, Source, Unit, all_bound, first_line, index_codes
from towline.notebook.reload.taint import Key, Taint
from towline.notebook.reload.work import (
    Work,
    body_only,
    header_of,
    is_partial,
    is_state,
    made_there,
    mark_changes,
    names_deleted,
    start,
    touched_by,
    unchanged,
)

ROUNDS_MAX = 5  # Modules that import each other may need another look.
COSTLY_S = 1.0  # An import that took longer is not repeated for a value that may be the same.


class Transaction:
    """Everything one reload knows while it runs."""

    def __init__(
        self,
        modules: Modules,
        changed: list[tuple[Record, Source]],
        names: Names,
        journal: Journal,
    ) -> None:
        self.journal = journal
        self.merge = Merge(self.journal)
        self._modules = modules
        self._names = names
        self._sources = {record.name: source for record, source in changed}
        self.taint = Taint(modules, self.source_of)
        self.works = {record.name: start(record, source) for record, source in changed}
        self.values: dict[Key, tuple[Any, Any, bool]] = {}  # Old, new, and whether made there.
        self.leftovers = Leftovers(self.journal)
        self._groups = Groups(self.works, self.taint, self._work_of, self.source_of)
        self.touched: list[str] = []
        self.said: dict[str, str] = {}
        self._runs = Runs(self.taint)
        self._kept: set[Key] = set()
        self.in_place = InPlace(self.journal, self.leftovers, self.said)

    def source_of(self, name: str) -> Source | None:
        if name in self._sources:
            return self._sources[name]
        record = self._modules.get(name)
        return record.source if record is not None else None

    def run(self, new_modules: list[str]) -> list[Left]:
        """Carry it out; return what is left behind."""
        self.journal.keep_imports()
        for name in new_modules:
            self.taint.mark_value((name, ""))
        for work in self.works.values():
            mark_changes(work, self.taint)
        self.taint.spread()
        self._groups.settle(self)
        for _ in range(ROUNDS_MAX):
            ran = [self._run_module(work) for work in self._in_order()]
            if not any(ran):
                break
        for work in self.works.values():
            move_lines(self, work)
        self._clear_caches()
        self._forget_what_classes_are()
        self._follow_names()
        for work in self.works.values():
            work.functions.clear()  # So that they are not found as held, by us.
        return self.leftovers.settle(self)

    def close(self) -> None:
        """Let go of everything old, so that the next reload does not find it held."""
        self.journal.close()
        self.works.clear()
        self.values.clear()
        self.merge.close()
        self.leftovers.close()

    def names_from(self, record: Record) -> list[str]:
        """Return the notebook's names that hold a module, or something made in it."""
        return sorted(
            name
            for name, value in self._names.namespace.items()
            if not name.startswith("_")
            and (value is record.imported or getattr(value, "__module__", None) == record.name)
        )

    # Which modules, in which order

    def _work_of(self, name: str) -> Work | None:
        if name not in self.works:
            record = self._modules.get(name)
            if record is None:
                return None
            self.works[name] = unchanged(record)
        return self.works[name]

    def _in_order(self) -> Iterator[Work]:
        """Yield the modules that may have something to run, imported ones first."""
        found = self.taint.concerned()
        concerned = set(self.works) | {name for name in found if self._modules.get(name)}
        seen: set[str] = set()
        ordered: list[str] = []
        first = sorted(concerned, key=self._order_of)
        for name in first:
            self._visit(name, concerned, seen, ordered)
        for name in ordered:
            if (work := self._work_of(name)) is not None:
                yield work

    def _order_of(self, name: str) -> tuple[int, str]:
        record = self._modules.get(name)
        return record.order if record is not None else 0, name

    def _visit(self, name: str, concerned: set[str], seen: set[str], ordered: list[str]) -> None:
        if name in seen:
            return
        seen.add(name)
        source = self.source_of(name) or self._modules.not_loaded(name)
        imported = source.imported if source is not None else set[str]()
        needed = [other for other in imported if other in concerned or other not in sys.modules]
        for other in sorted(needed, key=self._order_of):
            self._visit(other, concerned, seen, ordered)
        if name in concerned:
            ordered.append(name)

    # A module

    def _run_module(self, work: Work) -> bool:
        """Run what is due in it; say whether anything was."""
        self.taint.spread()
        self._clear_caches()
        ran = False
        if work.removed() and not work.touched:
            self.enter(work)
            self._remove_names(work)
        for unit in work.new.units:
            if id(unit) in work.done and not self._runs.is_outdated(work, unit):
                continue
            if id(unit) in work.forced or work.changed(unit):
                ran = self._take_over(work, unit) or ran
            elif reason := self.taint.reason(work.name, unit, self._runs.marked_below(work, unit)):
                ran = self._again(work, unit, reason) or ran
            elif self.taint.given(work.name, unit) and not self._follows(work, unit):
                ran = self._run_unit(work, unit) or ran
        return ran

    def enter(self, work: Work) -> None:
        if work.touched:
            return
        work.enter()
        self.touched.append(work.name)
        namespace = work.record.namespace
        self.journal.keep_namespace(namespace)
        self.journal.undone_by(setattr, work.record, "codes", work.codes_before)
        for value in list(namespace.values()):
            self.journal.keep(value)

    def _keep_what_it_changes(self, work: Work, unit: Unit) -> None:
        """A statement may change what other modules hold, and whatever it calls a method of."""
        now = unit.analysis.now
        keys = self._groups.changes(work.name, work.new, unit)
        for chain in now.changes | {chain[:-1] for chain in now.calls if len(chain) > 1}:
            keys |= self.taint.keys(work.name, chain)
        for module, name in keys - self._kept:
            record = self._modules.get(module)
            if record is not None and not name:
                self.journal.keep_namespace(record.namespace)
            elif record is not None:
                for value in walk([record.namespace.get(name)], module):
                    self.journal.keep(attributes_of(value) if is_plain(value) else value)
        self._kept |= keys

    def _remove_names(self, work: Work) -> None:
        namespace = work.record.namespace
        for name in sorted(work.removed()):
            if name in namespace:
                self._changed_value(work, name, namespace[name], MISSING)
                del namespace[name]

    def _take_over(self, work: Work, unit: Unit) -> bool:
        self.enter(work)
        if id(unit) not in work.forced:
            if body_only(work, unit) and self.in_place.patch(work, unit):
                work.done.add(id(unit))
                return True
            if isinstance(unit.node, ast.ClassDef) and self._into_class(work, unit):
                return True
        return self._run_unit(work, unit)

    def _again(self, work: Work, unit: Unit, reason: str) -> bool:
        """Run a unit that did not change itself, but depends on what did."""
        self.enter(work)
        if isinstance(unit.node, ast.ClassDef) and self._into_class(work, unit):
            return True
        if not unit.name and not unit.is_import and work.record.seconds > COSTLY_S:
            work.done.add(id(unit))
            for name in sorted(unit.binds):
                self.leftovers.say(
                    f"{work.name}.{name}",
                    f"stale: {reason} changed",
                    "its import is slow: reload it by hand",
                )
            return False
        if unit.name:
            self._groups.before_again(self, work, unit)
        return self._run_unit(work, unit, reason)

    # A unit

    def _run_unit(self, work: Work, unit: Unit, reason: str = "") -> bool:
        self.enter(work)
        work.done.add(id(unit))
        work.forced.discard(id(unit))
        self._runs.begin(unit)
        self._name_circles(work, unit)
        self._supply(work, unit)
        work.done.add(id(unit))  # What it was supplied with may have asked for it again.
        work.forced.discard(id(unit))
        namespace = work.record.namespace
        before = dict(namespace)
        self._keep_what_it_changes(work, unit)
        code = unit.code()
        hidden = {name: namespace.pop(name) for name in not_yet_bound(work, unit)}
        try:
            exec(code, namespace)  # noqa: S102 - The person's own module.
        except ImportError as error:
            if work.changed(unit) or not unit.is_import:
                raise
            self.leftovers.say(f"{work.name}", f"imports what is gone: {error.msg}", "edit it")
            return True
        finally:
            ran = namespace.pop(RAN, not unit.guards)
            for name, value in hidden.items():
                namespace.setdefault(name, value)
        work.record.codes.update(index_codes(code))
        if not ran:
            self._drop_unbound(work, unit)
            return True
        work.ran |= unit.binds
        self._docstring(work, unit)
        for name in [name for name, value in namespace.items() if before.get(name) is not value]:
            self._settle(work, unit, name, before.get(name, MISSING), namespace.get(name, MISSING))
            if reason:
                self.said[f"{work.name}.{name}"] = f"made again, because {reason} changed"
        self._keep_stand_in(work)
        self._runs.force_later_binders(work, unit)
        self._runs.end(unit)
        return True

    def _keep_stand_in(self, work: Work) -> None:
        """What a module puts in its own place anew goes into what stands there: others hold it."""
        record, new = work.record, sys.modules.get(work.name)
        if new is record.imported:
            return
        old = record.stand_in
        if old is not None and type(old) is type(new) and self._poured(old, new) is old:
            self.journal.put(sys.modules, work.name, old)
            return
        self.journal.undone_by(setattr, record, "stand_in", old)
        record.stand_in = new
        self.leftovers.say(work.name, "put another object in its place", "import it again")

    def _name_circles(self, work: Work, unit: Unit) -> None:
        """Say where running statements again may not end where a restart would."""
        what = ""
        if not self._runs.may_run(unit):
            what = "statements that feed each other in a circle"
        elif isinstance(unit.node, ast.ClassDef) and unit.name in work.rebound and not unit.guards:
            what = f"{unit.name} is defined twice"
        if what:
            self.leftovers.say(work.name, what, "restart the kernel to be sure")

    def _supply(self, work: Work, unit: Unit) -> None:
        """Let what a unit reads be as it was when the unit ran first: statements below it may have
        bound it anew, changed it, or deleted it."""
        namespace = work.record.namespace
        for name in changed_below(work, unit):
            for other in work.new.units:
                if other is unit:
                    break
                again = self._runs.is_again(unit)  # What it had done to the object is in there.
                if name in touched_by(other) and self._runs.is_stale(
                    work, other, name, again=again
                ):
                    self._run_unit(work, other)
        effects = unit.analysis.now
        names = {chain[0] for chain in effects.reads | effects.calls | effects.bases if chain[0]}
        missing = {name for name in names if name not in namespace and not hasattr(builtins, name)}
        if not missing:
            return
        for other in work.new.units:
            if other is unit:
                break
            if other.binds & missing and id(other) not in work.done:
                self._run_unit(work, other)
        for other in work.new.units:
            if isinstance(other.node, ast.Delete) and names_deleted(other) & missing:
                work.forced.add(id(other))
                work.done.discard(id(other))

    def _settle(self, work: Work, unit: Unit, name: str, old: Any, new: Any) -> None:
        """Decide what a name holds after its statement ran."""
        if new is old or new is MISSING:
            return
        namespace = work.record.namespace
        kept = new
        if old is not MISSING:
            if same_value(old, new):
                kept = old
            elif (place := self._predecessor(work, unit, name, old, new)) is not MISSING:
                kept = self._merged(work, unit, name, place, new)
        if kept is not new:
            namespace[name] = kept
        if kept is not old:
            self._changed_value(work, name, old, kept)
            self.said.setdefault(f"{work.name}.{name}", "has a new value")
        else:
            self.said.setdefault(f"{work.name}.{name}", "changed in place")
            if isinstance(old, FunctionType):
                self.taint.mark_behaviour((work.name, name))  # Its defaults may be others.

    def _merged(self, work: Work, unit: Unit, name: str, old: Any, new: Any) -> Any:
        label = f"{work.name}.{name}"
        before = work.before(unit)
        alone = sum(name in other.binds for other in work.new.units) == 1
        if isinstance(unit.node, ast.ClassDef) and before is not None and alone:
            inner = work.class_diff(unit)
            removed = {n for u in inner.vanished for n in u.binds}
            state = {n for _, u in inner.same for n in u.binds if is_state(u.node)}
            due = {n for _, u in inner.same for n in u.binds if self.taint.reason(work.name, u)}
            self.merge.bodies[label] = (removed, state - due)
        if isinstance(old, type) and isinstance(new, type):
            self.leftovers.class_made_again(label, old, new)
        kept = self.merge.value(old, new, label)
        if kept is new and unit.name and type(old) is type(new) and not isinstance(old, type):
            kept = self._poured(old, new)
        return kept

    def _poured(self, old: Any, new: Any) -> Any:
        """Give an object that a decorator made the attributes of the one it makes now."""
        attributes = getattr(old, "__dict__", None)
        if is_opaque(old) or not is_dict(attributes):
            return new
        self.journal.keep(attributes)
        attributes.clear()
        attributes.update(attributes_of(new))
        self.merge.replaced = [entry for entry in self.merge.replaced if entry[1] is not old]
        return old

    def _predecessor(self, work: Work, unit: Unit, name: str, old: Any, new: Any) -> Any:
        """Return the object in whose place the new one was made; MISSING if there is none."""
        if unit.name not in work.rebound or unit.guards or not isinstance(new, FunctionType):
            return old if self._is_successor(work, unit, name, old, new) else MISSING
        # `def _` below `def _`: the name may hold the function of another one.
        made = work.made_before(unit)
        for held in (old, self.values.get((work.name, name), (old,))[0]):
            if any(inner is one for inner in reach([held], work.name) for one in made):
                return held
        code = new.__code__
        is_own = (code.co_name, code.co_firstlineno) == (unit.name, first_line(unit.node))
        return made[0] if made and is_own else MISSING

    def _is_successor(self, work: Work, unit: Unit, name: str, old: Any, new: Any) -> bool:
        """Whether the new object was made in place of the old one, and is no other's."""
        if unit.is_import:
            return False
        if unit.name:
            return work.before(unit) is not None or unit.name in work.bound_before
        namespace = work.record.namespace
        others = [value for other, value in namespace.items() if other != name]
        if any(value is old or value is new for value in others):
            return False
        home: Any = sys.modules.get(getattr(new, "__module__", None) or "")
        known = attributes_of(home).get(getattr(new, "__name__", ""))
        if known is new and home is not work.record.module:
            return False
        return getattr(old, "__qualname__", None) == getattr(new, "__qualname__", None)

    def _changed_value(self, work: Work, name: str, old: Any, new: Any) -> None:
        key = (work.name, name)
        first = self.values.get(key)
        is_own = first[2] if first else made_there(work, name, old)
        self.values[key] = (first[0] if first else old, new, is_own)
        self.taint.mark_value(key)
        self._runs.note_change(key)

    def _drop_unbound(self, work: Work, unit: Unit) -> None:
        """A branch is no longer taken: what only it had bound is gone."""
        namespace = work.record.namespace
        for name in unit.binds & work.bound_before:
            binders = [u for u in work.new.units if name in u.binds]
            guarded = all(u.guards and id(u) in work.done for u in binders)
            if guarded and name in namespace and name not in work.ran:
                self._changed_value(work, name, namespace[name], MISSING)
                del namespace[name]

    def _docstring(self, work: Work, unit: Unit) -> None:
        if unit.node is work.new.tree.body[0] and isinstance(unit.node, ast.Expr):
            work.record.namespace["__doc__"] = ast.get_docstring(work.new.tree, clean=False)

    def _follows(self, work: Work, unit: Unit) -> bool:
        """Whether what a unit made of a function leads to that very function."""
        namespace = work.record.namespace
        if not unit.binds:
            return True  # Handed on for later: what was handed on has the new code.
        for name in unit.binds:
            value = namespace.get(name)
            if value is None or is_opaque(value) or not any(reach([value], work.name)):
                return False
        return True

    def _into_class(self, work: Work, unit: Unit) -> bool:
        """Run only what changed in a class's body, or depends on what did."""
        if not is_partial(work, unit):
            return False
        if self.taint.reason(work.name, header_of(work, unit)):
            return False
        body = ClassBody.of(self, work, unit)
        if body is None or not body.run():
            return False
        work.done.add(id(unit))
        return True

    # At the end

    def _clear_caches(self) -> None:
        """Results that a changed function, or one that uses it, has cached are no longer true."""
        for module, name in self.taint.behaviours:
            record = self._modules.get(module)
            value: Any = record.namespace.get(name.partition(".")[0]) if record else None
            for part in name.split(".")[1:]:
                value = getattr(value, "__dict__", {}).get(part)
            for inner in walk([value], module):
                if type(inner) is LRU:
                    inner.cache_clear()
                elif isinstance(inner, functools.cached_property):
                    self.leftovers.cached_property_changed(module, name, inner)

    def _forget_what_classes_are(self) -> None:
        """What `isinstance` and `singledispatch` found for a class is out of date once it has other
        members or bases."""
        if not self.taint.shapes and not any(w.members_changed() for w in self.works.values()):
            return
        forget_instance_checks()
        for record in self._modules:
            for value in list(record.namespace.values()):
                known = vars(value) if isinstance(value, FunctionType) else {}
                if "registry" in known and "_clear_cache" in known:
                    known["_clear_cache"]()

    def _follow_names(self) -> None:
        self._names.read_history()
        for (module, name), (old, new, is_own) in self.values.items():
            if old is new:
                continue
            if old is not MISSING:
                self._follow_in_modules(module, name, old, new)
                if is_own:
                    self.leftovers.value_replaced(f"{module}.{name}", old, new)
            held = self._names.follow(module, name, old, new, is_own, self.journal)
            for bound in held if new is MISSING else ():
                self.leftovers.say(
                    f"{module}.{name}", "deleted", f"the notebook still holds it: `del {bound}`"
                )

    def _follow_in_modules(self, module: str, name: str, old: Any, new: Any) -> None:
        """Rebind names that no statement binds: set by `__getattr__`, or by a star."""
        for record in self._modules:
            space = record.namespace
            source = self.source_of(record.name)
            if space.get(name, MISSING) is not old or (record.name, name) in self.values:
                continue
            if source is None or name in all_bound(source.units):
                continue
            if any(star != module and holds(star, name, old) for star in source.stars):
                continue  # It came from there.
            if new is not MISSING:
                self.journal.put(space, name, new)
            elif module in source.stars:
                self.journal.drop(space, name)
