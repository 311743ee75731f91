"""The one line by which `ssh NAME` finds the machines of towline: `Include` in ~/.ssh/config.

It stands at the top, for an Include below a Host would be a part of it. The rest of the file is
kept byte for byte, and so are its mode and a link that leads to it; it is replaced as a whole or
not at all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from towline.errors import ExitCode, UserError
from towline.machines import machines_dir

CONFIG_MAX = 4 << 20  # Bytes. What is longer is no configuration.
MARK = "# towline: the machines that came by a ticket; `towline ssh-config --remove` takes it out"


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to become of the person's configuration: all of it, before and after."""

    path: Path
    before: bytes
    after: bytes

    @property
    def changes(self) -> bool:
        return self.before != self.after


def include_line() -> str:
    return f'Include "{machines_dir().as_posix()}/*/host_config"'


def edit_to_add(home: Path) -> Edit:
    """Raises UserError if the file cannot be read."""
    path, before = _read(home)
    return Edit(path, before, _block() + _without(before))


def edit_to_remove(home: Path) -> Edit:
    path, before = _read(home)
    return Edit(path, before, _without(before))


def carry_out(edit: Edit) -> None:
    """Raises UserError, and then the file is as it was."""
    target = edit.path.resolve()  # A link to a person's dotfiles stays one.
    stage = target.with_name(f".{target.name}.towline.{os.getpid()}")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
        descriptor = os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(descriptor, "wb") as file:
            file.write(edit.after)
            file.flush()
            os.fsync(file.fileno())
        stage.chmod(mode)
        if _read_bytes(target) != edit.before:
            raise UserError(f"{target} changed just now", "run it again", ExitCode.TRY_AGAIN)
        os.replace(stage, target)
    except OSError as error:
        raise UserError(
            f"{target} cannot be written: {error.strerror}", "", ExitCode.CANNOT_WRITE
        ) from None
    finally:
        stage.unlink(missing_ok=True)


def _read(home: Path) -> tuple[Path, bytes]:
    path = home / ".ssh" / "config"
    try:
        return path, _read_bytes(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read: {error.strerror}", "", ExitCode.CANNOT_WRITE
        ) from None


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_MAX + 1)
    except FileNotFoundError:
        return b""
    if len(content) > CONFIG_MAX:
        raise UserError(f"{path} is longer than {CONFIG_MAX >> 20} MiB", "", ExitCode.CONFIG)
    return content


def _block() -> bytes:
    return f"{MARK}\n{include_line()}\n\n".encode()


def _without(content: bytes) -> bytes:
    """Return the file without our lines, wherever the state directory was when they were made."""
    lines = content.splitlines(keepends=True)
    for at, line in enumerate(lines):
        if line.rstrip(b"\r\n") == MARK.encode():
            end = at + 2
            if end < len(lines) and not lines[end].strip():
                end += 1
            return b"".join(lines[:at] + lines[end:])
    return content
