"""What a value may be: how it is read from TOML or from text, what a wrong one is told.

A reader takes what `tomllib` gives and returns the value, or raises `WrongValueError` with a
sentence's end ("expected …, not …").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import cast

from towline.core.checkpoint import PATTERNS_MAX, SETTLE_MAX_S
from towline.core.direction import RULES_MAX, Direction
from towline.core.pattern import parse
from towline.snapshots.location import Location, parse_location
from towline.snapshots.password import check_source
from towline.snapshots.schedule import Retention
from towline.snapshots.server import Server, parse_server

BYTES = {
    "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}  # fmt: skip
BITS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
LONG = {**SECONDS, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGER = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}

SIZE_MAX = 1 << 62  # Bytes. What fits a file system, and eight bytes on the wire.
SOME_MAX = PATTERNS_MAX // 2  # In each of the two lists about checkpoints.
DEBOUNCE_MAX_S = 10.0  # Longer is not live any more.
LIVES_MAX_S = 366 * 86400.0  # Who has a machine for longer needs no countdown.
INTERVAL_MIN_S, INTERVAL_MAX_S = 1.0, 7 * 86400.0  # Between snapshots; each reads every name.
KEPT_MAX = 10_000  # Snapshots of one kind; restic is slow long before.
BANDWIDTH_MIN = 1000  # Bytes a second. Below, a single frame blocks the Line for a minute.

_QUANTITY = re.compile(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*([A-Za-z]+(?:/s)?)?\s*", re.ASCII)


class WrongValueError(ValueError):
    """A value that is not what its option takes. `keys` lead to the wrong part of it."""

    def __init__(self, reason: str, *keys: str | int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.keys = keys


class UnknownKeyError(WrongValueError):
    """A table with a key that means nothing. `known` are those that do."""

    def __init__(self, known: tuple[str, ...], *keys: str | int) -> None:
        super().__init__("unknown key", *keys)
        self.known = known


class Compression(Enum):
    AUTO = "auto"  # Unless the link is faster than the compressor.
    ALWAYS = "always"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Pair:
    """A folder on the laptop (relative to the project) and where it lives on the machine."""

    source: str
    destination: str
    direction: Direction | None = None  # None: as the option `direction` says.


@dataclass(frozen=True, slots=True)
class Kind:
    """`name` is for people; `read` takes a TOML value; `from_text` makes one of a variable."""

    name: str
    read: Callable[[object], object]
    from_text: Callable[[str], object] = str


@contextmanager
def _at(key: str | int) -> Generator[None]:
    """Say of a wrong value in here that it is at `key`."""
    try:
        yield
    except WrongValueError as error:
        error.keys = (key, *error.keys)
        raise


def _wrong(expected: str, value: object) -> WrongValueError:
    return WrongValueError(f"expected {expected}, not {_shown(value)}")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    return "an array" if isinstance(value, list) else repr(value)[:60]


def read_text(value: object) -> str:
    if not isinstance(value, str):
        raise _wrong("a text", value)
    if not value or any(char < " " or char == "\x7f" for char in value):
        raise _wrong("a text of one line", value)
    return value


def _read_argument(value: object) -> str:
    """Read what becomes an argument of `ssh`, and must not be taken for an option of it."""
    text = read_text(value)
    if text.startswith("-"):
        raise _wrong('a text that does not begin with "-"', value)
    return text


def _read_port(value: object) -> int:
    if type(value) is not int or not 1 <= value <= 65535:
        raise _wrong("a port from 1 to 65535", value)
    return value


def read_list(value: object, expected: str, read: Callable[[object], object]) -> tuple[object, ...]:
    if not isinstance(value, list):
        raise _wrong(f"a list of {expected}", value)
    read_items: list[object] = []
    for index, item in enumerate(cast("list[object]", value)):
        with _at(index):
            read_items.append(read(item))
    return tuple(read_items)


def _read_pattern(value: object) -> str:
    text = read_text(value)
    if parse(text) is None:
        raise _wrong("a pattern as in .gitignore", value)
    return text


def read_patterns(value: object) -> tuple[str, ...]:
    return cast("tuple[str, ...]", read_list(value, "patterns", _read_pattern))


def _read_positive(value: object) -> str:
    pattern = _read_pattern(value)
    if pattern.startswith("!"):
        raise WrongValueError(f'"{pattern}": nothing is taken back here with "!"')
    return pattern


def _read_some_patterns(value: object) -> tuple[object, ...]:
    patterns = read_list(value, "patterns", _read_positive)
    if len(patterns) > SOME_MAX:
        raise WrongValueError(f"more than {SOME_MAX} patterns")
    return patterns


def _read_texts(value: object) -> tuple[object, ...]:
    return read_list(value, "texts", read_text)


def quantity(value: object, units: Mapping[str, float], expected: str) -> float:
    """Return a number with a unit, `"1.5 MB"`, in the unit that counts 1."""
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    factor = units.get((match[2] or "").lower()) if match else None
    if match is None or factor is None:
        raise _wrong(expected, value)
    return float(match[1]) * factor


def _read_size(value: object) -> int | None:
    expected = 'a size such as "100 MB" (or "", no limit)'
    if value == "":
        return None
    size = value if type(value) is int else round(quantity(value, BYTES, expected))
    if not 0 <= size <= SIZE_MAX:
        raise _wrong(expected, value)
    return size


def _read_debounce(value: object) -> float:
    expected = f'a time such as "2 ms", up to {DEBOUNCE_MAX_S:g} s'
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value / 1000
    else:
        seconds = quantity(value, SECONDS, expected)
    if not 0 <= seconds <= DEBOUNCE_MAX_S:  # Also refuses what is not a number.
        raise _wrong(expected, value)
    return seconds


def _read_settle(value: object) -> float:
    expected = f'a time such as "2 s", up to {SETTLE_MAX_S / 60:g} min'
    seconds = quantity(value, LONG, expected)
    if seconds > SETTLE_MAX_S:
        raise _wrong(expected, value)
    return seconds


def _read_interval(value: object) -> float:
    expected = 'a time such as "5 min", from 1 s to 7 d'
    seconds = quantity(value, LONGER, expected)
    if not INTERVAL_MIN_S <= seconds <= INTERVAL_MAX_S:
        raise _wrong(expected, value)
    return seconds


def _read_lives(value: object) -> float | None:
    expected = 'a time such as "12 h" or "90 min" (or "", not known)'
    if value == "":
        return None
    seconds = quantity(value, LONG, expected)
    if not 0 < seconds <= LIVES_MAX_S:
        raise _wrong(expected, value)
    return seconds


def _read_location(value: object) -> Location:
    text = read_text(value)
    try:
        return parse_location(text)
    except ValueError as error:
        raise WrongValueError(f"{error}, not {_shown(value)}") from None


def _read_password(value: object) -> str:
    text = read_text(value)
    try:
        return check_source(text)
    except ValueError as error:
        raise WrongValueError(str(error)) from None  # Without the value: it may be the password.


def _read_retention(value: object) -> Retention:
    known = ("last", "hourly", "daily", "weekly")
    counts: dict[str, int] = {}
    for key, count in _table(value, known).items():
        with _at(key):
            if type(count) is not int or not 0 <= count <= KEPT_MAX:
                raise _wrong(f"a number from 0 to {KEPT_MAX}", count)
            counts[key] = count
    retention = Retention(**counts)
    if not retention.arguments():
        raise WrongValueError("expected at least one that is not 0: else nothing would be kept")
    return retention


def _read_server(value: object) -> Server:
    text = read_text(value)
    try:
        return parse_server(text)
    except ValueError as error:
        raise WrongValueError(f"{error}, not {_shown(value)}") from None


def _read_bandwidth(value: object) -> int | None:
    expected = 'a rate such as "10 Mbit/s" or "1 MB/s" (or "", no limit)'
    if value == "":
        return None
    units: dict[str, float] = {f"{unit}/s": factor for unit, factor in BYTES.items()}
    units |= {f"{unit}/s": factor / 8 for unit, factor in BITS.items()}
    rate = round(quantity(value, units, expected))
    if not BANDWIDTH_MIN <= rate <= SIZE_MAX:
        raise _wrong(f"{expected} of at least {BANDWIDTH_MIN * 8 // 1000} kbit/s", value)
    return rate


def read_direction(value: object) -> Direction:
    names = [direction.value for direction in Direction]
    if value not in names:
        raise _wrong(_either(names), value)
    return Direction(value)


def _read_compression(value: object) -> Compression:
    names = [compression.value for compression in Compression]
    if value not in names:
        raise _wrong(_either(names), value)
    return Compression(value)


def _either(names: list[str]) -> str:
    quoted = [f'"{name}"' for name in names]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _read_directed(value: object) -> str:
    pattern = _read_pattern(value)
    if pattern.startswith("!"):
        raise WrongValueError(f'"{pattern}": name it under another direction instead of with "!"')
    return pattern


def _read_directions(value: object) -> tuple[tuple[str, Direction], ...]:
    """Read the patterns in the order they are written: the last one that matches decides."""
    known = tuple(direction.value for direction in Direction)
    rules: list[tuple[str, Direction]] = []
    for key, patterns in _table(value, known).items():
        with _at(key):
            read = read_list(patterns, "patterns", _read_directed)
            rules += [(cast("str", pattern), Direction(key)) for pattern in read]
            if len(rules) > RULES_MAX:
                raise WrongValueError(f"more than {RULES_MAX} patterns")
    return tuple(rules)


def _read_pair(value: object) -> Pair:
    readers = {"source": read_text, "destination": read_text, "direction": read_direction}
    read: dict[str, object] = {}
    for key, item in _table(value, tuple(readers)).items():
        with _at(key):
            read[key] = readers[key](item)
    for key in ("source", "destination"):
        if key not in read:
            raise WrongValueError(f'the key "{key}" is missing')
    return Pair(**cast("dict[str, str]", read))  # type: ignore[arg-type]


def _read_pairs(value: object) -> tuple[object, ...]:
    return read_list(value, "tables with source and destination", _read_pair)


def _table(value: object, known: tuple[str, ...]) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _wrong("a table", value)
    table = cast("dict[str, object]", value)
    for key in table:
        if key not in known:
            raise UnknownKeyError(known, key)
    return table


def _read_name(value: object) -> str:
    text = read_text(value)
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", text):
        raise _wrong("the name of a route", value)
    return text


def _read_names(value: object) -> tuple[object, ...]:
    return read_list(value, "names of routes", _read_name)


def _read_route_settings(value: object) -> Mapping[str, str]:
    """Read a table for each route, flattened: `{bore = {port = 7}}` is `{"bore.port": "7"}`."""
    if not isinstance(value, dict):
        raise _wrong("a table", value)
    settings: dict[str, str] = {}
    for route, table in cast("dict[str, object]", value).items():
        with _at(route):
            if not isinstance(table, dict):
                raise _wrong("a table of the route's settings", table)
            for name, item in cast("dict[str, object]", table).items():
                with _at(name):
                    settings[f"{route}.{name}"] = _read_route_setting(item)
    return settings


def _read_route_setting(value: object) -> str:
    """Numbers may stand as they are, and `true` is how a file says yes."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, int) else read_text(value)


