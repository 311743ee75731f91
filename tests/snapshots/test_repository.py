"""Real repositories, by the real restic: made, read, and brought back bit by bit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from tests.end_to_end.laptop import wait_until
from tests.snapshots.repositories import (
    KEY,
    NEEDS_RESTIC,
    everything_in,
    furnish,
    nothing_left_out,
    repository_at,
    settings_for,
)
from towline.cli.output import ReaderGoneError
from towline.errors import ExitCode, UserError
from towline.snapshots import restic
from towline.snapshots.put_back import close_stage, open_stage, put_back
from towline.snapshots.report import Progress, Trouble
from towline.snapshots.repository import (
    Repository,
    TroubleError,
    _trouble,
    environment_for,
    options_for,
)
from towline.snapshots.schedule import Retention

ID_SIZE = 64  # Of the names in a repository; others are of files that are being written.

pytestmark = [NEEDS_RESTIC, pytest.mark.anyio]


@pytest.fixture(autouse=True)
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "proj"
    project.mkdir()
    furnish(project)
    return project


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty repository: to make one takes two seconds, for its key is made hard to guess."""
    place = tmp_path_factory.mktemp("template") / "repo"
    environment = {**os.environ, "RESTIC_PASSWORD": KEY}
    argv = [restic.program(), "-r", str(place), "init", "--quiet"]
    subprocess.run(argv, env=environment, check=True)
    return place


@pytest.fixture
def place(tmp_path: Path, template: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "repo"))


def check(place: Path) -> subprocess.CompletedProcess[str]:
    """`restic check`, reading all data, as a person would run it."""
    return subprocess.run(
        [restic.program(), "-r", str(place), "check", "--read-data"],
        env={**os.environ, "RESTIC_PASSWORD": KEY},
        capture_output=True,
        text=True,
    )


async def bring_back(repository: Repository, snapshot: str, into: Path, *paths: str) -> None:
    stage = open_stage(into)
    await repository.restore(snapshot, paths, stage.directory)
    put_back(stage)
    close_stage(stage)


async def test_what_is_brought_back_is_the_same_bit_by_bit(
    tmp_path: Path, project: Path, place: Path
) -> None:
    repository = await repository_at(place)
    summary = await repository.backup(project, nothing_left_out(project))
    await bring_back(repository, summary.snapshot, tmp_path / "back")
    assert everything_in(tmp_path / "back") == everything_in(project)
    assert len(everything_in(project)) == 16
    assert not (tmp_path / "back/.towline").exists()


async def test_paths_that_are_named_come_back_and_no_others(
    tmp_path: Path, project: Path, place: Path
) -> None:
    repository = await repository_at(place)
    summary = await repository.backup(project, nothing_left_out(project))
    await bring_back(
        repository, summary.snapshot, tmp_path / "back", "data/we [i]r*d? \\ name$HOME", "deep"
    )
    files = {name for name, what in everything_in(tmp_path / "back").items() if what[-1]}  # type: ignore[index]
    assert files == {"data/we [i]r*d? \\ name$HOME", "deep/er/and/deeper/f"}


async def test_snapshots_are_listed_browsed_compared_and_forgotten(
    tmp_path: Path, project: Path, place: Path
) -> None:
    repository = await repository_at(place)
    first = await repository.backup(project, nothing_left_out(project))
    (project / "train.py").write_text("print('b')\n")
    (project / "run.sh").unlink()
    (project / "new").write_text("n")
    second = await repository.backup(project, nothing_left_out(project))

    one, two = await repository.snapshots()
    assert (one.id.startswith(first.snapshot), two.id.startswith(second.snapshot)) == (True, True)
    assert one.at < two.at
    nodes = {node.path: node for node in await repository.nodes(two.id)}
    assert (nodes["new"].kind, nodes["new"].size, nodes["secret"].mode) == ("file", 1, 0o600)
    assert nodes["link"].kind == "symlink"
    below = await repository.nodes(two.id, "deep/er/and")
    assert [node.path for node in below if node.kind == "file"] == ["deep/er/and/deeper/f"]
    changes = {each.path: each.change for each in await repository.differences(one.id, two.id)}
    assert changes == {"train.py": "changed", "run.sh": "removed", "new": "added"}

    await repository.forget(Retention(1, 0, 0, 0), prune=True)
    assert [snapshot.id for snapshot in await repository.snapshots()] == [two.id]
    assert check(place).returncode == 0


