"""Where the way in to this machine keeps its files: one private directory, known by its caller.

Whoever can read this directory can be the machine, whoever can write it can enter it; so it is
made 0700, and is refused where it belongs to somebody else. Nothing here is sent anywhere.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from towline.errors import ExitCode, UserError

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """The files below one directory."""

    directory: Path

    @property
    def identity(self) -> Path:
        return self.directory / "identity.json"

    @property
    def host_key(self) -> Path:
        return self.directory / "host_key"

    @property
    def authorized_keys(self) -> Path:
        return self.directory / "authorized_keys"

    @property
    def invitation(self) -> Path:
        return self.directory / "invitation.json"

    @property
    def sshd_config(self) -> Path:
        return self.directory / "sshd_config"

    @property
    def sshd_pid(self) -> Path:
        return self.directory / "sshd.pid"

    @property
    def sshd_log(self) -> Path:
        return self.directory / "sshd.log"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def request(self) -> Path:
        return self.directory / "request.json"

    @property
    def status(self) -> Path:
        return self.directory / "status.json"

    @property
    def login(self) -> Path:
        return self.directory / "login.sh"

    @property
    def lock(self) -> Path:
        return self.directory / "lock"

    @property
    def up_lock(self) -> Path:
        return self.directory / "up.lock"


def ensure_place(directory: Path) -> Place:
    """Return the place; its directory is there, ours, and nobody else's to enter.

    Raises `UserError`.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise UserError(
                f"{directory} is not a directory of yours",
                "move it away; towline makes a new one",
                ExitCode.REFUSED,
            )
        directory.chmod(0o700)
        if stat.S_IMODE(directory.lstat().st_mode) & 0o077:
            raise UserError(
                f"{directory} cannot be made private: its file system keeps no permissions",
                "set XDG_STATE_HOME to a directory on the machine's own disk",
                ExitCode.REFUSED,
            )
        place = Place(directory)
    except OSError as error:
        raise UserError(
            f"{directory} cannot be used: {error.strerror}",
            "make it writable, or set XDG_STATE_HOME to a directory that is",
            ExitCode.CANNOT_WRITE,
        ) from error
    return place


def write_private(path: Path, content: str | bytes) -> None:
    """Replace a file as a whole, mode 0600: a reader sees the old or the new."""
    stage = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        os.replace(stage, path)
    except OSError:
        stage.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> Json | None:
    """Return the object in a file of ours; None if there is none, or what is there is none."""
    try:
        found: object = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None  # pyright: ignore[reportUnknownVariableType]
