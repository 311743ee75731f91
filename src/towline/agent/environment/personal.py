"""Variables and dotfiles that the configuration names: read on one machine, put back on the next.

What looks like a secret is not taken: it would land in the project, and with it in its repository.
Nothing that is there is overwritten.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from towline.core.secrecy import looks_secret

DOTFILE_MAX = 64 << 10  # Bytes. A dotfile is written by hand.
VARIABLES = ".config/towline/variables.sh"
SHELLS = (".profile", ".bashrc")
LINE = f'[ -r "$HOME/{VARIABLES}" ] && . "$HOME/{VARIABLES}"  # towline'

_SECRET_FILE = re.compile(r"\.ssh/|\.gnupg/|\.netrc$|credential|token|secret|\.pgpass$|password")


def capture(variables: Mapping[str, str], names: Sequence[str], files: Sequence[str]) -> Any:
    """Return what is there of what is named, and why the rest is not."""
    left: dict[str, str] = {}
    found: dict[str, str] = {}
    for name in names:
        if looks_secret(name):
            left[name] = "looks like a secret"
        elif name in variables:
            value = variables[name]
            if value.encode(errors="ignore").decode() == value:
                found[name] = value
            else:
                left[name] = "is not UTF-8"
    texts: dict[str, str] = {}
    for name in files:
        text, reason = _tried(_read, name)
        if reason:
            left[name] = reason
        elif text is not None:
            texts[name] = text
    return {"variables": found, "dotfiles": texts, "left": left}


def restore(variables: Mapping[str, str], files: Mapping[str, str]) -> dict[str, str]:
    """Put back what is not there; return what was left, and why."""
    left: dict[str, str] = {}
    for name, text in files.items():
        if reason := _tried(_write, name, text)[1]:
            left[name] = reason
    if variables and (reason := _tried(_export, variables)[1]):
        left.update(dict.fromkeys(variables, reason))
    return left


def _tried(act: Callable[..., str | None], *arguments: object) -> tuple[str | None, str]:
    """Return what came of it, and why it could not be; a file that is not there is no reason."""
    try:
        return act(*arguments), ""
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError) as error:
        return None, str(error)


def _place(name: str) -> str:
    """Return where a dotfile lies. Raises ValueError if that is outside the home folder."""
    clean = os.path.normpath(name.removeprefix("~/"))
    if os.path.isabs(clean) or clean.split("/")[0] == "..":
        raise ValueError("is not below the home folder")
    if _SECRET_FILE.search(clean.lower()):
        raise ValueError("looks like a secret")
    return os.path.expanduser(f"~/{clean}")


def _read(name: str) -> str:
    with open(_place(name), "rb") as file:
        content = file.read(DOTFILE_MAX + 1)
    if len(content) > DOTFILE_MAX:
        raise ValueError("is too large")
    return content.decode()  # A UnicodeDecodeError is a ValueError.


def _write(name: str, text: str) -> None:
    path = _place(name)
    if os.path.exists(path):
        if _read(name) != text:
            raise ValueError("is there, with another content")
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "x", encoding="utf-8") as file:
        file.write(text)


def _export(variables: Mapping[str, str]) -> None:
    """Give them to every shell that begins from now on."""
    home = os.path.expanduser("~")
    path = os.path.join(home, VARIABLES)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as file:
        file.seek(0)
        there = file.read()  # Also what other projects here have; of each name the last one counts.
        for name, value in sorted(variables.items()):
            head, rest = f"export {name}=", f"{shlex.quote(value)}\n"
            if head not in there or not there.rpartition(head)[2].startswith(rest):
                file.write(head + rest)
    for shell in SHELLS:
        text = ""
        with suppress(FileNotFoundError), open(os.path.join(home, shell), encoding="utf-8") as file:
            text = file.read()
        if LINE not in text:
            with open(os.path.join(home, shell), "a", encoding="utf-8") as file:
                file.write(f"{'' if not text or text.endswith(chr(10)) else chr(10)}{LINE}\n")
