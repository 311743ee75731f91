"""Where the agent of a workspace is found on its machine: directory, socket, lock and log.

Nothing is started or spoken to here. The directory is below the home folder and not in
`$XDG_RUNTIME_DIR`, which systemd removes some seconds after the last login ends: the agent is
made to outlive exactly that.
"""

from __future__ import annotations

import os
import socket
import stat
from dataclasses import dataclass

from towline.core.digest import blake2b

SOCKET_PATH_MAX = 100  # Bytes; `sun_path` holds 104 on macOS, 108 on Linux.


class NoPlaceError(OSError):
    """No directory of ours can hold a socket on this machine."""


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one workspace's agent, in a directory that only its owner can enter."""

    directory: str
    name: str

    @property
    def socket(self) -> str:
        return f"{self.directory}/{self.name}.sock"

    @property
    def lock(self) -> str:
        return f"{self.directory}/{self.name}.lock"

    @property
    def deadline(self) -> str:
        """Where programs on the machine find out when it ends."""
        return f"{self.directory}/{self.name}.deadline.json"

    @property
    def log(self) -> str:
        return f"{self.directory}/{self.name}.log"


def find_place(workspace: str) -> Place | None:
    """Return the place in which an agent of `workspace` has its socket, if there is one."""
    for place in _candidates(workspace):
        if _is_private(place.directory) and os.path.exists(place.socket):
            return place
    return None


def ensure_place(workspace: str) -> Place:
    """Return the place in which an agent is, or is to be started. Raises `NoPlaceError`."""
    if place := find_place(workspace):
        return place
    for place in _candidates(workspace):
        if ensure_private(place.directory) and _takes_sockets(place):
            return place
    raise NoPlaceError("neither ~/.cache nor the temporary directory can be written to")


def socket_paths() -> list[str]:
    """Return the sockets of all workspaces of this user, of agents that ended, too."""
    return [
        f"{directory}/{name}"
        for directory in _directories()
        if _is_private(directory)
        for name in sorted(os.listdir(directory))
        if name.endswith(".sock")
    ]


def beside_home() -> str:
    """Return the directory for what this home cannot take: each home has one of its own.

    It is there, and ours alone, once `ensure_private` says so.
    """
    digest = blake2b(os.fsencode(os.path.expanduser("~")), digest_size=8).hexdigest()
    return f"{_temporary()}/{digest}"


def ensure_private(directory: str) -> bool:
    """Make a directory that only we can enter; return whether it is one now, and no link."""
    for path in _guarding(directory):  # Each with this mode: makedirs gives it to the last.
        try:
            os.makedirs(path, mode=0o700, exist_ok=True)
        except OSError:
            return False
        if not _is_ours_alone(path):  # Nor is anything made in it.
            return False
    return os.access(directory, os.W_OK)


def _directories() -> list[str]:
    """In the home, and where that cannot hold a socket, beside it."""
    return [f"{os.path.expanduser('~')}/.cache/towline/run", beside_home()]


def _temporary() -> str:
    return f"/tmp/towline-{os.getuid()}"  # noqa: S108 - checked to be ours alone before use.


def _candidates(workspace: str) -> list[Place]:
    # Several machines may share a home folder.
    home = os.path.expanduser("~")
    identity = os.fsencode(f"{os.uname().nodename}\0{home}\0{workspace}")
    name = blake2b(identity, digest_size=8).hexdigest()
    places = [Place(directory, name) for directory in _directories()]
    return [place for place in places if len(os.fsencode(place.socket)) < SOCKET_PATH_MAX]


def _takes_sockets(place: Place) -> bool:
    """Whether the file system knows sockets: some mounted ones do not."""
    path = f"{place.directory}/{os.getpid()}.try"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.bind(path)
        os.unlink(path)
    except OSError:
        return False
    return True


def _guarding(directory: str) -> list[str]:
    """Return what has to be ours alone so that nobody else can get at a directory."""
    above = os.path.dirname(directory)
    return [above, directory] if above == _temporary() else [directory]


def _is_private(directory: str) -> bool:
    return all(_is_ours_alone(path) for path in _guarding(directory))


def _is_ours_alone(path: str) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    return ours and not status.st_mode & 0o077
