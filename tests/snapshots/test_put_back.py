"""What stands in a place is never lost by what comes back to it."""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.snapshots.repositories import everything_in, furnish
from tests.unprivileged import without_root
from towline.disk.folder import Folder
from towline.snapshots.put_back import Restored, close_stage, open_stage, put_back

NOW = datetime(2026, 11, 21, 3, 1, 2, tzinfo=UTC)
OLD = 1_600_000_000_000_000_000


def restored(root: Path, files: dict[str, str | None], mtime_ns: int = OLD) -> Restored:
    """Put back what a snapshot would have held; None is an empty directory."""
    stage = open_stage(root)
    for name, content in files.items():
        path = stage.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir()
        else:
            path.write_text(content)
            os.utime(path, ns=(0, mtime_ns))
    done = put_back(stage, lambda: NOW)
    close_stage(stage)
    return done


def test_what_is_missing_comes_back_whole(tmp_path: Path) -> None:
    done = restored(tmp_path, {"a": "1", "new/deep/b": "2", "new/void": None})
    assert (tmp_path / "a").read_text() == "1"
    assert (tmp_path / "new/deep/b").read_text() == "2"
    assert (tmp_path / "new/void").is_dir()
    assert (tmp_path / "a").stat().st_mtime_ns == OLD
    assert done == Restored(placed=2)
    assert not (tmp_path / ".towline").exists()


