"""What the image had at first contact, kept on the machine, and what is different since.

The record belongs to one Python of one life of the machine: it goes with it. It also says for which
projects the machine holds what their lock file lists; for others nothing is captured, since what is
missing here would then be dropped from the list.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from typing import Any, cast

Json = dict[str, Any]
_KEPT = ("python", "platform", "packages", "apt")


class Baseline:
    """The record for one inventory; made from it if there is none."""

    def __init__(self, found: Json) -> None:
        self.name = _identity(found)
        known = _read(self.name)
        self.is_new = known is None
        self._plain: Json = known or {**{key: found[key] for key in _KEPT}, "holds": []}
        if self.is_new:
            _write(self.name, self._plain)

    @property
    def packages(self) -> Json:
        packages: Json = self._plain["packages"]
        return packages

    def holds(self, project: str) -> bool:
        return project in self._plain["holds"]

    def delta(self, found: Json, project: str) -> Json:
        """Return what is different from the image, in the shape of the lock file."""
        now, then = found["packages"], self.packages
        fresh = {name: now[name] for name in now if name not in then}
        other = {n: now[n] for n in now if n in then and _version(now[n]) != _version(then[n])}
        mine = {**fresh, **other}
        plain = {name: entry for name, entry in mine.items() if not _is_apart(entry)}
        return {
            "image": {**{key: found[key] for key in ("python", "platform")}, "packages": len(then)},
            "requested": sorted(name for name, entry in mine.items() if entry.get("requested")),
            "added": {name: plain[name]["version"] for name in sorted(plain) if name in fresh},
            "changed": {
                name: {"was": then[name]["version"], "now": plain[name]["version"]}
                for name in sorted(plain)
                if name in other
            },
            "removed": {name: then[name]["version"] for name in sorted(then) if name not in now},
            "urls": {n: mine[n]["url"] for n in sorted(mine) if "url" in mine[n]},
            "editable": {
                name: _relative(mine[name]["editable"], project)
                for name in sorted(mine)
                if "editable" in mine[name]
            },
            "apt": sorted({*found["apt"]} - {*self._plain["apt"]}),
        }


def hold(name: str, project: str) -> None:
    """Note that what the project's lock file lists is in the environment whose record this is."""
    known = _read(name) if name.isalnum() else None  # The name came over the wire: no path.
    if known is not None and project not in known["holds"]:
        _write(name, {**known, "holds": [*known["holds"], project]})


def _path(name: str) -> str:
    return os.path.expanduser(f"~/.cache/towline/environment/{name}.json")


def _identity(found: Json) -> str:
    """Name one environment of one machine: a home may be shared, a venv made anew at its place."""
    try:
        place: object = os.stat(found["prefix"]).st_ino
    except OSError:
        place = None
    facts = [os.uname().nodename, found["executable"], found["prefix"], found["python"], place]
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=8).hexdigest()


def _write(name: str, plain: Json) -> None:
    """A home that cannot be written to costs the distinction, not the link."""
    path = _path(name)
    beside = f"{path}.{os.getpid()}"
    with suppress(OSError):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(plain, file)
        os.replace(beside, path)


def _read(name: str) -> Json | None:
    try:
        with open(_path(name), encoding="utf-8") as file:
            plain: object = json.load(file)
    except (OSError, ValueError):
        return None
    if type(plain) is not dict or not {*_KEPT, "holds"} <= cast("Json", plain).keys():
        return None
    return cast("Json", plain)


def _version(entry: Json) -> tuple[object, ...]:
    return entry["version"], entry.get("url"), entry.get("editable")


def _is_apart(entry: Json) -> bool:
    return "url" in entry or "editable" in entry


def _relative(folder: str, project: str) -> str:
    """Return a folder as it is to be found on another machine: in the project, or as it is."""
    project = os.path.realpath(project)
    inside = os.path.realpath(folder) == project or os.path.realpath(folder).startswith(
        f"{project}/"
    )
    return os.path.relpath(os.path.realpath(folder), project) if inside else folder
