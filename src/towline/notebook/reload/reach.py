"""What can be reached from a value without leaving it: the functions inside wrappers and classes.

A decorated function lies in a closure, in an attribute, in a `partial`. Other modules, the globals
of functions and the classes of others are not entered.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Iterable, Iterator
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FrameType,
    FunctionType,
    MethodType,
    ModuleType,
)
from typing import Any

from towline.notebook.reload.peek import is_dict, kind_of

DEPTH_MAX = 8
STEPS_MAX = 20_000  # For one module: what holds more is data.
CONTAINER_MAX = 1_000
LRU = type(functools.lru_cache(lambda: None))
_WRAPPERS = (
    FunctionType,
    MethodType,
    CellType,
    property,
    staticmethod,
    classmethod,
    functools.partial,
    functools.partialmethod,
    functools.cached_property,
    functools.singledispatchmethod,
    LRU,
)
_CONTAINERS = (dict, list, tuple, set, frozenset)
_NEVER = (ModuleType, CodeType, FrameType, BuiltinFunctionType, str, bytes, int, float)


def functions_of(module: ModuleType) -> list[FunctionType]:
    """Return the functions that the names of a module lead to."""
    own = [value for name, value in vars(module).items() if not name.startswith("__")]
    return list(reach(own, module.__name__))


def reach(values: Iterable[Any], module: str) -> Iterator[FunctionType]:
    """Yield the functions inside some values."""
    return (value for value in walk(values, module) if isinstance(value, FunctionType))


def walk(values: Iterable[Any], module: str) -> Iterator[Any]:
    """Yield what is inside some values; only classes of `module` are entered."""
    seen: set[int] = set()
    waiting = [(value, 0) for value in values]
    steps = 0
    while waiting and steps < STEPS_MAX:
        value, depth = waiting.pop()
        if id(value) in seen or isinstance(value, _NEVER):
            continue
        steps += 1
        seen.add(id(value))
        yield value
        if depth < DEPTH_MAX:
            waiting += [(inner, depth + 1) for inner in _inside(value, module)]


def _inside(value: Any, module: str) -> Iterable[Any]:
    if isinstance(value, FunctionType):
        inner: list[Any] = list(value.__closure__ or ())
        return [*inner, *vars(value).values()]
    if isinstance(value, type):
        if value.__dict__.get("__module__") != module:
            return ()
        return list(value.__dict__.values())
    if isinstance(value, _CONTAINERS):
        return _content(value)
    if isinstance(value, _WRAPPERS) or _is_plain(kind_of(value)):
        return gc.get_referents(value)
    return ()


def _content(value: Any) -> Iterable[Any]:
    if len(value) > CONTAINER_MAX or (is_dict(value) and "__builtins__" in value):
        return ()
    return list(value.values()) if is_dict(value) else list(value)


def _is_plain(kind: type) -> bool:
    """Whether instances of a class hold nothing but attributes: no class written in C is below."""
    return all(
        base is object or ("__module__" in base.__dict__ and _heap(base)) for base in kind.__mro__
    )


def _heap(kind: type) -> bool:
    return bool(kind.__flags__ & (1 << 9)) and kind.__module__ != "builtins"


def is_plain(value: Any) -> bool:
    """Whether it is an object that holds nothing but attributes."""
    return not isinstance(value, (*_WRAPPERS, *_CONTAINERS, type)) and _is_plain(kind_of(value))


def is_opaque(value: Any) -> bool:
    """Whether a callable may keep something compiled or computed that cannot be seen."""
    if isinstance(value, (*_WRAPPERS, type)):
        return False
    return not _is_plain(kind_of(value))
