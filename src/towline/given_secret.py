"""A secret where a person keeps it: in a file of theirs alone, or in their keyring.

Nothing is written here, and what a secret is for is known to who asks.
"""

from __future__ import annotations

import importlib
import os
import stat
import sys
from pathlib import Path

from towline.errors import ExitCode, UserError

KEYRING_USER = "towline"


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
