"""Events and status back from their JSON: the inverse of `as_json`, for logs and other processes.

What another version wrote may lack a field or have one more; the latter is ignored, and what
cannot be understood is None, never an error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from towline.engine.events import EVENT_NAMES, Event, LeftOut, Progress, State, Status

Value = TypeVar("Value")

_TYPES = {name: kind for kind, name in EVENT_NAMES.items()}


def event_from_json(plain: Mapping[str, Any]) -> Event | None:
    kind = _TYPES.get(plain.get("event", ""))
    return None if kind is None else _build(kind, plain)


def status_from_json(plain: Mapping[str, Any]) -> Status | None:
    return _build(Status, plain)


def _build(kind: type[Value], plain: Mapping[str, Any]) -> Value | None:
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    try:
        return kind(**{key: _value(key, item) for key, item in plain.items() if key in names})
    except (TypeError, ValueError):
        return None


def _value(key: str, item: Any) -> Any:
    if key == "state":
        return State(item)
    if item is None:
        return None
    if key == "progress":
        return Progress(**item)
    if key == "left_out":
        return tuple(LeftOut(**each) for each in item)
    if key in ("paths", "last_paths", "steps", "left", "unreadable"):
        return tuple(item)
    return item
