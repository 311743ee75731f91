"""A project's snapshots: its configuration, what it holds and its record, joined to a repository.

What commands and the engine do with snapshots begins here. When the engine does it is `keeping`'s.
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

import anyio

from towline.config import Options, load
from towline.core.path import is_below
from towline.engine_lock import try_lock
from towline.errors import ExitCode, UserError
from towline.folders import left_out
from towline.places import RECORD_MAX, as_name, keep_lock, keep_record, write_private
from towline.snapshots import restic
from towline.snapshots.location import FOLDER, Location
from towline.snapshots.put_back import Restored, Stage, close_stage, open_stage, put_back
from towline.snapshots.report import Snapshot, Summary, Trouble
from towline.snapshots.repository import OnProgress, Repository, Settings, TroubleError
from towline.snapshots.schedule import Record, Upkeep, upkeep

LATEST = "latest"
LOOK_S = 0.1
ID_MIN = 4  # Characters of an id that are taken for one.


def nothing(_: object) -> None:
    """What is told to nobody."""


class Keep:
    """The snapshots of one project."""

    def __init__(self, project: Path, options: Options) -> None:
        self.project = project
        self._options = options
        location = options.keep.to
        self._place = location.text if location else ""
        self._file = keep_record(project, self._place)
        self.record = _read(self._file)

    async def open(self, *, gentle: bool = False) -> Repository:
        """Return the repository; nothing is asked of it yet. Raises UserError."""
        settings = settings_of(self.project, self._options)
        program = restic.program()
        with _told():
            version = await restic.version(program)
        return Repository(settings, program, version, gentle=gentle)

    async def take(self, *, gentle: bool = False, on_progress: OnProgress = nothing) -> Summary:
        """Make a snapshot; it has no name if the last one holds the same. Raises UserError."""
        repository = await self.open(gentle=gentle)
        with _told():
            return await self._take(repository, on_progress)

    async def _take(self, repository: Repository, on_progress: OnProgress) -> Summary:
        async with self._alone():
            exclude = await anyio.to_thread.run_sync(self._exclude)
            began = time.time()
            summary = await self._backup(repository, exclude, began, on_progress)
            summary = await self._without_a_twin(repository, summary)
            self._remember(
                made=True,
                snapshot=summary.snapshot or self.record.snapshot,
                at=began,
                since_forgotten=self.record.since_forgotten + bool(summary.snapshot),
            )
            return summary

    async def tidy(self, *, gentle: bool = False) -> None:
        """Forget what is too old, if it is time to. Raises UserError."""
        now = time.time()
        due = upkeep(self.record, now)
        if due is Upkeep.NONE:
            return
        repository = await self.open(gentle=gentle)
        prune = due is Upkeep.PRUNE
        with _told():
            await repository.forget(self._options.keep.retention, prune=prune)
        pruned = now if prune else self.record.pruned
        self._remember(forgotten=now, since_forgotten=0, pruned=pruned)

    async def restore(
        self,
        snapshot: str,
        paths: Sequence[str],
        to: Path | None = None,
        on_progress: OnProgress = nothing,
        restored: Restored | None = None,
    ) -> Restored:
        """Bring back a snapshot, or paths of it, into the project or into a folder.

        What stands in a place and differs is kept beside it. Cancelled, it ends between two files;
        `restored` tells what was done. Raises UserError.
        """
        repository = await self.open()
        root = to or self.project
        try:
            stage = await anyio.to_thread.run_sync(open_stage, root)
            try:
                spoilt = await repository.restore(snapshot, paths, stage.directory, on_progress)
                return await _put_back(stage, paths, spoilt, restored or Restored())
            finally:
                close_stage(stage)
        except OSError as error:
            raise UserError(
                f"{error.filename or root} cannot be written: {error.strerror}",
                exit_code=ExitCode.CANNOT_WRITE,
            ) from None

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[None]:
        """Be the only one of this laptop that makes a snapshot or a repository in this place.

        restic allows several at once, but not that two make one repository. The engine and a
        command may well try.
        """
        with self._lock_file() as file:
            while not try_lock(file):  # noqa: ASYNC110 - the system tells nobody when it is free.
                await anyio.sleep(LOOK_S)
            self.record = _read(self._file)
            yield

    def _lock_file(self) -> IO[str]:
        return keep_lock(self._place).open("a", encoding="utf-8")

    async def _backup(
        self, repository: Repository, exclude: list[str], now: float, on_progress: OnProgress
    ) -> Summary:
        try:
            return await repository.backup(self.project, exclude, on_progress)
        except TroubleError as error:
            if error.trouble is not Trouble.NO_REPOSITORY or self.record.made:
                raise
        await repository.create()
        self._remember(made=True, forgotten=now, pruned=now)
        return await repository.backup(self.project, exclude, on_progress)

    async def _without_a_twin(self, repository: Repository, summary: Summary) -> Summary:
        """Drop a snapshot of what the last one holds already: restic before 0.17 makes those."""
        if not (summary.snapshot and self.record.snapshot and summary.found_nothing):
            return summary
        new, old = summary.snapshot, self.record.snapshot
        trees = {s.id: s.tree for s in await repository.snapshots()}
        found = [tree for known, tree in trees.items() if known.startswith((new, old))]
        if len(found) < 2 or found[0] != found[1]:
            return summary
        await repository.drop(new)
        return dataclasses.replace(summary, snapshot="")

    def _exclude(self) -> list[str]:
        extra = (*self._options.ignore, *self._options.keep.exclude)
        return left_out(self.project, extra)

    def _remember(self, **changes: object) -> None:
        self.record = dataclasses.replace(self.record, **changes)  # type: ignore[arg-type]
        write_private(self._file, json.dumps(dataclasses.asdict(self.record)) + "\n")


@contextmanager
def _told() -> Generator[None]:
    """Say what the system refuses as a UserError: a full disk, one process too many."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{error.filename or 'restic'}: {error.strerror or error}",
            "`towline doctor` shows disk space and permissions",
            ExitCode.CANNOT_WRITE,
        ) from None


