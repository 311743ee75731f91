"""Whose login this machine gives: the account that called `up`, also where the system knows none.

Containers run under numbers that stand in no file, and under accounts whose shell lets nobody in; a
kernel runs there all the same, and so does our own server.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

USUAL_SHELL = "/bin/sh"
_NO_SHELLS = ("nologin", "false", "true")  # They say goodbye to whoever logs in.


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    home: str
    shell: str  # One that runs commands.


def own_account(environment: Mapping[str, str]) -> Account:
    """Return the account of this process."""
    uid = os.getuid()
    try:
        known = pwd.getpwuid(uid)
    except KeyError:
        home = environment.get("HOME", "/")
        return Account(f"user{uid}", home, _shell(environment.get("SHELL", "")))
    return Account(known.pw_name, known.pw_dir, _shell(known.pw_shell))


def _shell(named: str) -> str:
    usable = os.access(named, os.X_OK) and Path(named).name not in _NO_SHELLS
    return named if usable else USUAL_SHELL
