"""A held copy: what is in it, what it shares, and what comes home from it."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
from pathlib import Path

import pytest

from towline.agent.jobs import hold
from towline.agent.jobs.hold import HoldError, bring_home
from towline.agent.jobs.record import Request
from towline.agent.jobs.shelf import Job
from towline.core.ignore import Rules
from towline.core.rule import Source, SourceKind


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Job]:
    """A project, and a job with a copy of it."""
    project = tmp_path / "proj"
    for path, content in {
        "a.py": "a",
        "pkg/b.py": "b",
        "data/big.bin": "data",
        "results/old.csv": "1",
        "__pycache__/a.pyc": "",
        ".towline/id": "",
        "huge.bin": "x" * 100,
    }.items():
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(content)
    (project / "a.py").chmod(0o755)
    (project / "link.py").symlink_to("a.py")
    (project / "out.py").symlink_to("../outside.py")
    (project / "empty").mkdir()
    rules = Rules([Source(SourceKind.GIT_IGNORE, "", ".gitignore", ("data/", "__pycache__/"))], 50)
    monkeypatch.setattr(hold, "ask", lambda *_: {"rules": {str(project): rules.to_wire()}})
    (tmp_path / "7").mkdir()
    request = Request("k", ("true",), str(project), hold=True, pulled=(("results/", "pull"),))
    hold.hold("w", request, str(tmp_path / "7"))
    return project, Job(str(tmp_path / "7"))


def test_code_is_copied_and_the_rest_is_shared(held: tuple[Path, Job]) -> None:
    project, job = held
    copy = Path(job.file("code"))
    assert sorted(os.listdir(copy)) == [
        *("a.py", "data", "empty", "huge.bin", "link.py", "out.py", "pkg", "results"),
    ]
    (project / "a.py").write_text("in place")  # Not even so is it reached.
    assert (copy / "a.py").read_text() == "a"
    assert os.access(copy / "a.py", os.X_OK)
    assert (copy / "a.py").stat().st_mtime_ns != (project / "a.py").stat().st_mtime_ns
    assert (copy / "pkg/b.py").stat().st_mtime_ns == (project / "pkg/b.py").stat().st_mtime_ns
    assert os.readlink(copy / "link.py") == "a.py"
    assert os.path.normpath(os.readlink(copy / "out.py")) == str(project.parent / "outside.py")
    for shared in ("data", "huge.bin", "results"):
        assert os.readlink(copy / shared) == str(project / shared)


def test_what_was_made_comes_home_and_nothing_is_replaced(held: tuple[Path, Job]) -> None:
    project, job = held
    copy = Path(job.file("code"))
    (copy / "new/deep").mkdir(parents=True)
    (copy / "new/deep/file").write_text("new")
    (copy / "pkg/made.txt").write_text("made")
    (copy / "empty/made.txt").write_text("made")
    (copy / "data/more.bin").write_text("more")
    (copy / "a.py").write_text("by the job")
    (copy / "both.txt").write_text("the job's")
    (project / "both.txt").write_text("the laptop's")
    (copy / "pkg/__pycache__").mkdir()

    assert bring_home(job, str(project)) == ("a.py", "both.txt")
    assert (project / "new/deep/file").read_text() == "new"
    assert (project / "pkg/made.txt").read_text() == "made"
    assert (project / "empty/made.txt").read_text() == "made"
    assert (project / "data/more.bin").read_text() == "more"
    assert (project / "a.py").read_text() == "a"
    assert (project / "both.txt").read_text() == "the laptop's"
    assert (copy / "both.txt").read_text() == "the job's"
    assert bring_home(job, str(project)) == ("a.py", "both.txt")  # Nothing is left behind twice.


def test_an_untouched_copy_keeps_nothing(held: tuple[Path, Job]) -> None:
    project, job = held
    assert bring_home(job, str(project)) == ()
    Path(job.file("code.json")).write_text(json.dumps([]))
    assert bring_home(job, str(project)) == (".",)  # Not known: nothing of it may go.


def test_a_project_that_is_data_is_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proj").mkdir()
    (tmp_path / "proj/large").write_bytes(bytes(100))
    rules = Rules([], None)
    monkeypatch.setattr(hold, "ask", lambda *_: {"rules": {f"{tmp_path}/proj": rules.to_wire()}})
    monkeypatch.setattr(hold, "HELD_MAX", 99)
    (tmp_path / "1").mkdir()
    with pytest.raises(HoldError, match="would be copied"):
        hold.hold("w", Request("k", ("true",), f"{tmp_path}/proj"), f"{tmp_path}/1")


def test_what_does_not_fit_at_home_is_not_there_by_half(
    held: tuple[Path, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The project on another disk than the jobs, and that one full."""
    project, job = held
    copy = Path(job.file("code"))
    (copy / "last.ckpt").write_bytes(bytes(200_000))
    (copy / "runs").mkdir()
    (copy / "runs/last.ckpt").write_bytes(bytes(200_000))
    rename = os.rename

    def between_disks(source: str, target: str) -> None:
        if source.startswith(str(copy)) and not target.startswith(str(copy)):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target)

    monkeypatch.setattr(os, "rename", between_disks)
    before = sorted(os.listdir(project))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        assert bring_home(job, str(project)) == ("last.ckpt", "runs")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(os.listdir(project)) == before
    assert not list((project / ".towline").glob("home-*"))
    assert (copy / "runs/last.ckpt").stat().st_size == 200_000
    assert bring_home(job, str(project)) == ()
    assert (project / "last.ckpt").stat().st_size == 200_000
    assert (project / "runs/last.ckpt").stat().st_size == 200_000
    assert not (copy / "runs").exists()


