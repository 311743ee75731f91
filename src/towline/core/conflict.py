"""Names of conflict copies: `x.conflict-HOST-20261121T030102.py`. Pure; no clock, no disk."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from towline.core.path import NAME_MAX, encode_path, join, name_of, parent_of

_MARK = ".conflict-"
_HOST_MAX = 40  # Characters; enough to recognise a machine, short enough to leave room for names.
_SUFFIX_MAX = 16  # Bytes; what is longer is hardly a file type.
_IS_COPY = re.compile(r"\.conflict-[A-Za-z0-9_-]+-\d{8}T\d{6}(-\d+)?(\.[^/]*)?$")


def copy_name(path: str, host: str, when: datetime, number: int = 1) -> str:
    """Return the path, in the same directory, under which a conflicting version lives on.

    `when` is aware, or UTC. `number` above 1 tells further copies of the same second apart.
    The suffix stays, so that editors still know the type; an over-long name is cut.
    """
    name = name_of(path)
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(encode_path(suffix)) > _SUFFIX_MAX:
        stem, dot, suffix = name, "", ""
    utc = when.astimezone(timezone.utc) if when.tzinfo else when
    counter = f"-{number}" if number > 1 else ""
    tail = f"{_MARK}{_plain(host)}-{utc:%Y%m%dT%H%M%S}{counter}{dot}{suffix}"
    return join(parent_of(path), _cut(stem, NAME_MAX - len(encode_path(tail))) + tail)


def numbered(path: str, number: int) -> str:
    """Return `path`, or for a number above 1 the same with `-NUMBER` before the suffix."""
    if number == 1:
        return path
    stem, dot, suffix = name_of(path).rpartition(".")
    stem, dot, suffix = (stem, dot, suffix) if stem else (name_of(path), "", "")
    return join(parent_of(path), f"{stem}-{number}{dot}{suffix}")


def is_conflict_copy(name: str) -> bool:
    """Whether a name or path was made by `copy_name`."""
    return _IS_COPY.search(name) is not None


def _plain(host: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", host).strip("-")[:_HOST_MAX] or "host"


def _cut(stem: str, size: int) -> str:
    """Cut to at most `size` bytes, at a character."""
    while len(encode_path(stem)) > size:
        stem = stem[:-1]
    return stem
