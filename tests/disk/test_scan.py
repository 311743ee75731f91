"""What a scan makes of everything a folder can hold."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.disk.mounts import dead_mount_at, needs_mount
from tests.disk.world import RULES, PlainRules, WatchedFolder, file_of, replica_of
from towline.core.entry import DIRECTORY, Symlink, Unsynced
from towline.core.problem import ProblemKind
from towline.disk.folder import BESIDE_PREFIX, Folder
from towline.disk.look import leads_out
from towline.disk.replica import Replica
from towline.disk.watch.poller import _signatures


def scanned(root: Path, rules: PlainRules = RULES) -> dict[str, object]:
    return dict(replica_of(root, rules).tree.walk())


def test_files_links_and_empty_directories_are_entries(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "run.sh").write_bytes(b"x")
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / "link").symlink_to("run.sh")
    assert scanned(tmp_path) == {
        "a": DIRECTORY,
        "link": Symlink("run.sh"),
        "run.sh": file_of(b"x", executable=True),
    }


def test_a_directory_with_only_ignored_things_is_absent(tmp_path: Path) -> None:
    (tmp_path / "pkg" / "sub" / "__pycache__").mkdir(parents=True)
    (tmp_path / "pkg" / "ignored").write_bytes(b"")
    assert scanned(tmp_path) == {}


def test_what_cannot_be_synced_is_an_entry_and_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)
        listener.bind("socket")
    (tmp_path / "absolute").symlink_to("/etc/passwd")
    (tmp_path / "large").write_bytes(b"12345")
    (tmp_path / ".Towline").write_bytes(b"")
    replica = replica_of(tmp_path, PlainRules(size_max=4))
    kinds = {
        ".Towline": ProblemKind.NAME,
        "absolute": ProblemKind.LINK,
        "fifo": ProblemKind.SPECIAL,
        "large": ProblemKind.TOO_LARGE,
        "socket": ProblemKind.SPECIAL,
    }
    assert dict(replica.tree.walk()) == {path: Unsynced(kind) for path, kind in kinds.items()}
    assert {path: problem.kind for path, problem in replica.problems.items()} == kinds
    assert [(left.path, left.size) for left in replica.left_out] == [("large", 5)]


def test_what_cannot_be_read_is_no_absence(tmp_path: Path) -> None:
    class Unreadable(Folder):
        def open(self, path: str) -> int:
            raise PermissionError(13, "Permission denied", path)

        def scan_directory(self, path: str) -> list[tuple[str, os.stat_result]]:
            if path == "closed":
                raise PermissionError(13, "Permission denied", path)
            return super().scan_directory(path)

    (tmp_path / "closed").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    replica = replica_of(Unreadable(tmp_path))
    unreadable = Unsynced(ProblemKind.UNREADABLE)
    assert dict(replica.tree.walk()) == {"closed": unreadable, "file": unreadable}
    assert replica.problems["file"].detail == "Permission denied"


def test_a_file_written_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    folder = WatchedFolder(tmp_path)
    replica = Replica(folder, RULES, host="box")

    def write_once() -> None:
        if folder.calls[-1] == "read" and path.read_bytes() == b"old":
            path.write_bytes(b"newer")

    folder.before_each = write_once
    replica.scan()
    assert replica.tree.get("x") == file_of(b"newer")


def test_a_file_that_always_changes_is_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"")
    folder = WatchedFolder(tmp_path)
    replica = Replica(folder, RULES, host="box")

    def append() -> None:
        if folder.calls[-1] == "read":
            with path.open("ab") as file:
                file.write(b"more")

    folder.before_each = append
    replica.scan()
    assert replica.tree.get("x") == Unsynced(ProblemKind.CHANGING)


def test_own_names_are_no_part_of_the_tree(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / f"{BESIDE_PREFIX}strange").write_bytes(b"")
    (tmp_path / ".towline").mkdir()
    (tmp_path / ".towline" / "incarnation").write_bytes(b"")
    assert scanned(tmp_path) == {"pkg": DIRECTORY}


def test_names_that_are_no_text_are_kept(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff")).write_bytes(b"x")
    assert scanned(tmp_path) == {"\udcff": file_of(b"x")}


def test_the_largest_left_out_are_told_with_their_size(tmp_path: Path) -> None:
    (tmp_path / "a" / "ignored" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "ignored" / "one").write_bytes(b"123")
    (tmp_path / "a" / "ignored" / "deep" / "two").write_bytes(b"45")
    (tmp_path / "ignored").write_bytes(b"1234")
    left_out = replica_of(tmp_path).left_out
    assert [(left.path, left.size, left.at_least) for left in left_out] == [
        ("a/ignored", 5, False),
        ("ignored", 4, False),
    ]


def test_a_scan_lets_others_run_in_between(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / str(number)).touch()
    replica = Replica(Folder(tmp_path), RULES, host="box")
    assert len(list(replica.scan_steps())) >= 2


def test_a_removed_root_is_absent_not_empty(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    replica = replica_of(root)
    assert replica.tree.root is not None
    root.rmdir()
    replica.scan()
    assert replica.tree.root is None


@pytest.mark.parametrize(
    ("path", "target", "out"),
    [
        ("a", "b", False),
        ("a/b", "../c", False),
        ("a", "../c", True),
        ("a/b", "../../c", True),
        ("a/b/c", "x/../../../d", False),
        ("a", "/etc", True),
        ("a", "C:\\x", True),
        ("a", "b/../..", True),
    ],
)
def test_links_lead_out_by_their_text(path: str, target: str, out: bool) -> None:
    assert leads_out(path, target) is out


@pytest.mark.parametrize("at_call", ["open", "read"])
def test_what_grows_beyond_the_limit_while_it_is_looked_at_is_too_large(
    tmp_path: Path, at_call: str
) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"1234")
    folder = WatchedFolder(tmp_path)

    def grow() -> None:
        if folder.calls[-1] == at_call:
            file.write_bytes(b"12345")

    folder.before_each = grow
    replica = replica_of(folder, PlainRules(size_max=4))
    assert dict(replica.tree.walk()) == {"x": Unsynced(ProblemKind.TOO_LARGE)}
    assert replica.problems["x"].kind is ProblemKind.TOO_LARGE


@needs_mount
def test_a_mount_that_does_not_answer_is_one_problem(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"x")
    (tmp_path / "drive").mkdir()
    with dead_mount_at(tmp_path / "drive"):
        replica = replica_of(tmp_path)
        assert replica.tree.get("a.py") == file_of(b"x")
        assert replica.tree.get("drive") == Unsynced(
            ProblemKind.UNREADABLE, "it cannot be looked at"
        )
        replica.observe(["drive", "a.py"])
        assert isinstance(replica.tree.get("drive"), Unsynced)
        assert set(_signatures(str(tmp_path))) >= {"a.py", "drive"}
