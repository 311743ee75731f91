"""Where towline keeps things on the laptop, and the registry of workspaces.

State (ancestor, log, registry) lies under the state directory, sockets under the runtime
directory; both belong to this user alone (0700). A workspace is one small JSON file in the
registry. Nothing here talks to an engine or knows whether one runs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from towline.errors import ExitCode, UserError
from towline.line.options import SshOptions
from towline.request import NO_SSH_OPTIONS, ssh_from_json

SOCKET_PATH_MAX = 100  # Bytes. macOS allows 103 in a unix socket's address, Linux 107.
SOCKET_NAME_SIZE = len("/") + 16 + len(".sock")
RECORD_MAX = 64 << 10  # Bytes. A record is a few hundred; anything larger is not one.


@dataclass(frozen=True, slots=True)
class Places:
    """The files of one workspace."""

    state: Path  # SQLite: ancestor, scan cache, revisions.
    history: Path  # SQLite: what the files were in past revisions.
    log: Path  # What happened, one JSON object a line.
    socket: Path  # Where the engine listens for commands.
    lock: Path  # Held by the engine. Not beside the socket: a logout may empty that directory.


@dataclass(frozen=True, slots=True)
class Binding:
    """A project bound to a destination, as it is remembered between engines."""

    id: str  # 16 hexadecimal digits, made at the first link and never changed.
    name: str
    project: Path
    destination: str
    ssh: SshOptions = NO_SSH_OPTIONS
    machine_path: str | None = None
    created: float = 0.0  # Unix time.
    linked: float = 0.0  # Unix time of the last link; 0 if the machine was never reached.
    last_state: str = ""
    at_login: bool = False
    bundle: str = ""  # The agent's, that the machine was seen to have.

    @property
    def places(self) -> Places:
        return places_of(self.id)


def state_dir() -> Path:
    """Return the state directory; it exists and is private. Raises UserError."""
    return ensure_private(_base("XDG_STATE_HOME", "user_state_path"))


def runtime_dir() -> Path:
    """Return a private directory with a name short enough for sockets. Raises UserError.

    It must be the same for a login shell, cron and a systemd unit, whichever of them has
    XDG_RUNTIME_DIR set; so the place that systemd makes is used also where the variable is missing.
    """
    if sys.platform == "win32":
        return ensure_private(state_dir() / "run")
    return ensure_private(_runtime_candidate())


def places_of(workspace_id: str) -> Places:
    state = state_dir()
    return Places(
        state=state / f"{workspace_id}.sqlite",
        history=state / f"{workspace_id}.history",
        log=state / f"{workspace_id}.log",
        socket=runtime_dir() / f"{workspace_id}.sock",
        lock=state / f"{workspace_id}.lock",
    )


def keep_record(project: Path, place: str) -> Path:
    """Return the file that remembers a project's snapshots in a place; it need not be linked."""
    return state_dir() / f"keep-{_digest(os.fspath(project))}-{_digest(place)}.json"


def keep_lock(place: str) -> Path:
    """Return the file that who works on a repository holds."""
    return state_dir() / f"keep-{_digest(place)}.lock"


def _digest(text: str) -> str:
    return hashlib.blake2b(os.fsencode(text), digest_size=8).hexdigest()


