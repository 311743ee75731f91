"""What is installed, as seen by the Python that it is installed for: `PYTHON bundle inventory`.

It runs in the user's own interpreter, with its site-packages, and imports nothing from them. Only
what installers have written down is read.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import sysconfig
from collections.abc import Iterable
from importlib import metadata
from typing import Any, cast
from urllib.parse import unquote, urlsplit, urlunsplit

DPKG = "/var/lib/dpkg/status"
AUTOMATIC = "/var/lib/apt/extended_states"


def inventory() -> dict[str, Any]:
    """Return what is installed, by normalised name, and what it is installed for."""
    packages: dict[str, dict[str, Any]] = {}
    for found in metadata.distributions():
        name, version = found.metadata["Name"], found.version
        if name and version:  # A package that is half removed has neither.
            # The first on the path is the one that is imported.
            packages.setdefault(normalised(name), _package(name, version, found))
    return {
        "python": platform.python_version(),
        "platform": sysconfig.get_platform(),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "in_venv": sys.prefix != sys.base_prefix,
        "managed": _is_managed(),
        "paths": [path for path in sys.path if os.path.isdir(path)],
        "packages": packages,
        "apt": manual_packages(DPKG, AUTOMATIC),
    }


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _package(name: str, version: str, found: metadata.Distribution) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "version": version}
    if found.read_text("REQUESTED") is not None:
        entry["requested"] = True
    return {**entry, **_origin(found.read_text("direct_url.json"))}


def _origin(text: str | None) -> dict[str, str]:
    """Return where a package came from if it was not an index: `url`, or `editable` a folder."""
    try:
        plain: object = json.loads(text or "{}")
    except ValueError:
        return {}
    if type(plain) is not dict:
        return {}
    known = cast("dict[str, Any]", plain)
    url = known.get("url")
    if type(url) is not str:
        return {}
    if _table(known, "dir_info").get("editable") is True:
        return {"editable": unquote(urlsplit(url).path, errors="surrogateescape")}
    vcs = _table(known, "vcs_info")
    below = f"#subdirectory={known['subdirectory']}" if known.get("subdirectory") else ""
    if vcs.get("vcs") and vcs.get("commit_id"):
        return {"url": f"{vcs['vcs']}+{without_login(url)}@{vcs['commit_id']}{below}"}
    return {"url": without_login(url) + below}


def _table(known: dict[str, Any], key: str) -> dict[str, Any]:
    value: object = known.get(key)
    return cast("dict[str, Any]", value) if type(value) is dict else {}


def without_login(url: str) -> str:
    """Return a URL without a name or password in it: what is captured lands in a project."""
    parts = urlsplit(url)
    if "@" not in parts.netloc or parts.scheme.endswith("ssh"):
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _is_managed() -> bool:
    """Whether the system's own packager owns this Python, so that installers ask to be sure."""
    stdlib = sysconfig.get_path("stdlib")
    return os.path.exists(os.path.join(stdlib, "EXTERNALLY-MANAGED"))


def manual_packages(status: str, automatic: str) -> list[str]:
    """Return the system's packages that somebody asked for, as `apt-mark showmanual` does."""
    installed = {
        fields["package"]
        for fields in _paragraphs(status)
        if fields.get("status", "").endswith(" installed")
    }
    pulled_in = {
        fields["package"]
        for fields in _paragraphs(automatic)
        if fields.get("auto-installed") == "1"
    }
    return sorted(installed - pulled_in)


def _paragraphs(path: str) -> Iterable[dict[str, str]]:
    """Yield the paragraphs of one of dpkg's files, of each the fields that count here."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return
    for paragraph in text.split("\n\n"):
        lines = re.findall(r"(?m)^(Package|Status|Auto-Installed): (.*)$", paragraph)
        fields = {key.lower(): value for key, value in lines}
        if "package" in fields:
            yield fields


def main() -> int:
    sys.stdout.write(json.dumps(inventory()) + "\n")
    return 0
