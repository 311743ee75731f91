"""Where the password of a repository comes from, as what restic's environment says about it.

It is never in the configuration itself, in argv or in a log. What is read here stays in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from towline.errors import ExitCode, UserError
from towline.given_secret import from_keyring, require_private

SOURCES = ("env", "file", "command", "keyring")
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
