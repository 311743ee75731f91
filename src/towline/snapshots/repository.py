"""One project's snapshots in one restic repository: make, list, read, bring back, forget.

Each call is one run of restic, or a few. A lock that a killed restic left is removed where restic
itself says that it is stale, and never otherwise. What is in a snapshot is `extent`'s, when one is
made `schedule`'s.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from towline.errors import ExitCode, UserError
from towline.snapshots import restic
from towline.snapshots.location import FOLDER, Location
from towline.snapshots.password import NAMES, password_for
from towline.snapshots.report import (
    PARTLY_READ,
    Difference,
    Node,
    Progress,
    Snapshot,
    Summary,
    Trouble,
    Version,
    complaint_of,
    complaints_in,
    difference_of,
    last_words,
    message_of,
    node_of,
    snapshots_of,
    trouble_of,
    unreadable_of,
)
from towline.snapshots.schedule import Retention

TAG = "towline"
ELSEWHERE = ("RESTIC_REPOSITORY_FILE", "RESTIC_HOST")
"""A person's own variables, for repositories of their own: no word on this one."""
LARGE_PACKS = ("--pack-size", "64")  # MiB. 2 GB are then some thirty files.
# Nothing here can ask a person, and a server that is not known yet is not to be trusted by itself.
SFTP_OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=20",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=4",
    "ForwardAgent=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
)

_CHANGED = re.compile(r'[\ufffd"\\]')  # What is not UTF-8 in JSON; quoted as in Go.

Readings = tuple[tuple[str, str], ...]  # Path and reason.
OnProgress = Callable[[Progress], None]


class TroubleError(UserError):
    """restic did not do it. `trouble` says why, for who can do something about it."""

    def __init__(self, trouble: Trouble, message: str, hint: str, exit_code: ExitCode) -> None:
        super().__init__(message, hint, exit_code)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class Settings:
    """Where a repository lies and how it is used."""

    location: Location
    password: str  # As `password` names its source.
    name: str  # Of the project: several may share a repository.
    bandwidth: int | None = None  # Bytes a second, upwards.
    ssh_config: str | None = None


