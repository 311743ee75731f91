"""Change functions where they are: the same object, other code.

A function whose captured variables differ cannot take the new code; it gets a code that forwards
every call to the new function.
"""

from __future__ import annotations

from types import CellType, CodeType, FunctionType
from typing import Any

from towline.notebook.reload.journal import Journal

_MARK = "towline: the function that replaces this one"
_ATTRIBUTES = (
    "__defaults__",
    "__kwdefaults__",
    "__doc__",
    "__name__",
    "__qualname__",
    "__module__",
)
GENERATORS = 0x20 | 0x80 | 0x200  # Generator, coroutine, asynchronous generator.


def _forward(*args: Any, **kwargs: Any) -> Any:
    target: Any = "towline: the function that replaces this one"
    return target(*args, **kwargs)


def forwarding_code(old: CodeType, new: FunctionType) -> CodeType:
    """Return code that calls `new`, fit for a function with the free variables of `old`."""
    template = _forward.__code__
    constants = tuple(new if constant == _MARK else constant for constant in template.co_consts)
    return template.replace(
        co_consts=constants,
        co_freevars=old.co_freevars,
        co_name=old.co_name,
        co_filename=old.co_filename,
        co_firstlineno=old.co_firstlineno,
    )


def can_take(function: FunctionType, code: CodeType) -> bool:
    return function.__code__.co_freevars == code.co_freevars


def patch_code(function: FunctionType, code: CodeType, journal: Journal) -> None:
    journal.assign(function, "__code__", code)


def forward(function: FunctionType, target: FunctionType, journal: Journal) -> None:
    """Have a function that someone may hold call another one."""
    code = forwarding_code(function.__code__, target)
    journal.assign(function, "__defaults__", None)
    journal.assign(function, "__kwdefaults__", None)
    journal.assign(function, "__code__", code)


def rebuilt(function: FunctionType, code: CodeType) -> FunctionType | None:
    """Return a closure with new code over the variables that `function` holds, if it has all."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    if not set(code.co_freevars) <= set(cells):
        return None
    closure = tuple(cells[name] for name in code.co_freevars)
    made = FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, closure
    )
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def set_cell(cell: CellType, value: Any, journal: Journal) -> None:
    try:
        old = cell.cell_contents
    except ValueError:  # Empty.
        return
    journal.undone_by(setattr, cell, "cell_contents", old)
    cell.cell_contents = value


def copy_attributes(old: FunctionType, new: FunctionType, journal: Journal) -> None:
    for name in _ATTRIBUTES:
        if getattr(old, name) is not getattr(new, name):
            journal.assign(old, name, getattr(new, name))
    if old.__annotations__ != new.__annotations__:
        journal.assign(old, "__annotations__", dict(new.__annotations__))
    parameters: Any = getattr(new, "__type_params__", None)
    if parameters is not None:
        journal.assign(old, "__type_params__", parameters)


def same_behaviour(a: CodeType, b: CodeType) -> bool:
    """Whether two code objects do the same, wherever they stand."""
    if (a.co_code, a.co_names, a.co_varnames, a.co_freevars, a.co_cellvars, a.co_flags) != (
        *(b.co_code, b.co_names, b.co_varnames, b.co_freevars, b.co_cellvars, b.co_flags),
    ):
        return False
    if len(a.co_consts) != len(b.co_consts):
        return False
    return all(_same_constant(x, y) for x, y in zip(a.co_consts, b.co_consts, strict=True))


def _same_constant(x: Any, y: Any) -> bool:
    if isinstance(x, CodeType) and isinstance(y, CodeType):
        return same_behaviour(x, y)
    return type(x) is type(y) and repr(x) == repr(y)


def nested_pairs(old: CodeType, new: CodeType) -> list[tuple[CodeType, CodeType]]:
    """Pair the functions inside two versions of a function by name, in their order."""
    waiting: dict[str, list[CodeType]] = {}
    for constant in old.co_consts:
        if isinstance(constant, CodeType):
            waiting.setdefault(constant.co_name, []).append(constant)
    pairs: list[tuple[CodeType, CodeType]] = []
    for constant in new.co_consts:
        if isinstance(constant, CodeType) and waiting.get(constant.co_name):
            before = waiting[constant.co_name].pop(0)
            pairs += [(before, constant), *nested_pairs(before, constant)]
    return pairs