async def test_progress_is_told_while_a_snapshot_is_made(
    tmp_path: Path, project: Path, place: Path
) -> None:
    with (project / "large").open("wb") as large:
        large.truncate(200 << 20)
    repository = await repository_at(place)
    told: list[Progress] = []
    await repository.backup(project, nothing_left_out(project), told.append)
    assert told
    assert all(0 <= progress.part <= 1 for progress in told)


async def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_kept(
    tmp_path: Path, project: Path, place: Path
) -> None:
    program = tmp_path / "without"
    real = restic.program()
    # As root everything can be read: a process without that right is what a person has.
    program.write_text(f'#!/bin/sh\nexec setpriv --bounding-set=-all --inh-caps=-all {real} "$@"\n')
    program.chmod(0o755)
    (project / "secret").chmod(0)
    try:
        version = await restic.version(str(program))
    except UserError:
        pytest.skip("needs a setpriv that may give up rights")
    repository = Repository(settings_for(place), str(program), version)
    summary = await repository.backup(project, nothing_left_out(project))
    assert summary.snapshot
    assert [Path(path).name for path in summary.unreadable] == ["secret"]
    held = {node.path for node in await repository.nodes(summary.snapshot)}
    assert {"train.py", "run.sh", "deep/er/and/deeper/f"} <= held


async def test_a_wrong_password_no_repository_and_a_drive_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = await repository_at(tmp_path / "repo")
    with pytest.raises(TroubleError) as caught:
        await repository.snapshots()
    assert caught.value.trouble is Trouble.NO_REPOSITORY
    await repository.create()
    monkeypatch.setenv("TEST_KEY", "another")
    with pytest.raises(TroubleError) as caught:
        await (await repository_at(tmp_path / "repo")).snapshots()
    assert (caught.value.trouble, caught.value.exit_code) == (Trouble.NO_KEY, ExitCode.REFUSED)
    with pytest.raises(UserError, match="mnt is not there"):
        await (await repository_at(tmp_path / "mnt/repo")).create()
    assert not (tmp_path / "mnt").exists()


async def killed_backup(repository: Repository, place: Path, project: Path) -> None:
    """Make a snapshot and kill restic in the middle, once data has reached the repository."""
    before = data_in(place)

    def kill() -> None:
        wait_until(lambda: bool(data_in(place) - before), "data in the repository")
        for pid in pids_of(place):
            os.kill(pid, signal.SIGKILL)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, kill)
        await fails(repository.backup(project, nothing_left_out(project)))


async def fails(call: Awaitable[object]) -> None:
    with pytest.raises(TroubleError):
        await call


def data_in(place: Path) -> set[str]:
    return {path.name for path in (place / "data").rglob("*") if path.is_file()}


def locks_in(place: Path) -> list[str]:
    return [path.name for path in (place / "locks").iterdir() if len(path.name) == ID_SIZE]


@contextmanager
def somebody_at_work(place: Path, project: Path) -> Generator[None]:
    """Another restic that holds a lock, and is stopped: it is not gone."""
    (project / "large").write_bytes(os.urandom(64 << 20))
    other = subprocess.Popen(
        [restic.program(), "backup", str(project), "--quiet", "--limit-upload", "1"],
        env={**os.environ, **environment_for(settings_for(place), os.environ)},
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: bool(locks_in(place)), "a lock")
        other.send_signal(signal.SIGSTOP)
        yield
    finally:
        other.kill()
        other.wait()


def pids_of(place: Path) -> list[int]:
    """Return the processes that work on a repository."""
    wanted = f"RESTIC_REPOSITORY={place}".encode()
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


async def test_after_a_kill_in_the_middle_all_goes_on_and_the_repository_is_sound(
    tmp_path: Path, project: Path, place: Path
) -> None:
    repository = await repository_at(place)
    await repository.backup(project, nothing_left_out(project))
    for number in range(2):
        (project / "large").write_bytes(os.urandom(64 << 20))
        await killed_backup(repository, place, project)
        assert locks_in(place), "a killed restic leaves its lock"
        if number == 1:  # A lock in the way of what needs the whole repository is found stale.
            await repository.forget(Retention(5), prune=True)
            assert not locks_in(place)
    summary = await repository.backup(project, nothing_left_out(project))
    await repository.forget(Retention(1, 0, 0, 0), prune=True)
    found = check(place)
    assert found.returncode == 0, found.stderr
    await bring_back(repository, summary.snapshot, tmp_path / "back")
    assert everything_in(tmp_path / "back") == everything_in(project)


