"""Who holds what cannot be changed in place: at most one look at the whole heap for a reload.

`gc.get_referrers` takes all its targets at once; what it costs grows with the heap and, slowly,
with the targets (10 M objects: 0.3 s for one, 0.6 s for twenty), so it is asked only when something
may be left behind.
"""

from __future__ import annotations

import gc
import sys
import threading
from abc import ABCMeta
from collections import Counter
from collections.abc import Iterable
from types import (
    AsyncGeneratorType,
    CellType,
    CodeType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
)
from typing import Any

from towline.notebook.reload.peek import is_dict, is_list, is_set, kind_of

RUNNING = (GeneratorType, CoroutineType, AsyncGeneratorType)


class Census:
    """Targets, and after `take` who refers to them."""

    def __init__(self) -> None:
        self._targets: dict[int, Any] = {}
        self._codes: dict[int, CodeType] = {}
        self._kinds: dict[int, type] = {}
        self._found: list[Any] = []
        self._holders: dict[int, list[Any]] = {}

    def ask_for(self, targets: Iterable[Any]) -> None:
        """Ask who refers to some objects."""
        for target in targets:
            self._targets[id(target)] = target

    def ask_for_functions(self, codes: Iterable[CodeType]) -> None:
        """Ask for functions, generators and coroutines that have some code."""
        self._codes.update((id(code), code) for code in codes)

    def ask_for_instances(self, kinds: Iterable[type]) -> None:
        self._kinds.update((id(kind), kind) for kind in kinds)

    def close(self) -> None:
        self._targets.clear()
        self._codes.clear()
        self._kinds.clear()
        self._found.clear()
        self._holders.clear()

    def take(self) -> None:
        """Look through the heap once, if anything was asked for."""
        asked = {**self._targets, **self._codes, **self._kinds}
        targets = tuple(asked.values())
        asked.clear()  # Or it would be found.
        if targets:
            self._found = [one for one in gc.get_referrers(*targets) if one is not targets]
        self._sort_holders()

    def functions_with(self, codes: dict[int, Any]) -> list[FunctionType]:
        return [
            found
            for found in self._found
            if isinstance(found, FunctionType) and id(found.__code__) in codes
        ]

    def running(self, codes: dict[int, str]) -> Counter[str]:
        """Count generators and coroutines that stand inside some code, by its name."""
        counts: Counter[str] = Counter()
        for found in self._found:
            if isinstance(found, RUNNING):
                code, frame = _state(found)
                if frame is not None and id(code) in codes:
                    counts[codes[id(code)]] += 1
        return counts

    def instances(self, kinds: Iterable[type]) -> list[Any]:
        wanted = {id(kind) for kind in kinds}
        return [found for found in self._found if id(kind_of(found)) in wanted]

    def holders(self, target: Any, ours: set[int]) -> list[Any]:
        """Return what refers to one target, itself no part of this reload."""
        own = {id(self._targets), id(self._codes), id(self._kinds), id(self._found)}
        found = self._holders.get(id(target), ())
        return [one for one in found if id(one) not in ours and id(one) not in own]

    def _sort_holders(self) -> None:
        for found in self._found:
            if isinstance(found, FrameType):
                continue
            for inner in gc.get_referents(found):
                if id(inner) in self._targets:
                    self._holders.setdefault(id(inner), []).append(found)


def _state(running: Any) -> tuple[CodeType, FrameType | None]:
    for prefix in ("gi", "cr", "ag"):
        code = getattr(running, f"{prefix}_code", None)
        if code is not None:
            return code, getattr(running, f"{prefix}_frame")
    raise TypeError(running)


def subclasses_of(kind: type) -> list[type]:
    return type.__subclasses__(kind)


def forget_instance_checks() -> None:
    """Abstract classes remember which classes are theirs: let them ask again."""
    waiting: list[type] = [object]
    seen: set[int] = set()
    while waiting:
        kind = waiting.pop()
        if id(kind) not in seen:
            seen.add(id(kind))
            waiting += subclasses_of(kind)
            if isinstance(kind, ABCMeta):
                kind_of(kind)._abc_caches_clear(kind)


def heirs(kind: type) -> list[type]:
    """Return a class and everything below it."""
    found: list[type] = [kind]
    for child in found:
        found += [heir for heir in subclasses_of(child) if heir not in found]
    return found


def threads_inside(codes: dict[int, str]) -> list[tuple[str, str]]:
    """Return (name of the code, name of the thread) for each thread that stands inside some."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    found: list[tuple[str, str]] = []
    for ident, top in sys._current_frames().items():  # pyright: ignore[reportPrivateUsage]
        frame: FrameType | None = top
        while frame is not None:
            if id(frame.f_code) in codes:
                found.append((codes[id(frame.f_code)], names.get(ident, "?")))
                break
            frame = frame.f_back
    return found


def replace_in(holder: Any, old: Any, new: Any) -> bool:
    """Put `new` where a container holds `old`; say whether it could be done."""
    if isinstance(holder, CellType):
        holder.cell_contents = new
        return True
    if is_list(holder):
        holder[:] = [new if item is old else item for item in holder]
        return True
    if is_set(holder):
        holder.discard(old)
        holder.add(new)
        return True
    if is_dict(holder):
        if any(key is old for key in holder):
            content = [(new if k is old else k, new if v is old else v) for k, v in holder.items()]
            holder.clear()
            holder.update(content)
        else:
            for key, value in list(holder.items()):
                if value is old:
                    holder[key] = new
        return True
    return False
