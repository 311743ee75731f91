"""The undo journal of one reload: every change to a live object is made through it.

An undo is written down before its change is made and may be carried out twice, so that an
interrupt between any two lines leaves nothing half done.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, MutableMapping
from typing import Any

from towline.notebook.reload.peek import attributes_of, is_dict, is_set, kind_of

COPIED_MAX = 20_000  # Containers beyond it are data, which a statement at import does not change.
_COPIED = (dict, list, deque, set, defaultdict, OrderedDict, Counter)
_ABSENT: Any = object()


class Journal:
    """Changes made, with the way back: a function and what to call it with."""

    def __init__(self) -> None:
        self._undo: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def undone_by(self, undo: Callable[..., object], *args: Any) -> None:
        """Write down how to take back what the caller is about to do."""
        self._undo.append((undo, args))

    def assign(self, target: Any, name: str, value: Any) -> None:
        """Set an attribute; of a class, past what its metaclass makes of that."""
        write, erase = _writers(target)
        old = _own(target, name)
        if old is _ABSENT:
            self.undone_by(_quietly, erase, target, name)
        else:
            self.undone_by(write, target, name, old)
        write(target, name, value)

    def erase(self, target: Any, name: str) -> None:
        write, erase = _writers(target)
        old = _own(target, name)
        if old is not _ABSENT:
            self.undone_by(write, target, name, old)
            erase(target, name)

    def put(self, mapping: MutableMapping[Any, Any], key: Any, value: Any) -> None:
        old = mapping.get(key, _ABSENT)
        if old is _ABSENT:
            self.undone_by(mapping.pop, key, None)
        else:
            self.undone_by(mapping.__setitem__, key, old)
        mapping[key] = value

    def drop(self, mapping: MutableMapping[Any, Any], key: Any) -> None:
        old = mapping.get(key, _ABSENT)
        if old is not _ABSENT:
            self.undone_by(mapping.__setitem__, key, old)
            del mapping[key]

    def keep(self, container: Any) -> None:
        """Remember what a container holds, for code of others that may change it."""
        kind = kind_of(container)
        if kind in _COPIED and len(container) <= COPIED_MAX:
            self.undone_by(_refill, container, container.copy())

    def keep_namespace(self, namespace: dict[str, Any]) -> None:
        """Remember a module's names; they are put back one by one, for threads are in there."""
        self.undone_by(_restore_names, namespace, dict(namespace))

    def keep_imports(self) -> None:
        """Remember which modules are there, and where modules are looked for."""
        self.undone_by(_restore_imports, dict(sys.modules), list(sys.path))

    def take_back(self) -> None:
        """Undo everything, the last change first. An interrupt meanwhile waits for the end."""
        interrupted = None
        while self._undo:
            undo, args = self._undo[-1]
            try:
                undo(*args)
            except KeyboardInterrupt as interrupt:
                interrupted = interrupt
                continue  # The same undo again: it may have been cut short.
            except Exception:  # noqa: S110 - The others must be undone all the same.
                pass
            self._undo.pop()
        if interrupted is not None:
            raise interrupted

    def close(self) -> None:
        """Forget the way back, and let go of what was old."""
        self._undo.clear()

    def ours(self) -> set[int]:
        """Return the ids of what the journal itself holds old objects in."""
        return {id(held) for entry in self._undo for held in (entry, entry[1], *entry[1][1:])}


def _refill(container: Any, copy: Any) -> None:
    if not _differs(container, copy):
        return
    container.clear()
    if is_dict(container) or is_set(container):
        container.update(copy)
    else:
        container.extend(copy)


def _restore_names(namespace: dict[str, Any], copy: dict[str, Any]) -> None:
    for name in [name for name in namespace if name not in copy]:
        del namespace[name]
    for name, value in copy.items():
        if namespace.get(name, _ABSENT) is not value:
            namespace[name] = value


def _restore_imports(modules: dict[str, Any], path: list[str]) -> None:
    for name in [name for name in sys.modules if name not in modules]:
        module = sys.modules.pop(name)
        parent, _, child = name.rpartition(".")
        holder: Any = modules.get(parent)
        if holder is not None and attributes_of(holder).get(child) is module:
            delattr(holder, child)
    for name, module in modules.items():
        if sys.modules.get(name) is not module:
            sys.modules[name] = module
    sys.path[:] = path


def _writers(target: Any) -> tuple[Callable[..., object], Callable[..., object]]:
    if isinstance(target, type):
        return type.__setattr__, type.__delattr__
    return setattr, delattr


def _own(target: Any, name: str) -> Any:
    if isinstance(target, type):
        if name == "__bases__":
            return target.__bases__
        return target.__dict__.get(name, _ABSENT)
    return getattr(target, name, _ABSENT)


def _quietly(erase: Callable[..., object], target: Any, name: str) -> None:
    with contextlib.suppress(AttributeError):
        erase(target, name)


def _differs(container: Any, copy: Any) -> bool:
    if len(container) != len(copy):
        return True
    if is_dict(copy):
        pairs = zip(container.items(), copy.items(), strict=True)
        return any(a[0] is not b[0] or a[1] is not b[1] for a, b in pairs)
    if is_set(copy):
        return bool(container != copy)
    return any(a is not b for a, b in zip(container, copy, strict=True))
