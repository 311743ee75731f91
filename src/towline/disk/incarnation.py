"""One life of a root: a random id that a new, emptied or copied root cannot have.

What two sides once agreed on is worth nothing for another life: an empty machine must never look
like one on which everything was deleted. Nothing here compares ids; it only makes and reads them.
"""

from __future__ import annotations

import enum
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass

from towline.core.path import OWN_DIRECTORY
from towline.disk.folder import STAGE, Folder
from towline.disk.own import ensure_own_directory

_FILE = f"{OWN_DIRECTORY}/incarnation"
_CONTENT = re.compile(rb"([0-9a-f]{32}) ([0-9]+(?: [0-9a-f]+)?)\n")
_CONTENT_MAX = 100  # Bytes; ours has some 50.
_ATTEMPTS_MAX = 5  # Somebody else may create or remove it at the same time, but not for ever.


@dataclass(frozen=True, slots=True)
class Incarnation:
    """`id`: 32 hexadecimal digits. `new`: it was made just now."""

    id: str
    new: bool


class RootState(enum.Enum):
    PRESENT = "present"
    MISSING = "missing"  # Nothing, or no directory, is at the root's path.
    REPLACED = "replaced"  # Another directory is at the root's path than the one held open.


def read_or_create(folder: Folder) -> Incarnation:
    """Return the id of this life of the root. Raises OSError.

    The file also says which root it is of: in a copy of it, or one restored elsewhere, the id does
    not hold. Of two who create it at once, one does and the other reads.
    """
    ensure_own_directory(folder.root)
    for _ in range(_ATTEMPTS_MAX):
        if found := _read(folder):
            return Incarnation(found, new=False)
        new = os.urandom(16).hex()
        if _create(folder, new):
            return Incarnation(new, new=True)
    raise FileExistsError(f"{folder.root / _FILE} is no file of ours")


def root_state(folder: Folder) -> RootState:
    """Say whether the root held open is still what is at its path. Raises OSError."""
    try:
        at_path = folder.lstat_root()
    except (FileNotFoundError, NotADirectoryError):
        return RootState.MISSING
    if not stat.S_ISDIR(at_path.st_mode):
        return RootState.MISSING
    held = folder.fstat_root()
    same = (at_path.st_dev, at_path.st_ino) == (held.st_dev, held.st_ino)
    return RootState.PRESENT if same else RootState.REPLACED


def _read(folder: Folder) -> str | None:
    """Return the id if there is one for this root; remove one that does not hold."""
    try:
        descriptor = folder.open(_FILE)
    except FileNotFoundError:
        return None
    try:
        match = _CONTENT.fullmatch(folder.read(descriptor, _CONTENT_MAX))
    finally:
        folder.close_file(descriptor)
    if match and match[2].decode() == folder.identity_of_root():
        return match[1].decode()
    folder.unlink(_FILE)
    return None


def _create(folder: Folder, new: str) -> bool:
    """Put the id in place, whole and durable; False if somebody else was faster."""
    with suppress(FileExistsError):
        folder.mkdir(STAGE, 0o700)
    temporary = f"{STAGE}/incarnation-{new}"
    descriptor = folder.create(temporary)
    try:
        folder.write(descriptor, f"{new} {folder.identity_of_root()}\n".encode())
        folder.sync_file(descriptor)
        folder.place(temporary, _FILE)
    except OSError as error:
        with suppress(OSError):
            folder.unlink(temporary)
        if not isinstance(error, FileExistsError):
            raise
        return False
    finally:
        folder.close_file(descriptor)
    folder.sync_directory(OWN_DIRECTORY)
    return True