class Repository:
    """`gentle`: in the background, behind whatever else the computer does."""

    def __init__(
        self, settings: Settings, program: str, version: Version, *, gentle: bool = False
    ) -> None:
        self._settings = settings
        self._program = program
        self._version = version
        self._gentle = gentle
        self._environment = environment_for(settings, os.environ)

    # Making.

    async def create(self) -> None:
        """Make the repository. Raises UserError where its place is not there."""
        _check_place(self._settings.location)
        await self._run("init")

    async def backup(
        self, folder: Path, exclude: Sequence[str], on_progress: OnProgress = lambda _: None
    ) -> Summary:
        """Take a snapshot of a folder as it is, without what the lines exclude."""
        found: list[Summary] = []

        def take(line: str) -> None:
            match message_of(line):
                case Progress() as progress:
                    on_progress(progress)
                case Summary() as summary:
                    found.append(summary)
                case None:
                    pass

        with _file_of(exclude) as file:
            done = await self._run(
                *("backup", ".", "--json", "--tag", self._tags, "--host", self._settings.name),
                *("--exclude-file", file),
                *(["--no-scan"] if self._gentle and self._version.is_at_least(0, 15) else []),
                *(["--skip-if-unchanged"] if self._version.is_at_least(0, 17) else []),
                on_line=take,
                cwd=folder,
            )
        if not found:
            raise _trouble(Trouble.OTHER, "it said nothing of a snapshot", self._settings)
        (summary,) = found[-1:]
        unreadable = unreadable_of(done.stderr) if done.code == PARTLY_READ else ()
        return replace(summary, unreadable=unreadable)

    async def drop(self, snapshot: str) -> None:
        await self._run("forget", snapshot)

    async def forget(self, retention: Retention, *, prune: bool) -> None:
        """Forget this project's old snapshots; with `prune`, what no snapshot holds goes, too.

        Folders of one name may share the repository: those of each are counted by themselves.
        """
        await self._run(
            *("forget", "--tag", self._tags, "--group-by", "tags,paths", *retention.arguments()),
            *(["--prune"] if prune else []),
        )

    # Reading.

    async def snapshots(self) -> list[Snapshot]:
        """Return this project's snapshots, the oldest first."""
        lines: list[str] = []
        await self._run("snapshots", "--json", "--tag", self._tags, on_line=lines.append)
        return snapshots_of("\n".join(lines))

    async def nodes(self, snapshot: str, path: str = "") -> list[Node]:
        """Return what a snapshot holds at and below a path."""
        found: list[Node] = []

        def take(line: str) -> None:
            if node := node_of(line):
                found.append(node)

        await self._run("ls", snapshot, f"/{path}", "--json", "--recursive", on_line=take)
        return found

    async def differences(self, old: str, new: str) -> list[Difference]:
        found: list[Difference] = []

        def take(line: str) -> None:
            if difference := difference_of(line):
                found.append(difference)

        await self._run("diff", "--json", old, new, on_line=take)
        return found

    async def restore(
        self,
        snapshot: str,
        paths: Sequence[str],
        target: Path,
        on_progress: OnProgress = lambda _: None,
    ) -> dict[str, str]:
        """Write a snapshot, or paths of it, into an empty folder.

        Return what could not be read, by path, and why: what lies there of it is not to be used.
        """
        complaints: list[Readings] = []

        def hear(line: str) -> None:
            if readings := complaint_of(line):
                complaints.append(readings)

        def take(line: str) -> None:
            if isinstance(said := message_of(line), Progress):
                on_progress(said)

        include = [word for path in paths for word in ("--include", _as_include(path))]
        has_json = self._version.is_at_least(0, 16)
        try:
            await self._run(
                *("restore", snapshot, "--target", str(target), *include),
                *(["--json"] if has_json else []),
                on_line=take,
                on_error=hear,
            )
        except TroubleError as error:
            spoilt = _spoilt(complaints, target)
            if not spoilt or len(complaints) != complaints_in(error.message):
                raise
            return spoilt
        return {}

    # Running.

    @property
    def _tags(self) -> str:
        return f"{TAG},ws:{self._settings.name}"

    async def _run(
        self,
        *arguments: str,
        on_line: restic.OnLine = lambda _: None,
        on_error: restic.OnLine = lambda _: None,
        cwd: Path | None = None,
    ) -> restic.Done:
        """Run restic; once more if what locked it out was a lock that nobody holds any more."""

        async def once() -> restic.Done:
            return await self._once(arguments, on_line, on_error, cwd)

        return await _past_stale_locks(once, self._unlock)

    async def _once(
        self,
        arguments: Sequence[str],
        on_line: restic.OnLine = lambda _: None,
        on_error: restic.OnLine = lambda _: None,
        cwd: Path | None = None,
    ) -> restic.Done:
        command, *rest = arguments
        argv = [self._program, command, *options_for(self._settings), *rest]
        done = await restic.run(
            argv,
            self._environment,
            on_line=on_line,
            on_error=on_error,
            cwd=cwd,
            gentle=self._gentle,
        )
        if done.code in (0, PARTLY_READ):
            return done
        raise _trouble(trouble_of(done.code, done.stderr), last_words(done.stderr), self._settings)

    async def _unlock(self) -> None:
        """Remove locks of processes that are gone, and those of half an hour without a sign."""
        with suppress(TroubleError):
            await self._once(["unlock"])


async def _past_stale_locks(
    once: Callable[[], Awaitable[restic.Done]], unlock: Callable[[], Awaitable[None]]
) -> restic.Done:
    try:
        return await once()
    except TroubleError as error:
        if error.trouble is not Trouble.LOCKED:
            raise
    await unlock()
    return await once()