def keep_of(project: Path) -> Keep:
    """Return the snapshots of the project in a folder, as it is configured. Raises UserError."""
    return Keep(project, load(project, os.environ))


def settings_of(project: Path, options: Options) -> Settings:
    """Raises UserError if no repository is configured, or one that would hold itself."""
    location = options.keep.to
    if location is None:
        raise UserError(
            "this project keeps no snapshots: keep.to is not set",
            'write `[tool.towline.keep]` and `to = "sftp:me@server:/keep"` into pyproject.toml',
            ExitCode.CONFIG,
        )
    if _is_inside(location, project):
        raise UserError(
            f"the repository {location.text} lies in the project that it is to hold",
            "put it somewhere else, best on another disk",
            ExitCode.CONFIG,
        )
    return Settings(
        location=location,
        password=options.keep.password,
        name=as_name(options.name or project.name),
        bandwidth=options.keep.bandwidth,
        ssh_config=options.ssh.config,
    )


def chosen(snapshots: Sequence[Snapshot], text: str, project: Path) -> Snapshot:
    """Return the snapshot that is meant: by the start of its id, or the latest of this project.

    Raises UserError.
    """
    if not snapshots:
        raise UserError(
            "there is no snapshot yet", "`towline snapshot now` makes one", ExitCode.UNAVAILABLE
        )
    if text == LATEST:
        return _of_project(snapshots, project)[-1]
    found = [snapshot for snapshot in snapshots if snapshot.id.startswith(text)]
    if len(text) < ID_MIN or len(found) != 1:
        why = "there is no snapshot" if not found else "there are several snapshots"
        raise UserError(f"{why} {text}", "`towline snapshots` lists them", ExitCode.USAGE)
    return found[0]


def is_of_another(snapshot: Snapshot, project: Path) -> bool:
    """Whether a laptop made it of another folder: one of the same name, or this one elsewhere."""
    by_laptop = f"ws:{snapshot.host}" in snapshot.tags  # A machine puts its own name there.
    return by_laptop and os.path.realpath(snapshot.folder) != os.path.realpath(project)


def _of_project(snapshots: Sequence[Snapshot], project: Path) -> list[Snapshot]:
    """Leave out those of other folders; all there are where this one has none, as on a laptop
    that is new."""
    own = [snapshot for snapshot in snapshots if not is_of_another(snapshot, project)]
    return own or [*snapshots]


async def _put_back(
    stage: Stage, paths: Sequence[str], spoilt: Mapping[str, str], restored: Restored
) -> Restored:
    """Put back what was restored of these paths; what is missing of them is not in the snapshot,
    unless what would know could not be read.

    It is done in a thread, whose end is waited for in any case: its stage is removed next.
    """
    missing = _missing(stage, paths)
    unwanted = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        placing = pool.submit(
            put_back,
            stage,
            spoilt=spoilt,
            is_wanted=lambda: not unwanted.is_set(),
            restored=restored,
        )
        try:
            await anyio.to_thread.run_sync(placing.result)
        finally:
            unwanted.set()
    for path in missing:
        if not any(path == known or is_below(path, known) for known in spoilt):
            restored.failed[path] = "it is not in the snapshot"
    return restored


def _missing(stage: Stage, paths: Sequence[str]) -> list[str]:
    return [path for path in paths if not os.path.lexists(stage.directory / path)]


def _is_inside(location: Location, project: Path) -> bool:
    if location.scheme != FOLDER:
        return False
    return Path(location.text).expanduser().resolve().is_relative_to(project.resolve())


def _read(file: Path) -> Record:
    """Return what is remembered; a record that cannot be read is none: nothing depends on it."""
    try:
        plain = json.loads(file.read_bytes()[:RECORD_MAX])
        return Record(**plain)
    except (OSError, ValueError, TypeError):
        return Record()