def test_a_file_that_is_gone_meanwhile_is_not_in_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editor's own file beside what it saves; in the middle of being copied, too."""
    project = make_project(tmp_path, monkeypatch, "a.py", "gone.1", "gone.2", "pkg/b.py", "z.py")
    (project / "later").mkdir()
    listdir, copyfile = os.listdir, shutil.copyfile

    def vanishing(path: str) -> list[str]:
        found = listdir(path)
        if path == str(project):
            (project / "gone.1").unlink()
            (project / "later").rmdir()
        return found

    def half(source: str, target: str) -> None:
        copyfile(source, target)
        if source.endswith("gone.2"):
            os.unlink(source)

    monkeypatch.setattr(hold, "_reflinked", lambda *_: False)
    monkeypatch.setattr("os.listdir", vanishing)
    monkeypatch.setattr("shutil.copyfile", half)
    hold.hold("w", Request("k", ("true",), str(project)), f"{tmp_path}/1")
    assert sorted(os.listdir(tmp_path / "1/code")) == ["a.py", "pkg", "z.py"]
    assert bring_home(Job(f"{tmp_path}/1"), str(project)) == ()


@pytest.mark.parametrize("name", ["locked.txt", "locked"])
def test_what_cannot_be_read_is_shared_and_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    project = make_project(tmp_path, monkeypatch, "a.py", "locked.txt", "locked/b.py")
    locked = str(project / name)
    access = os.access
    monkeypatch.setattr("os.access", lambda path, how: path != locked and access(path, how))
    hold.hold("w", Request("k", ("true",), str(project)), f"{tmp_path}/1")
    assert os.readlink(f"{tmp_path}/1/code/{name}") == locked
    assert sorted(os.listdir(tmp_path / "1/code")) == ["a.py", "locked", "locked.txt"]


def make_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *paths: str) -> Path:
    """Make a project of some files without rules, and a directory for job 1."""
    project = tmp_path / "proj"
    for path in paths:
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        (project / path).write_text(path)
    answer = {"rules": {str(project): Rules([], None).to_wire()}}
    monkeypatch.setattr(hold, "ask", lambda *_: answer)
    (tmp_path / "1").mkdir()
    return project
