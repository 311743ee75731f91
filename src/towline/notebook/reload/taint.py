"""What a change reaches: which values are others now, which functions behave otherwise.

Two marks. A *value* mark on ("pkg.mod", "K"): who read K at import must read it again. A
*behaviour* mark on ("pkg.mod", "build") or ("pkg.mod", "Net.forward"): what was computed at
import by calling it is out of date. Behaviour spreads from a function to those that use it; what
they do when called is not run here, only followed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from types import ModuleType
from typing import Any

from towline.notebook.reload.census import subclasses_of
from towline.notebook.reload.effects import STAR, Chain, Effects
from towline.notebook.reload.modules import Modules, Record
from towline.notebook.reload.peek import kind_of
from towline.notebook.reload.source import Source, Unit

Key = tuple[str, str]  # Module, and a qualified name in it.

CONSTRUCTORS = ("__init__", "__new__", "__post_init__")
SUBCLASSING = ("__init_subclass__", "__set_name__", "__class_getitem__")
OF_CONTAINERS = (
    frozenset(dir(dict)) | frozenset(dir(list)) | frozenset(dir(str)) | frozenset(dir(set))
)
# Of what cannot be told, such a name says nothing: everything has a `__name__`.
OF_ALL = frozenset(dir(type))
FOLLOWED_MAX = 10  # Re-exports of re-exports.


class Taint:
    """The marks of one reload, and the questions about them."""

    def __init__(self, modules: Modules, source_of: Callable[[str], Source | None]) -> None:
        self._modules = modules
        self._source_of = source_of
        self.values: set[Key] = set()
        self.shapes: set[Key] = set()  # Classes whose fields, members or bases are others now.
        self.behaviours: set[Key] = set()
        self.words: set[str] = set()
        self._new: list[Key] = []
        self._homes: set[str] = set()
        self._reached: set[str] = set()

    # Marks

    def mark_value(self, key: Key) -> None:
        if key not in self.values:
            self.values.add(key)
            self._added(key)

    def mark_shape(self, key: Key) -> None:
        if key not in self.shapes:
            self.shapes.add(key)
            self._added(key)

    def mark_behaviour(self, key: Key) -> None:
        if key in self.behaviours:
            return
        self.behaviours.add(key)
        self._added(key)
        for heir in self._heirs(key):
            self.mark_behaviour(heir)

    def _added(self, key: Key) -> None:
        self._new.append(key)
        self.words.add(_word(key[1] or key[0]))

    def _heirs(self, key: Key) -> Iterator[Key]:
        """Yield a method under the names of the subclasses that inherit it."""
        owner, _, method = key[1].rpartition(".")
        kind = self._live(key[0], owner) if owner else None
        if isinstance(kind, type):
            for heir in subclasses_of(kind):
                if method not in heir.__dict__:
                    yield heir.__module__, f"{heir.__qualname__}.{method}"

    def spread(self) -> None:
        """Mark every function that uses what is marked."""
        while self._new:
            self._new.clear()
            for name in sorted(self.concerned()):
                source = self._source_of(name)
                if source is not None:
                    self._spread_into(name, source)

    def _spread_into(self, module: str, source: Source) -> None:
        for name, words in source.later_words.items():
            key = (module, name)
            if (
                key not in self.behaviours
                and words & self.words
                and self._uses(module, source.later[name])
            ):
                self.mark_behaviour(key)

    def _uses(self, module: str, effects: Effects) -> bool:
        marked = self.values | self.behaviours | self.shapes
        for chain in effects.reads:
            for key in self.keys(module, chain):
                if key in marked or self._makes(key):
                    return True
        return self._calls_unnamed(effects)

    # Questions

    def _importers(self) -> set[str]:
        """Return the modules that import what is marked, or import such, as their texts tell."""
        homes = {module for module, _ in self.values | self.behaviours | self.shapes}
        if homes != self._homes:
            self._homes = homes
            self._reached = importers_of(homes, self._modules, self._source_of)
        return self._reached

    def concerned(self) -> set[str]:
        """Return the modules that what is marked may concern."""
        found = ((name, self._source_of(name)) for name in self._importers())
        return {name for name, source in found if source is not None and self.may_concern(source)}

    def may_concern(self, source: Source) -> bool:
        """Whether a text imports what is marked and has a word of it. Nothing is parsed."""
        if source.name not in self._importers():
            return False
        return any(source.mentions(word) for word in self.words) or (
            bool(self.values) and source.mentions("import *")
        )

    def reason(self, module: str, unit: Unit, later: AbstractSet[Key] = frozenset()) -> str:
        """Return which mark makes a unit run again; "" if none does. `later` are names whose mark
        comes from statements below the unit: they are nothing to it."""
        effects = unit.analysis.now
        if not unit.words & self.words and not any(chain[-1] == STAR for chain in effects.reads):
            return ""
        for chain in effects.reads:
            for key in self.keys(module, chain) - later:
                if key in self.values or (key in self.shapes and not unit.is_import):
                    return _dotted(key)
                if key in self.behaviours and self._is_computed(key):
                    return _dotted(key)
        for chain in effects.calls:
            for key in self.keys(module, chain) - later:
                if key in self.behaviours or self._makes(key):
                    return _dotted(key)
        for chain in effects.bases:
            for key in self.keys(module, chain):
                if self._subclassing(key):
                    return _dotted(key)
        return "a method" if self._calls_unnamed(effects) else ""

    def given(self, module: str, unit: Unit) -> bool:
        """Whether a unit hands a function that behaves otherwise to a call."""
        return any(
            key in self.behaviours
            for chain in unit.analysis.now.given
            for key in self.keys(module, chain)
        )

    def _calls_unnamed(self, effects: Effects) -> bool:
        """Whether it calls a method, or reads a property, marked under some class, of what cannot
        be told."""
        called, read = effects.methods - OF_CONTAINERS, effects.touches - OF_ALL
        for key in self.behaviours if called or read else ():
            owner, _, name = key[1].rpartition(".")
            if owner and (name in called or (name in read and self._is_computed(key))):
                return True
        return False

    def _is_computed(self, key: Key) -> bool:
        """Whether reading an attribute runs a method."""
        return isinstance(self._live(*key), property | functools.cached_property)

    def _makes(self, key: Key) -> bool:
        """Whether calling a class, or an object, runs a method that is marked."""
        value = self._live(*key)
        if value is None or isinstance(value, type):
            return any((key[0], f"{key[1]}.{method}") in self.behaviours for method in CONSTRUCTORS)
        return any(member in self.behaviours for member in self._members(value, "__call__"))

    def _subclassing(self, key: Key) -> bool:
        kind = self._live(*key)
        if not isinstance(kind, type):
            return False
        hooks = [(base, name) for base in kind.__mro__ for name in SUBCLASSING]
        hooks += [
            (meta, name)
            for meta in kind_of(kind).__mro__
            for name in (*CONSTRUCTORS, "__call__", "__prepare__")
        ]
        return any(
            (base.__module__, f"{base.__qualname__}.{name}") in self.behaviours
            for base, name in hooks
        )

    # Names to keys

    def keys(self, module: str, chain: Chain) -> set[Key]:
        """Return everything that a chain of names, read in a module, may mean."""
        if chain[0] == "":
            return self._in_module(chain[1], chain[2:], 0)
        source = self._source_of(module)
        return self._own(module, source, chain, 0) if source is not None else set()

    def _own(self, module: str, source: Source, chain: Chain, depth: int) -> set[Key]:
        keys = {(module, chain[0])}
        if depth > FOLLOWED_MAX:
            return keys
        if chain[0] in source.imports:
            origin, attribute = source.imports[chain[0]]
            rest = chain[1:] if attribute is None else (attribute, *chain[1:])
            return keys | self._in_module(origin, rest, depth + 1)
        value = self._live(module, chain[0])
        if isinstance(value, ModuleType):  # A submodule is a name of its package, unasked.
            return keys | self._in_module(value.__name__, chain[1:], depth + 1)
        if len(chain) > 1:
            keys.add((module, f"{chain[0]}.{chain[1]}"))
            keys |= set(self._members(value, chain[1]))
        for star in source.stars:
            if chain[:1] != (STAR,):
                keys |= self._in_module(star, chain, depth + 1)
        return keys

    def _in_module(self, module: str, rest: Chain, depth: int) -> set[Key]:
        if not rest:
            return {(module, "")}
        below = f"{module}.{rest[0]}"
        keys = {(module, rest[0]), (module, "")}
        if self._modules.get(below) is not None:
            keys |= self._in_module(below, rest[1:], depth)
        source = self._source_of(module)
        if source is None:
            return keys
        if rest[0] == STAR:
            changed = {key for key in self.values if key[0] == module}
            return keys | {key for key in changed if key[1][:1] != "_" or key[1] == "__all__"}
        return keys | self._own(module, source, rest, depth)

    def _members(self, value: Any, name: str) -> Iterable[Key]:
        """Yield an attribute under the classes of ours that may have it."""
        kind = value if isinstance(value, type) else type(value)
        for base in kind.__mro__:
            if base.__module__ != "builtins":
                yield base.__module__, f"{base.__qualname__}.{name}"

    def _live(self, module: str, name: str) -> Any:
        record = self._modules.get(module)
        value: Any = record.namespace if record is not None else {}
        first, *rest = name.split(".")
        value = value.get(first)
        for part in rest:
            value = getattr(value, "__dict__", {}).get(part)
        return value


def importers_of(
    homes: set[str], modules: Iterable[Record], source_of: Callable[[str], Source | None]
) -> set[str]:
    """Return some modules and all that import them, directly or through others."""
    users: dict[str, set[str]] = {}
    reached = set(homes)
    for record in modules:
        source = source_of(record.name)
        imported = source.may_import if source is not None else set[str]()
        if imported is None:
            reached.add(record.name)  # By names computed while it runs: it may import anything.
            continue
        for name in imported:
            users.setdefault(name, set()).add(record.name)
    waiting = list(reached)
    while waiting:
        name = waiting.pop()
        new = set(users.get(name, ()))
        package, _, last = name.rpartition(".")
        while package:  # Who has a package reaches its parts by their names.
            for user in users.get(package, ()):
                source = source_of(user)
                if source is not None and source.mentions(last):
                    new.add(user)
            package = package.rpartition(".")[0]
        waiting += new - reached
        reached |= new
    return reached


def _word(name: str) -> str:
    """Return the word by which users of a name can be found in a text."""
    parts = [
        part for part in name.split(".") if not (part.startswith("__") and part.endswith("__"))
    ]
    return parts[-1] if parts else name


def _dotted(key: Key) -> str:
    return f"{key[0]}.{key[1]}"