def _spoilt(complaints: Sequence[Readings], target: Path) -> dict[str, str]:
    """Return the paths that are meant; none if that cannot be told of one of them.

    What is written for a file is there, as large as it should be, whatever is missing in it. So a
    path that is not there is no file that could be taken for a good one, unless it was changed on
    its way to us.
    """
    spoilt: dict[str, str] = {}
    for readings in complaints:
        there = [each for each in readings if os.path.lexists(target / each[0])]
        if not there and _CHANGED.search(readings[-1][0]):
            return {}
        spoilt.update(there or readings[:1])
    return spoilt


def _check_place(location: Location) -> None:
    """A repository is made in a folder that is there: a drive not mounted is none."""
    if location.scheme != FOLDER:
        return
    parent = Path(location.text).expanduser().parent
    if not parent.is_dir():
        raise UserError(
            f"{parent} is not there, so no repository was made in it",
            "is the drive mounted?",
            ExitCode.UNAVAILABLE,
        )


@contextmanager
def _file_of(lines: Sequence[str]) -> Generator[str]:
    with tempfile.TemporaryDirectory(prefix="towline-keep-") as directory:
        file = Path(directory, "lines")
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        yield str(file)


def environment_for(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return restic's environment: the person's, with this repository and its password."""
    left_out = (*NAMES, *ELSEWHERE, "PWD")  # By that a folder could have two names.
    kept = {key: value for key, value in environment.items() if key not in left_out}
    location = settings.location
    text = location.text
    if location.scheme == FOLDER:
        text = str(Path(text).expanduser())
    return {
        **kept,
        **password_for(settings.password, environment),
        "RESTIC_REPOSITORY": text,
        "RESTIC_PROGRESS_FPS": "1",
    }


def options_for(settings: Settings) -> list[str]:
    """Return what stands on every command line: how the place is reached, and how much of it."""
    location = settings.location
    options: list[str] = []
    if location.scheme == "sftp":
        options += ["-o", f"sftp.command={shlex.join(sftp_command(settings))}"]
    if location.wants_few_files:
        options += LARGE_PACKS
    if settings.bandwidth is not None:
        options += ["--limit-upload", str(max(1, settings.bandwidth // 1024))]
    return options


def sftp_command(settings: Settings) -> list[str]:
    """Return the person's own ssh, with what a program in the background needs of it."""
    location = settings.location
    return [
        os.environ.get("TOWLINE_SSH") or "ssh",
        *(["-F", settings.ssh_config] if settings.ssh_config else []),
        *(["-p", str(location.port)] if location.port else []),
        *(word for option in SFTP_OPTIONS for word in ("-o", option)),
        *(location.host, "-s", "sftp"),
    ]


def _as_include(path: str) -> str:
    return "/" + "".join(f"\\{char}" if char in "\\*?[]" else char for char in path)


_HINTS = {
    Trouble.NO_REPOSITORY: (
        "is the drive mounted, the server the right one?",
        ExitCode.UNAVAILABLE,
    ),
    Trouble.LOCKED: (
        "somebody else works on it; if that computer is gone, its lock is taken for stale after"
        " half an hour",
        ExitCode.TRY_AGAIN,
    ),
    Trouble.NO_KEY: ("`keep.password` says where it is taken from", ExitCode.REFUSED),
    Trouble.INTERRUPTED: ("", ExitCode.INTERRUPTED),
    Trouble.OTHER: ("", ExitCode.UNAVAILABLE),
}


def _trouble(trouble: Trouble, words: str, settings: Settings) -> TroubleError:
    hint, code = _HINTS[trouble]
    text = settings.location.shown
    if trouble is Trouble.OTHER and settings.location.scheme == "sftp":
        hint = f"does `ssh {settings.location.host}` work, without a question?"
    return TroubleError(trouble, f"{text}: {trouble.value}: {words}", hint, code)
