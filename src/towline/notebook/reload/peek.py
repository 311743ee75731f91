"""Looks at objects of unknown type, in words that the type checkers can follow."""

from __future__ import annotations

from typing import Any, TypeGuard


def kind_of(value: object) -> Any:
    """Return an object's class."""
    return type(value)


def is_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def is_set(value: object) -> TypeGuard[set[Any]]:
    return isinstance(value, set)


def is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)


def file_of(module: object) -> str:
    """Return where a module is from, "" if that is not known. It is not asked: what loads itself
    when it is used, and what raises then, stays as it is."""
    try:
        found: object = object.__getattribute__(module, "__dict__").get("__file__")
    except AttributeError:
        return ""
    return found if isinstance(found, str) else ""


def attributes_of(value: Any) -> dict[str, Any]:
    """Return what an object's attributes lie in; of a class or an object without them, a copy."""
    found: Any = getattr(value, "__dict__", None)
    return found if is_dict(found) else dict[str, Any](found or {})
