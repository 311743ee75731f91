"""`towline.lock`: what a machine has beyond its image, as a file that people read and diff.

TOML, one thing a line, always in the same order, so that a diff says what was installed. Reading is
strict: what stands there becomes arguments of an installer. Nothing here asks a machine.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, cast

from towline.errors import ExitCode, UserError

NAME = "towline.lock"
VERSION = 1
SIZE_MAX = 4 << 20  # Bytes: forty thousand packages.

HEAD = """\
# What the machine has beyond its image: written by towline after each installation there.
# `towline env restore` puts it on another machine, `towline env diff` compares.
"""

Json = dict[str, Any]

_PACKAGE = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_RELEASE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.!+_*-]*)")
_URL = re.compile(r"[a-z][a-z+.-]*:[^\s;]+")
_SYSTEM_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.:-]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def is_empty(lock: Json) -> bool:
    """Whether there is nothing beyond the image."""
    return not any(lock[key] for key in _READERS if key != "image")


def same(one: Json, other: Json) -> bool:
    """Whether two lock files ask for the same; what image it was does not count."""
    return all(one[key] == other[key] for key in _READERS if key not in ("image", "requested"))


def to_text(captured: Mapping[str, Any]) -> str:
    """Return the file's content for what was captured on a machine, or read from a file."""
    parts = [HEAD, f"version = {VERSION}\n", _list("requested", captured["requested"])]
    for key in _READERS:
        if key == "requested" or (key != "image" and not captured[key]):
            continue
        parts.append(f"\n[{key}]\n")
        if key == "apt":
            parts.append(_list("packages", captured[key]))
        else:
            parts += [f"{_key(name)} = {_value(item)}\n" for name, item in captured[key].items()]
    return "".join(parts)


def from_text(text: str) -> Json:
    """Raises UserError if it is not a lock file, or not one of this version."""
    try:
        plain = tomllib.loads(text)
        if plain.get("version") != VERSION:
            raise _wrong(f"is of version {plain.get('version')!r}, not {VERSION}")
        if isinstance(plain.get("apt"), dict):
            plain["apt"] = plain["apt"].get("packages", [])
        return {key: _read(key, plain.get(key)) for key in _READERS}
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise _wrong(str(error)) from None


def from_machine(told: object) -> Json:
    """Return what a machine tells of itself, as far as a lock file may hold it.

    Raises UserError if it makes no sense at all.
    """
    if not isinstance(told, dict):
        raise UserError("the machine's answer is not understood", "", ExitCode.BAD_DATA)
    plain = cast("Json", told)
    lock = {key: _fitting(key, plain.get(key)) for key in _READERS}
    left = plain.get("left")
    words = cast("Json", left).items() if isinstance(left, dict) else ()
    return {
        **lock,
        "record": str(plain.get("record")),
        "holds": plain.get("holds") is True,
        "left": {str(name): str(reason) for name, reason in words},
    }


def _fitting(key: str, value: object) -> Any:
    """Read item by item what can be read: one odd name must not cost all the others."""
    if isinstance(value, dict):
        items = cast("Json", value).items()
        return {name: item for one in items for name, item in _tried(key, dict([one]), {}).items()}
    if isinstance(value, list):
        return [item for one in cast("list[object]", value) for item in _tried(key, [one], [])]
    return _read(key, None)


def _tried(key: str, value: object, otherwise: Any) -> Any:
    try:
        return _read(key, value)
    except ValueError:
        return otherwise


def _read(key: str, value: object) -> Any:
    """Raises ValueError."""
    if value is None:
        return [] if key in ("requested", "apt") else {}
    try:
        return _READERS[key](value)
    except (KeyError, TypeError, AttributeError):
        raise ValueError(f"{key} is not understood") from None


def _names(pattern: re.Pattern[str]) -> Callable[[Any], list[str]]:
    return lambda value: [_matching(pattern, item) for item in value]


def _table(names: re.Pattern[str], read: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {_matching(names, name): read(item) for name, item in value.items()}


def _matching(pattern: re.Pattern[str], value: object) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"{value!r} is not understood")
    return _text(value)


def _release(value: Any) -> str:
    return _matching(_RELEASE, value)


def _two_releases(value: Any) -> dict[str, str]:
    return {"was": _release(value["was"]), "now": _release(value["now"])}


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"{value!r} is not a text")
    value.encode()  # A UnicodeEncodeError is a ValueError.
    return value


def _folder(value: Any) -> str:
    return _matching(re.compile(r"[^\n\r\0-][^\n\r\0]*"), value)


def _facts(value: Any) -> Json:
    facts = cast("Json", value)
    return {key: facts[key] for key in ("python", "platform", "packages") if key in facts}


_READERS: dict[str, Callable[[Any], Any]] = {
    "requested": _names(_PACKAGE),
    "image": _facts,
    "added": _table(_PACKAGE, _release),
    "changed": _table(_PACKAGE, _two_releases),
    "removed": _table(_PACKAGE, _release),
    "urls": _table(_PACKAGE, lambda value: _matching(_URL, value)),
    "editable": _table(_PACKAGE, _folder),
    "apt": _names(_SYSTEM_PACKAGE),
    "variables": _table(_VARIABLE, _text),
    "dotfiles": _table(re.compile(r"[^\n\r\0]+"), _text),
}
"""Every key in the order of the file."""


def _list(key: str, items: list[str]) -> str:
    lines = "".join(f"    {_quoted(item)},\n" for item in items)
    return f"{key} = [\n{lines}]\n" if items else f"{key} = []\n"


def _value(item: object) -> str:
    if isinstance(item, dict):
        table = cast("Json", item)
        return "{ " + ", ".join(f"{key} = {_value(value)}" for key, value in table.items()) + " }"
    if isinstance(item, str) and "\n" in item:
        return '"""\n' + "\n".join(_quoted(line)[1:-1] for line in item.split("\n")) + '"""'
    return _quoted(item) if isinstance(item, str) else str(item)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    """JSON's escapes are TOML's, but for what lies beyond ASCII and for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _wrong(reason: str) -> UserError:
    return UserError(f"{NAME}: {reason}", "", ExitCode.CONFIG)