async def test_a_lock_that_somebody_holds_is_left_alone(
    tmp_path: Path, project: Path, place: Path
) -> None:
    repository = await repository_at(place)
    await repository.backup(project, nothing_left_out(project))
    with somebody_at_work(place, project):
        with pytest.raises(TroubleError) as caught:
            await repository.forget(Retention(1, 0, 0, 0), prune=True)
        assert caught.value.trouble is Trouble.LOCKED
        assert caught.value.exit_code is ExitCode.TRY_AGAIN
        assert locks_in(place), "it is still theirs"


async def test_a_snapshot_that_is_cancelled_takes_its_lock_with_it(
    tmp_path: Path, project: Path, place: Path
) -> None:
    repository = await repository_at(place)
    (project / "large").write_bytes(os.urandom(64 << 20))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(repository.backup, project, nothing_left_out(project))
        await anyio.to_thread.run_sync(wait_until, lambda: bool(data_in(place)), "data")
        tasks.cancel_scope.cancel()
    assert not locks_in(place)
    assert pids_of(place) == []


async def test_few_large_files_where_each_of_them_costs(
    tmp_path: Path, project: Path, place: Path
) -> None:
    drive = Path(shutil.copytree(place, tmp_path / "Google Drive" / "keep"))
    for number in range(300):
        (project / f"data/{number}").write_bytes(os.urandom(100_000))
    repository = await repository_at(drive)
    await repository.backup(project, nothing_left_out(project))
    packs = [path for path in (drive / "data").rglob("*") if path.is_file()]
    assert "--pack-size" in options_for(settings_for(drive))
    assert len(packs) <= 2, "30 MB in one pack of data, and one of names"


async def test_what_its_listener_raises_is_raised_as_it_is() -> None:
    """`towline snapshot now --json | head -n 1`: the command ends quietly, by this exception."""

    def gone(line: str) -> None:
        raise ReaderGoneError

    with pytest.raises(ReaderGoneError):
        await restic.run(["/bin/sh", "-c", "echo on; exec sleep 99"], os.environ, on_line=gone)


async def test_of_a_damaged_repository_all_comes_back_that_can_be_read(
    tmp_path: Path, project: Path, place: Path
) -> None:
    """Where a file is spoilt, restic leaves one that is as large as it should be."""
    repository = await repository_at(place)
    (project / "model: best").write_bytes(os.urandom(1 << 20))
    await repository.backup(project, nothing_left_out(project))
    before = data_in(place)
    (project / "model: best").write_bytes(os.urandom(6 << 20))
    summary = await repository.backup(project, nothing_left_out(project))
    assert before < data_in(place)
    largest = max((place / "data").rglob("*"), key=lambda path: path.stat().st_size)
    largest.chmod(0o600)
    with largest.open("r+b") as pack:
        pack.seek(100_000)
        pack.write(b"no data at all")
    stage = open_stage(tmp_path / "back")
    spoilt = await repository.restore(summary.snapshot, (), stage.directory)
    restored = put_back(stage, spoilt=spoilt)
    close_stage(stage)
    assert set(restored.failed) == {"model: best"}
    whole = {name: what for name, what in everything_in(project).items() if name != "model: best"}
    assert everything_in(tmp_path / "back") == whole


async def test_a_persons_variables_for_other_repositories_are_no_word_on_this_one(
    project: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTIC_REPOSITORY_FILE", "/somewhere")
    monkeypatch.setenv("RESTIC_PASSWORD_FILE", "/somewhere")
    monkeypatch.setenv("RESTIC_HOST", "somebody")
    repository = await repository_at(place)
    summary = await repository.backup(project, nothing_left_out(project))
    (listed,) = await repository.snapshots()
    assert listed.id.startswith(summary.snapshot)


async def test_a_password_in_the_place_is_in_no_message() -> None:
    settings = settings_for("rest:http://me:hunter2@127.0.0.1:1/")
    told = _trouble(Trouble.OTHER, "refused", settings)
    assert "me:***@127.0.0.1" in told.message
    assert "hunter2" not in told.message + told.hint