def ensure_private(directory: Path) -> Path:
    """Make `directory` if need be; it is a real directory of this user with mode 0700.

    Raises UserError if it cannot be made or belongs to somebody else.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode) or not _is_mine(status):
            raise UserError(
                f"{directory} is not a directory of yours",
                hint="move it away; towline makes a new one",
                exit_code=ExitCode.REFUSED,
            )
        if sys.platform != "win32" and stat.S_IMODE(status.st_mode) != 0o700:
            directory.chmod(0o700)
    except OSError as error:
        raise UserError(
            f"{directory} cannot be used: {error.strerror}",
            hint="make it writable, or set XDG_STATE_HOME to a directory that is",
            exit_code=ExitCode.CANNOT_WRITE,
        ) from error
    return directory


def write_private(path: Path, content: str) -> None:
    """Replace `path` as a whole, mode 0600: a reader sees the old or the new. Raises UserError."""
    stage = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        descriptor = os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)  # A power cut may else leave the name with nothing in it.
        os.replace(stage, path)
    except OSError as error:
        stage.unlink(missing_ok=True)
        raise UserError(
            f"{path} cannot be written: {error.strerror}",
            hint="towline doctor shows disk space and permissions",
            exit_code=ExitCode.CANNOT_WRITE,
        ) from error


class Workspaces:
    """The registry: every project and destination that were linked once."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = ensure_private(directory or state_dir() / "workspaces")

    def __iter__(self) -> Iterator[Binding]:
        """Yield all that can be read, by name: what is wrong with one stops no other."""
        known: list[Binding] = []
        for file in self._files():
            with suppress(UserError):
                known.append(_read_record(file))
        yield from sorted(known, key=lambda binding: binding.name)

    def check(self) -> None:
        """Raise UserError at a record that cannot be read: what is looked for may be in it."""
        for file in self._files():
            _read_record(file)

    def _files(self) -> list[Path]:
        return sorted(self.directory.glob("[!.]*.json"))

    def named(self, name: str) -> Binding:
        """Raises UserError if there is none of this name."""
        known = list(self)
        for binding in known:
            if binding.name == name:
                return binding
        self.check()
        names = ", ".join(binding.name for binding in known)
        raise UserError(
            f"no workspace is called {name!r}",
            hint=f"there are: {names}" if names else "run `towline link DEST` in a project first",
            exit_code=ExitCode.UNAVAILABLE,
        )

    def by_id(self, workspace_id: str) -> Binding:
        """Raises UserError if it is not there."""
        return _read_record(self._file(workspace_id))

    def of_project(self, directory: Path) -> list[Binding]:
        """Return the workspaces of the project `directory` lies in, the last linked first.

        One whose machine was never reached, its name mistyped perhaps, comes behind all others.
        """
        known = list(self)
        for candidate in (directory, *directory.parents):
            here = [binding for binding in known if binding.project == candidate]
            if here:
                return sorted(here, key=lambda known: (known.linked, known.created), reverse=True)
        return []

    def ensure(
        self,
        project: Path,
        destination: str,
        *,
        name: str | None = None,
        ssh: SshOptions | None = None,
        machine_path: str | None = None,
    ) -> Binding:
        """Return the workspace of (project, destination), made or brought up to date.

        What is None stays as it was. Raises UserError if another workspace has the name, and
        where a new one would be made in the place of one that cannot be read.
        """
        known = list(self)
        same = (b for b in known if (b.project, b.destination) == (project, destination))
        binding = next(same, None)
        if binding is None:
            self.check()
            binding = _new_binding(project, destination, name, known)
        taken = {other.name for other in known if other.id != binding.id}
        if name is not None and name in taken:
            raise UserError(
                f"another workspace is called {name!r}",
                hint="give another --name, or run `towline links forget NAME` first",
                exit_code=ExitCode.USAGE,
            )
        return self.save(
            dataclasses.replace(
                binding,
                name=name or binding.name,
                ssh=binding.ssh if ssh is None else ssh,
                machine_path=machine_path or binding.machine_path,
                linked=time.time() if binding.linked else 0.0,
            )
        )

    def save(self, binding: Binding) -> Binding:
        plain = {**dataclasses.asdict(binding), "project": str(binding.project)}
        write_private(self._file(binding.id), json.dumps(plain, indent=1) + "\n")
        return binding

    def forget(self, binding: Binding) -> None:
        """Remove the record and what belongs to it; project and machine are not touched."""
        places = binding.places
        for path in (
            self._file(binding.id),
            *places.state.parent.glob(f"{binding.id}.*"),
            *places.state.parent.glob(f"*/{binding.id}.*"),  # Pages, with their secret; services.
            *places.socket.parent.glob(f"{binding.id}.*"),
        ):
            path.unlink(missing_ok=True)

    def _file(self, workspace_id: str) -> Path:
        return self.directory / f"{workspace_id}.json"


def _new_binding(
    project: Path, destination: str, name: str | None, known: list[Binding]
) -> Binding:
    return Binding(
        id=os.urandom(8).hex(),
        name=name or _free_name(project, destination, {binding.name for binding in known}),
        project=project,
        destination=destination,
        created=time.time(),
    )


def _free_name(project: Path, destination: str, taken: set[str]) -> str:
    """Name it after the project; where that is taken, with the host, then with a number."""
    host = destination.removeprefix("ssh://").rpartition("@")[2]
    name = as_name(project.name)
    candidates = [name, f"{name}-{as_name(host)}", *(f"{name}-{n}" for n in range(2, 1000))]
    return next(candidate for candidate in candidates if candidate not in taken)


def as_name(text: str) -> str:
    """Return `text` with only what may stand in a unit's or a file's name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:64] or "project"


def _read_record(path: Path) -> Binding:
    try:
        with path.open(encoding="utf-8") as file:
            return _from_json(json.loads(file.read(RECORD_MAX)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"the record {path} cannot be read ({type(error).__name__}: {error})",
            hint="remove the file and link that project again; nothing else is lost",
            exit_code=ExitCode.CONFIG,
        ) from error


def _from_json(plain: dict[str, Any]) -> Binding:
    known = {field.name for field in dataclasses.fields(Binding)}  # A later version has more.
    fields: dict[str, Any] = {
        **{name: value for name, value in plain.items() if name in known},
        "project": Path(plain["project"]),
        "ssh": ssh_from_json(plain["ssh"]),
    }
    binding = Binding(**fields)
    if not re.fullmatch(r"[0-9a-f]{16}", binding.id) or as_name(binding.name) != binding.name:
        raise ValueError("id or name is malformed")
    return binding


def _base(variable: str, otherwise: str) -> Path:
    """XDG first, on every system; platformdirs only where it is needed, since it loads slowly."""
    named = os.environ.get(variable, "")
    if os.path.isabs(named):
        return Path(named) / "towline"
    import platformdirs

    path: Path = getattr(platformdirs, otherwise)("towline", appauthor=False)
    return path


def _runtime_candidate() -> Path:
    for base in (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.getuid()}"):
        path = Path(base) / "towline"
        short = len(os.fsencode(path)) + SOCKET_NAME_SIZE < SOCKET_PATH_MAX
        if os.path.isabs(base) and short and os.path.isdir(base) and _is_mine(os.stat(base)):
            return path
    return Path(f"/tmp/towline-{os.getuid()}")  # noqa: S108 - checked to be ours before use.


def _is_mine(status: os.stat_result) -> bool:
    return sys.platform == "win32" or status.st_uid == os.getuid()