def _words(text: str) -> object:
    return text.replace(",", " ").split()


def _lines(text: str) -> object:
    return [line for line in text.split("\n") if line]


def _read_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong("true or false", value)
    return value


def _flag_of(text: str) -> object:
    return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)


def _number_if_plain(text: str) -> object:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else text


TEXT = Kind("text", read_text)
ARGUMENT = Kind("text", _read_argument)
TEXTS = Kind("list of texts", _read_texts, _lines)
FLAG = Kind("true or false", _read_flag, _flag_of)
ROUTES = Kind("list of names", _read_names, _words)
ROUTE_SETTINGS = Kind("table of tables", _read_route_settings)
PORT = Kind("number", _read_port, _number_if_plain)
PATTERNS = Kind("list of patterns", read_patterns, _lines)
SIZE = Kind("size", _read_size, _number_if_plain)
DEBOUNCE = Kind("time, or number of ms", _read_debounce, _number_if_plain)
SOME_PATTERNS = Kind("list of patterns", _read_some_patterns, _lines)
SETTLE = Kind("time", _read_settle)
LIVES = Kind("time", _read_lives)
BANDWIDTH = Kind("rate", _read_bandwidth)
INTERVAL = Kind("time", _read_interval)
LOCATION = Kind("place of a repository", _read_location)
PASSWORD = Kind("source of a password", _read_password)
RETENTION = Kind("table of numbers", _read_retention)
SERVER = Kind("`user@host:folder`", _read_server)
DIRECTION = Kind(_either([direction.value for direction in Direction]), read_direction)
COMPRESSION = Kind(_either([kind.value for kind in Compression]), _read_compression)
DIRECTIONS = Kind("table of lists of patterns", _read_directions)
PAIRS = Kind("list of tables", _read_pairs)