def test_what_is_newer_is_kept_beside_under_a_conflict_name(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("edited since")
    done = restored(tmp_path, {"model.py": "as it was"})
    copy = "model.conflict-before-restore-20261121T030102.py"
    assert (tmp_path / "model.py").read_text() == "as it was"
    assert (tmp_path / copy).read_text() == "edited since"
    assert done.kept == {"model.py": copy}


def test_what_is_older_and_differs_is_kept_as_well(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("checked out, with an old time")
    os.utime(tmp_path / "a", ns=(0, OLD - 10**15))
    done = restored(tmp_path, {"a": "as it was"})
    assert (tmp_path / done.kept["a"]).read_text() == "checked out, with an old time"


def test_twice_within_a_second_keeps_both(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("first")
    restored(tmp_path, {"a": "x"})
    (tmp_path / "a").write_text("second")
    restored(tmp_path, {"a": "x"})
    contents = sorted(path.read_text() for path in tmp_path.iterdir())
    assert contents == ["first", "second", "x"]


def test_what_is_the_same_stays_and_gets_its_mode_and_time(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("same")
    (tmp_path / "a").chmod(0o755)
    inode = (tmp_path / "a").stat().st_ino
    done = restored(tmp_path, {"a": "same"})
    status = (tmp_path / "a").stat()
    assert (status.st_ino, status.st_mtime_ns, status.st_mode & 0o111) == (inode, OLD, 0)
    assert done == Restored(same=1)


@pytest.mark.parametrize("stands", ["a file", "a directory", "a link", "a dangling link"])
@pytest.mark.parametrize("comes", ["a file", "a directory"])
def test_one_kind_in_the_place_of_another_loses_nothing(
    tmp_path: Path, stands: str, comes: str
) -> None:
    place = tmp_path / "x"
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/o").write_text("outside")
    match stands:
        case "a file":
            place.write_text("edit")
        case "a directory":
            place.mkdir()
            (place / "e").write_text("edit")
        case "a link":
            place.symlink_to("outside")
        case _:
            place.symlink_to("nowhere")
    root = tmp_path
    done = restored(root, {"x": "f"} if comes == "a file" else {"x/e": "from the snapshot"})
    kept = root / done.kept["x/e" if (stands, comes) == ("a directory", "a directory") else "x"]
    if stands == "a directory" and comes == "a file":
        assert (kept / "e").read_text() == "edit"
    elif "link" in stands:
        assert kept.is_symlink()
    else:
        assert kept.read_text() == "edit"
    assert (root / "x").is_dir() == (comes == "a directory")
    assert not (root / "x").is_symlink()
    assert [path.name for path in (root / "outside").iterdir()] == ["o"], "no link is followed"


def test_an_edit_between_the_look_and_the_exchange_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("before")
    exchange = Folder.exchange

    def edited_first(folder: Folder, staged: str, path: str) -> None:
        (tmp_path / path).write_text("saved at the last moment")
        exchange(folder, staged, path)

    monkeypatch.setattr(Folder, "exchange", edited_first)
    done = restored(tmp_path, {"a": "as it was"})
    assert (tmp_path / done.kept["a"]).read_text() == "saved at the last moment"
    assert (tmp_path / "a").read_text() == "as it was"


@pytest.mark.parametrize("call", ["place", "exchange"])
@pytest.mark.parametrize("number", range(3))
def test_a_kill_between_any_two_steps_leaves_the_edit_outside_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    (tmp_path / "a").write_text("edited since")
    (tmp_path / "b").write_text("edited since")
    calls = iter(range(100))
    step = getattr(Folder, call)

    def killed(folder: Folder, source: str, target: str) -> None:
        if next(calls) == number:
            raise KeyboardInterrupt
        step(folder, source, target)

    monkeypatch.setattr(Folder, call, killed)
    with suppress(KeyboardInterrupt):
        restored(tmp_path, {"a": "as it was", "b": "as it was"})
    contents = [path.read_text() for path in tmp_path.iterdir() if path.is_file()]
    assert contents.count("edited since") == 2


def test_what_a_killed_restore_left_is_cleared_away_by_the_next(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    own = tmp_path / ".towline"
    (own / f"restore-{gone.pid}-0badcafe/deep").mkdir(parents=True)
    (own / f"restore-{os.getppid()}-0badcafe").mkdir()
    restored(tmp_path, {"a": "1"})
    assert [path.name for path in own.glob("restore-*")] == [f"restore-{os.getppid()}-0badcafe"]


def test_without_an_exchange_of_names_nothing_is_lost_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(folder: Folder, source: str, target: str) -> None:
        raise OSError(errno.EINVAL, "Invalid argument", target)

    monkeypatch.setattr(Folder, "exchange", unsupported)
    (tmp_path / "a").write_text("edited since")
    done = restored(tmp_path, {"a": "as it was"})
    assert (tmp_path / "a").read_text() == "as it was"
    assert (tmp_path / done.kept["a"]).read_text() == "edited since"


def test_python_does_not_take_the_old_bytecode_for_current(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("X = 2")
    os.utime(tmp_path / "a.py", ns=(0, OLD + 5))
    restored(tmp_path, {"a.py": "X = 1"})
    assert int((tmp_path / "a.py").stat().st_mtime) != OLD // 10**9


def test_what_cannot_be_placed_is_named_and_the_rest_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Folder.place

    def refuses(folder: Folder, source: str, target: str) -> None:
        if target == "b":
            raise PermissionError(13, "Permission denied", target)
        place(folder, source, target)

    monkeypatch.setattr(Folder, "place", refuses)
    done = restored(tmp_path, {"a": "1", "b": "2", "c": "3"})
    assert done.failed == {"b": "Permission denied"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c"]


def test_a_folder_that_comes_back_into_nothing_is_as_it_was(tmp_path: Path) -> None:
    furnish(tmp_path / "was")
    stage = open_stage(tmp_path / "back")
    stage.directory.rmdir()
    (tmp_path / "was").rename(stage.directory)
    before = everything_in(stage.directory)
    put_back(stage)
    close_stage(stage)
    assert everything_in(tmp_path / "back") == before


def test_directories_that_nobody_may_write_to_come_back_with_all_in_them(short_path: Path) -> None:
    with without_root(short_path):
        (short_path / "there").mkdir()
        (short_path / "other").write_text("a file now")
        stage = open_stage(short_path)
        for name in ("new", "there", "other"):
            (stage.directory / name / "deep").mkdir(parents=True)
            (stage.directory / name / "deep/f").write_text(name)
            (stage.directory / name / "deep").chmod(0o555)
            (stage.directory / name).chmod(0o555)
        done = put_back(stage, lambda: NOW)
        close_stage(stage)
        assert done.failed == {}
        for name in ("new", "there", "other"):
            assert (short_path / name / "deep/f").read_text() == name
            assert (short_path / name / "deep").stat().st_mode & 0o777 == 0o555
        assert (short_path / "new").stat().st_mode & 0o777 == 0o555
        assert (short_path / done.kept["other"]).read_text() == "a file now"
        for path in short_path.rglob("*"):
            if path.is_dir():
                path.chmod(0o755)


def test_what_is_spoilt_is_left_out_and_what_stands_in_its_place_stays(short_path: Path) -> None:
    with without_root(short_path):
        (short_path / "model").write_text("of today")
        stage = open_stage(short_path)
        (stage.directory / "model").write_text("half")
        (stage.directory / "fixed").mkdir()
        for name in ("good", "half"):
            (stage.directory / "fixed" / name).write_text(name)
        os.utime(stage.directory / "fixed", ns=(0, 1_500_000_000_000_000_000))
        (stage.directory / "fixed").chmod(0o555)
        spoilt = {"model": "bad", "fixed/half": "bad", "fixed": "no mode", "gone/x": "bad"}
        done = put_back(stage, lambda: NOW, spoilt=spoilt)
        close_stage(stage)
        assert (done.failed, done.kept) == (spoilt, {})
        assert (short_path / "model").read_text() == "of today"
        assert os.listdir(short_path / "fixed") == ["good"]
        status = (short_path / "fixed").stat()
        assert (status.st_mode & 0o777, status.st_mtime) == (0o555, 1_500_000_000)
        (short_path / "fixed").chmod(0o755)
