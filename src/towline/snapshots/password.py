"""Where the password of a repository comes from, as what restic's environment says about it.

It is never in the configuration itself, in argv or in a log. What is read here stays in memory.
"""

from __future__ import annotations

import importlib
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from towline.errors import ExitCode, UserError

SOURCES = ("env", "file", "command", "keyring")
KEYRING_USER = "towline"
USUAL = "env:RESTIC_PASSWORD"
_OTHERWISE = ', or use keep.password = "command:…" with your own tool'
NAMES = ("RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND")
"""restic's own variables: one of them, and no other, is set for it."""


def check_source(text: str) -> str:
    """Return `text` if it names a source. Raises ValueError, with a sentence's end."""
    kind, colon, rest = text.partition(":")
    if not colon or kind not in SOURCES or not rest:
        raise ValueError(
            "expected env:VARIABLE, file:PATH, command:COMMAND or keyring:SERVICE; the password"
            " itself does not belong in a file of the project"
        )
    return text


def password_for(source: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that give restic the password. Raises UserError if there is none."""
    kind, _, rest = source.partition(":")
    match kind:
        case "env":
            return {"RESTIC_PASSWORD": _from_variable(rest, environment)}
        case "file":
            return {"RESTIC_PASSWORD_FILE": str(_private_file(rest))}
        case "command":
            return {"RESTIC_PASSWORD_COMMAND": rest}
        case _:
            return {"RESTIC_PASSWORD": from_keyring(rest, "the password", _OTHERWISE)}


def _from_variable(name: str, environment: Mapping[str, str]) -> str:
    if value := environment.get(name):
        return value
    raise UserError(
        f"there is no password for the snapshots: {name} is not set",
        "set it where the engine is started, or name another source: keep.password ="
        ' "file:~/.config/keep-password", "command:…" or "keyring:…"',
        ExitCode.CONFIG,
    )


def _private_file(text: str) -> Path:
    path = Path(text).expanduser()
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(
            f"the password file {path} cannot be read: {error.strerror}",
            f"make one: (umask 077; head -c 24 /dev/urandom | base64 >{path})",
            ExitCode.CONFIG,
        ) from None
    require_private(path, status, f"the password file {path}")
    return path


def require_private(path: Path, status: os.stat_result, what: str) -> None:
    """Raises UserError if others could read a file that holds a secret."""
    if sys.platform != "win32" and (status.st_uid != os.getuid() or status.st_mode & 0o077):
        mode = stat.filemode(status.st_mode)
        raise UserError(
            f"{what} is not yours alone ({mode})", f"chmod 600 {path}", ExitCode.REFUSED
        )


def from_keyring(service: str, what: str, otherwise: str) -> str:
    """Return what the person's keyring has for a service. Raises UserError.

    `what` is asked for, and `otherwise` what else they could do.
    """
    try:
        keyring = importlib.import_module("keyring")
    except ImportError:
        raise UserError(
            f"{what} is in a keyring, and towline was installed without support for it",
            f"install towline[keyring]{otherwise}",
            ExitCode.CONFIG,
        ) from None
    try:
        found = keyring.get_password(service, KEYRING_USER)
    except Exception as error:  # Each of its backends has errors of its own.
        raise UserError(
            f"the keyring does not answer: {error}", "is it unlocked?", ExitCode.TRY_AGAIN
        ) from None
    if not found:
        raise UserError(
            f"the keyring has nothing for {service}: {what} is needed",
            f"set it once: keyring set {service} {KEYRING_USER}",
            ExitCode.CONFIG,
        )
    return str(found)
