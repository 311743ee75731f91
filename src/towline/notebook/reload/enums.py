"""Enumerations: members keep their identity, get new values, come and go."""

from __future__ import annotations

import enum
from typing import Any

from towline.notebook.reload.journal import Journal
from towline.notebook.reload.peek import attributes_of, kind_of

_MAPS = ("_member_map_", "_value2member_map_")
_NOT_COPIED = ("_name_", "__objclass__")


def is_enum(kind: type) -> bool:
    return isinstance(kind, enum.EnumMeta)


def members_of(kind: type) -> set[str]:
    return set(kind.__dict__.get("_member_map_", ())) if is_enum(kind) else set()


def holds_member(value: Any) -> bool:
    """Whether an entry of an enumeration's class is a member, or leads to one."""
    return isinstance(value, enum.Enum) or isinstance(getattr(value, "member", None), enum.Enum)


def merge_members(old: Any, new: Any, journal: Journal) -> list[tuple[str, Any]]:
    """Give `old` the members of `new`; return those that are no longer there."""
    kept: dict[int, Any] = {}
    for name, member in list(new._member_map_.items()):
        if member._name_ == name:  # The others are aliases of these.
            kept[id(member)] = _kept(old, old._member_map_.get(name), member, journal)
    gone = [
        (f"{old.__module__}.{old.__qualname__}.{name}", member)
        for name, member in old._member_map_.items()
        if name not in new._member_map_
    ]
    for name, _ in gone:
        _erase(old, name.rpartition(".")[2], journal)
    combined = _combined(old, new)
    for name in _MAPS:
        table = {key: kept[id(member)] for key, member in getattr(new, name).items()}
        _refill(getattr(old, name), table, journal)
    old._value2member_map_.update(combined)
    journal.assign(old, "_member_names_", list(new._member_names_))
    for name in new._member_map_:
        _publish(old, new, name, old._member_map_[name], journal)
    for member in kept.values():
        if "__objclass__" in vars(member):
            journal.put(attributes_of(member), "__objclass__", old)
    return gone


def _combined(old: Any, new: Any) -> dict[Any, Any]:
    """Return `Perm.R | Perm.W` and such, made when they were asked for: they may be held."""
    if not issubclass(old, enum.Flag):
        return {}
    bits = 0
    for value in new._value2member_map_:
        bits |= value
    named = {id(member) for member in old._member_map_.values()}
    return {
        value: member
        for value, member in old._value2member_map_.items()
        if id(member) not in named and not value & ~bits and value not in new._value2member_map_
    }


def _kept(old: Any, member: Any, made: Any, journal: Journal) -> Any:
    attributes = attributes_of(made)
    if member is not None and member._name_ == made._name_ and _same_data(member, made):
        for name, value in attributes.items():
            if name not in _NOT_COPIED:
                journal.put(attributes_of(member), name, value)
        return member
    object.__setattr__(made, "__class__", old)
    return made


def _same_data(member: Any, made: Any) -> bool:
    """An IntEnum's member *is* its number: that cannot change in place."""
    data = getattr(kind_of(member), "_member_type_", object)
    return data is object or data.__repr__(member) == data.__repr__(made)


def _erase(kind: type, name: str, journal: Journal) -> None:
    if name in kind.__dict__:
        journal.erase(kind, name)


def _refill(table: dict[Any, Any], content: dict[Any, Any], journal: Journal) -> None:
    journal.keep(table)
    table.clear()
    table.update(content)


def _publish(old: Any, new: Any, name: str, member: Any, journal: Journal) -> None:
    entry = new.__dict__.get(name)
    if isinstance(entry, enum.Enum):
        journal.assign(old, name, member)
    elif entry is not None and name not in old.__dict__:
        if isinstance(getattr(entry, "member", None), enum.Enum):
            entry.member = member
        journal.assign(old, name, entry)
