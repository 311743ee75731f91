"""A replica observes what really changed, and applies as the core's trees say."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.disk.world import (
    EDIT,
    NEW,
    OLD,
    RULES,
    PlainRules,
    WatchedFolder,
    contents_of,
    file_of,
    left_in_stage,
    let_time_pass,
    replica_of,
)
from towline.core.change import Change, Outcome, Result, changes_between
from towline.core.entry import DIRECTORY, Directory, Entry, Symlink, Unsynced
from towline.core.path import BadPathError
from towline.core.problem import Problem, ProblemKind
from towline.core.steps import run_to_end
from towline.core.summary import digest_of_directory
from towline.core.tree import Tree
from towline.disk.folder import Folder
from towline.disk.observation import Observation
from towline.disk.replica import Replica

OLD_FILE, NEW_FILE = file_of(OLD), file_of(NEW)


def test_own_writes_are_no_observations(tmp_path: Path) -> None:
    replica = replica_of(tmp_path)
    replica.apply(
        [Change("a/x.py", None, NEW_FILE), Change("d", None, DIRECTORY)], contents_of(NEW)
    )
    assert replica.observe(["a", "a/x.py", "d", ".towline/stage/y"]) == []


def test_a_new_directory_is_observed_whole_and_once(tmp_path: Path) -> None:
    replica = replica_of(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x").write_bytes(NEW)
    assert replica.observe(["a/b/x", "a/b", "a"]) == [
        Observation("a", Directory({"b": Directory({"x": NEW_FILE})}))
    ]


def test_a_vanished_directory_is_observed_as_absent(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    replica = replica_of(tmp_path)
    (tmp_path / "a" / "b").rmdir()
    (tmp_path / "a").rmdir()
    assert replica.observe(["a/b", "a"]) == [Observation("a", None)]


def test_looking_again_at_the_root_finds_every_difference(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(OLD)
    (tmp_path / "same").write_bytes(OLD)
    replica = replica_of(tmp_path)
    (tmp_path / "a" / "x").write_bytes(EDIT)
    (tmp_path / "new").write_bytes(NEW)
    assert replica.observe([""]) == [
        Observation("a/x", file_of(EDIT)),
        Observation("new", NEW_FILE),
    ]


def test_an_edit_in_the_same_instant_and_of_the_same_size_is_observed(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    replica = replica_of(tmp_path)
    status = path.stat()
    path.write_bytes(b"new")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert replica.observe(["x"]) == [Observation("x", file_of(b"new"))]


def test_ignored_and_unusable_paths_are_skipped(tmp_path: Path) -> None:
    replica = replica_of(tmp_path)
    (tmp_path / "ignored").mkdir()
    (tmp_path / "ignored" / "x").write_bytes(NEW)
    assert replica.observe(["ignored/x", "../x", ".towline/y", "/etc", "a//b"]) == []


def test_a_directory_left_with_ignored_things_only_vanishes(tmp_path: Path) -> None:
    (tmp_path / "pkg" / "__pycache__").mkdir(parents=True)
    (tmp_path / "pkg" / "x.py").write_bytes(OLD)
    replica = replica_of(tmp_path)
    (tmp_path / "pkg" / "x.py").unlink()
    assert replica.observe(["pkg/x.py"]) == [Observation("pkg", None)]
    (tmp_path / "pkg" / "x.py").write_bytes(OLD)
    assert replica.observe(["pkg/x.py"]) == [Observation("pkg", Directory({"x.py": OLD_FILE}))]


def test_what_happens_during_a_scan_is_in_the_tree_after_it(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / f"{number:03}").touch()
    replica = Replica(Folder(tmp_path), RULES, host="box")
    steps = replica.scan_steps()
    next(steps)
    (tmp_path / "000").write_bytes(EDIT)
    replica.observe(["000"])
    replica.apply([Change("001", file_of(b""), NEW_FILE)], contents_of(NEW))
    for _ in steps:
        pass
    assert replica.tree.get("000") == file_of(EDIT)
    assert replica.tree.get("001") == NEW_FILE


def test_reading_gives_the_expected_content_or_none(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(OLD)
    replica = replica_of(tmp_path)
    assert replica.outgoing.read("x", OLD_FILE) == OLD
    assert replica.outgoing.read("x", NEW_FILE) is None
    assert replica.outgoing.read("y", OLD_FILE) is None
    assert run_to_end(replica.outgoing.part_steps("x", OLD_FILE, 4, 3)) == OLD[4:7]
    assert run_to_end(replica.outgoing.part_steps("x", OLD_FILE, len(OLD), 3)) == b""
    (tmp_path / "x").write_bytes(EDIT)
    assert run_to_end(replica.outgoing.part_steps("x", OLD_FILE, 4, 3)) is None


def test_a_link_in_a_parents_place_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_bytes(OLD)
    root = tmp_path / "root"
    root.mkdir()
    replica = replica_of(root)
    (root / "pkg").symlink_to("../outside")
    results = replica.apply(
        [Change("pkg/x", OLD_FILE, NEW_FILE), Change("pkg/y", None, NEW_FILE)], contents_of(NEW)
    )
    assert [result.outcome for result in results] == [Outcome.REFUSED] * 2
    assert replica.outgoing.read("pkg/x", OLD_FILE) is None
    assert {path.name: path.read_bytes() for path in (tmp_path / "outside").iterdir()} == {"x": OLD}


@pytest.mark.parametrize("path", ["../x", "/x", ".towline/x", "a//b", ""])
def test_bad_paths_are_refused_before_anything_is_done(tmp_path: Path, path: str) -> None:
    replica = replica_of(tmp_path)
    with pytest.raises(BadPathError):
        replica.apply([Change("good", None, DIRECTORY), Change(path, None, DIRECTORY)], {})
    assert not (tmp_path / "good").exists()


def test_modes_of_the_old_file_stay_and_execution_follows(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(OLD)
    path.chmod(0o640)
    replica = replica_of(tmp_path)
    replica.apply([Change("x", OLD_FILE, file_of(NEW, executable=True))], contents_of(NEW))
    assert path.stat().st_mode & 0o777 == 0o750
    replica.apply([Change("x", file_of(NEW, executable=True), NEW_FILE)], {})
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_directory_goes_with_its_bytecode_but_not_with_what_is_ignored(tmp_path: Path) -> None:
    for name in ("gone", "stays"):
        (tmp_path / name / "__pycache__").mkdir(parents=True)
        (tmp_path / name / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"")
        (tmp_path / name / "x.py").write_bytes(OLD)
    (tmp_path / "stays" / "ignored").write_bytes(b"")
    replica = replica_of(tmp_path)
    changes = list(changes_between("", replica.tree.root, Directory({})))
    assert {result.outcome for result in replica.apply(changes, {})} == {Outcome.DONE}
    assert sorted(os.listdir(tmp_path)) == [".towline", "stays"]
    assert os.listdir(tmp_path / "stays") == ["ignored"]
    assert replica.tree.root == Directory({})


def test_a_directory_with_something_new_in_it_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    replica = replica_of(tmp_path)
    (tmp_path / "d" / "x").write_bytes(EDIT)
    assert replica.apply([Change("d", DIRECTORY, None)], {}) == [
        Result("d", Outcome.REFUSED, actual=DIRECTORY)
    ]


def test_keep_moves_whatever_is_there_to_a_free_name(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_bytes(EDIT)
    (tmp_path / "d.copy").write_bytes(OLD)
    replica = replica_of(tmp_path)
    (result,) = replica.apply([Change("d", None, NEW_FILE, keep="d.copy")], contents_of(NEW))
    assert result == Result("d", Outcome.DONE, kept="d-2.copy")
    assert (tmp_path / "d").read_bytes() == NEW
    assert replica.observe(()) == [Observation("d-2.copy", Directory({"x": file_of(EDIT)}))]
    assert replica.tree.get("d-2.copy") == Directory({"x": file_of(EDIT)})


def test_content_that_is_missing_or_wrong_is_lacking(tmp_path: Path) -> None:
    replica = replica_of(tmp_path)
    changes = [Change("x", None, NEW_FILE), Change("y", None, OLD_FILE)]
    results = replica.apply(changes, {NEW_FILE.digest: b"something else"})
    assert [result.outcome for result in results] == [Outcome.LACKING] * 2
    assert left_in_stage(tmp_path) == []


def test_a_link_that_leads_out_is_a_problem(tmp_path: Path) -> None:
    (result,) = replica_of(tmp_path).apply([Change("x", None, Symlink("../y"))], {})
    assert result.problem == Problem("x", ProblemKind.LINK, "../y")


def test_nothing_takes_the_place_of_what_cannot_be_synced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    (result,) = replica_of(tmp_path).apply([Change("x", None, NEW_FILE)], contents_of(NEW))
    assert result == Result("x", Outcome.REFUSED, actual=Unsynced(ProblemKind.SPECIAL))


def test_a_name_that_is_too_long_here_is_a_problem(tmp_path: Path) -> None:
    class ShortNames(Folder):
        def place(self, source: str, target: str) -> None:
            raise OSError(36, "File name too long", target)

    replica = replica_of(ShortNames(tmp_path))
    (result,) = replica.apply([Change("x", None, NEW_FILE)], contents_of(NEW))
    assert result.problem == Problem("x", ProblemKind.NAME, "File name too long")


def test_another_device_below_the_root_is_written_to(tmp_path: Path) -> None:
    class TwoDevices(Folder):
        def refuse(self, source: str, target: str) -> None:
            if source.startswith("disk/") != target.startswith("disk/"):
                raise OSError(18, "Invalid cross-device link", target)

        def exchange(self, staged: str, path: str) -> None:
            self.refuse(staged, path)
            super().exchange(staged, path)

        def place(self, source: str, target: str) -> None:
            self.refuse(source, target)
            super().place(source, target)

    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "x").write_bytes(OLD)
    (tmp_path / "disk" / "y").write_bytes(OLD)
    replica = replica_of(TwoDevices(tmp_path))
    changes = [
        Change("disk/x", OLD_FILE, NEW_FILE),
        Change("disk/y", OLD_FILE, None),
        Change("disk/z", None, NEW_FILE),
    ]
    results = replica.apply(changes, contents_of(NEW))
    assert [result.outcome for result in results] == [Outcome.DONE] * 3
    found = {path.name: path.read_bytes() for path in (tmp_path / "disk").iterdir()}
    assert found == {"x": NEW, "z": NEW}
    assert let_time_pass(replica) == []
    assert left_in_stage(tmp_path) == []


def test_a_name_that_differs_in_case_only_is_a_problem_where_case_folds(tmp_path: Path) -> None:
    class Folding(Folder):
        def lstat(self, path: str) -> os.stat_result:
            return super().lstat(path.lower())

    (tmp_path / "readme").write_bytes(OLD)
    replica = replica_of(Folding(tmp_path))
    changes = [Change("README", None, NEW_FILE), Change("other", None, NEW_FILE)]
    failed, done = replica.apply(changes, contents_of(NEW))
    assert failed.problem == Problem("README", ProblemKind.NAME, "readme is the same name here")
    assert done.outcome is Outcome.DONE


def test_the_cache_is_found_again(tmp_path: Path) -> None:
    class Counting(Folder):
        opened = 0

        def open(self, path: str) -> int:
            self.opened += 1
            return super().open(path)

    root, cache_file = tmp_path / "root", tmp_path / "cache"
    root.mkdir()
    (root / "x").write_bytes(OLD)
    much_later = lambda: (root / "x").stat().st_ctime_ns + 10**9  # noqa: E731 - a clock.
    replica_of(root, cache_file=cache_file, now_ns=much_later).save_cache()
    folder = Counting(root)
    assert replica_of(folder, cache_file=cache_file).tree.get("x") == OLD_FILE
    assert folder.opened == 0


def known_replica(folder: WatchedFolder) -> Replica:
    """Return a replica of a folder with the file `x`, which it wrote itself: it knows its stamp."""
    replica = replica_of(folder)
    replica.apply([Change("x", None, OLD_FILE)], contents_of(OLD))
    return replica


def test_a_file_known_by_its_stamp_is_looked_at_once_before_it_is_replaced(tmp_path: Path) -> None:
    folder = WatchedFolder(tmp_path)
    replica = known_replica(folder)
    folder.arm(-1, lambda: None)
    (result,) = replica.apply([Change("x", OLD_FILE, NEW_FILE)], contents_of(NEW))
    calls = folder.disarm()
    assert result.outcome is Outcome.DONE
    assert (tmp_path / "x").read_bytes() == NEW
    assert calls[: calls.index("exchange")].count("lstat") == 1


def test_a_known_file_whose_mode_has_changed_since_keeps_the_new_mode(tmp_path: Path) -> None:
    replica = known_replica(WatchedFolder(tmp_path))
    (tmp_path / "x").chmod(0o640)
    (result,) = replica.apply([Change("x", OLD_FILE, NEW_FILE)], contents_of(NEW))
    assert result.outcome is Outcome.DONE
    assert (tmp_path / "x").read_bytes() == NEW
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640
    assert len(left_in_stage(tmp_path)) == 1  # What was replaced, for a while.


def test_a_known_file_that_was_edited_since_is_refused(tmp_path: Path) -> None:
    replica = known_replica(WatchedFolder(tmp_path))
    (tmp_path / "x").write_bytes(EDIT)
    (result,) = replica.apply([Change("x", OLD_FILE, NEW_FILE)], contents_of(NEW))
    assert result.outcome is Outcome.REFUSED
    assert (tmp_path / "x").read_bytes() == EDIT
    assert left_in_stage(tmp_path) == []


names = st.sampled_from(["a", "b", "É", "x.py"])
contents = st.sampled_from([b"", OLD, NEW, EDIT])
leaves = st.builds(file_of, contents, executable=st.booleans()) | st.builds(
    Symlink, st.sampled_from(["a", "b/x.py"])
)
entries: st.SearchStrategy[Entry] = st.recursive(
    leaves,
    lambda inner: st.builds(Directory, st.dictionaries(names, inner, max_size=3)),
    max_leaves=8,
)
trees = st.builds(Directory, st.dictionaries(names, entries, max_size=4))


@settings(max_examples=60)
@given(first=trees, second=trees)
def test_applying_equals_the_trees_of_core(first: Directory, second: Directory) -> None:
    with tempfile.TemporaryDirectory() as name:
        replica = replica_of(Path(name), PlainRules())
        expected = Tree(Directory({}))
        for target in (first, second):
            changes = list(changes_between("", expected.root, target))
            results = replica.apply(changes, contents_of(b"", OLD, NEW, EDIT))
            assert {result.outcome for result in results} <= {Outcome.DONE}
            for change in changes:
                expected.put_shallow(change.path, change.new)
            assert replica.tree.root == expected.root == target
            assert replica.observe([""]) == []
        assert replica_of(Path(name), PlainRules()).tree.root == second
        assert left_in_stage(Path(name)) == []
        replica.folder.close()


def test_a_renamed_directory_needs_no_contents(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/a").write_bytes(OLD)
    replica = replica_of(tmp_path)
    changes = [
        Change("new", None, DIRECTORY),
        Change("new/a", None, file_of(OLD)),
        Change("old/a", file_of(OLD), None),
        Change("old", DIRECTORY, None),
    ]
    results = replica.apply(changes, {})
    assert {result.outcome for result in results} == {Outcome.DONE}
    assert (tmp_path / "new/a").read_bytes() == OLD
    assert not (tmp_path / "old").exists()


def test_what_was_to_be_moved_but_was_edited_is_lacking_and_stays(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(OLD)
    replica = replica_of(tmp_path)
    (tmp_path / "a").write_bytes(EDIT)
    moved = [Change("a", file_of(OLD), None), Change("b", None, file_of(OLD))]
    assert [result.outcome for result in replica.apply(moved, {})] == [
        Outcome.REFUSED,
        Outcome.LACKING,
    ]
    assert (tmp_path / "a").read_bytes() == EDIT
    assert not (tmp_path / "b").exists()


def an_hour_later() -> int:
    """A clock by which everything was written long ago."""
    return time.time_ns() + 3600 * 10**9


def renamed(replica: Replica, source: str, target: str) -> Result:
    entry = replica.tree.get(source)
    assert isinstance(entry, Directory)
    return replica.rename(source, target, digest_of_directory(entry))


def test_a_directory_gets_another_name_and_nothing_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "x").write_bytes(OLD)
    folder = WatchedFolder(tmp_path)
    replica = replica_of(folder, now_ns=an_hour_later)
    folder.calls.clear()
    assert renamed(replica, "d", "n") == Result("n", Outcome.DONE)
    assert (tmp_path / "n" / "e" / "x").read_bytes() == OLD
    assert not (tmp_path / "d").exists()
    assert replica.observe(["n", "d"]) == []
    assert "read" not in folder.calls


def test_what_else_was_in_a_renamed_directory_comes_along_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_bytes(OLD)
    replica = replica_of(tmp_path)
    (tmp_path / "d" / "x").write_bytes(EDIT)  # Not seen yet.
    (tmp_path / "d" / "y").write_bytes(NEW)
    assert renamed(replica, "d", "n").outcome is Outcome.DONE
    assert replica.observe(()) == [
        Observation("n/x", file_of(EDIT)),
        Observation("n/y", NEW_FILE),
    ]


@pytest.mark.parametrize("target", ["taken", "d/n", "absent/n"])
def test_a_rename_that_has_no_place_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_bytes(OLD)
    replica = replica_of(tmp_path)
    (tmp_path / "taken").write_bytes(EDIT)
    assert renamed(replica, "d", target).outcome is Outcome.REFUSED
    assert (tmp_path / "d" / "x").read_bytes() == OLD
    assert (tmp_path / "taken").read_bytes() == EDIT


def test_a_rename_of_what_is_known_to_be_different_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_bytes(OLD)
    replica = replica_of(tmp_path)
    digest = digest_of_directory(Directory({"x": NEW_FILE}))
    assert replica.rename("d", "n", digest) == Result("n", Outcome.REFUSED)
    assert (tmp_path / "d" / "x").read_bytes() == OLD


def test_a_link_in_a_directorys_place_is_not_renamed(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_bytes(OLD)
    replica = replica_of(tmp_path)
    (tmp_path / "d").rename(tmp_path / "elsewhere")
    (tmp_path / "d").symlink_to("elsewhere")
    assert renamed(replica, "d", "n").outcome is Outcome.REFUSED
    assert (tmp_path / "d").is_symlink()


def test_files_whose_directory_moved_are_not_read_again(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_bytes(OLD)
    replica = replica_of(tmp_path, now_ns=an_hour_later)
    (tmp_path / "d").rename(tmp_path / "n")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "x").write_bytes(NEW)
    contents: dict[bytes, bytes] = {}
    assert replica.observe(["d", "m", "n"], contents) == [
        Observation("d", None),
        Observation("m", Directory({"x": NEW_FILE})),
        Observation("n", Directory({"x": OLD_FILE})),
    ]
    assert list(contents.values()) == [NEW]


@pytest.mark.parametrize(
    ("change", "placing"),
    [
        (Change("d/old", OLD_FILE, NEW_FILE), "exchange"),
        (Change("d/new", None, NEW_FILE), "place"),
        (Change("d/old", OLD_FILE, NEW_FILE, keep="kept"), "place"),
        (Change("d/old", OLD_FILE, None), "place"),
    ],
    ids=["replaced", "new", "kept beside", "removed"],
)
def test_what_must_outlive_a_loss_of_power_is_on_the_disk_before_it_counts(
    tmp_path: Path, change: Change, placing: str
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/old").write_bytes(OLD)
    folder = WatchedFolder(tmp_path)
    replica = replica_of(folder, durable=True)
    folder.calls.clear()
    (result,) = replica.apply([change], contents_of(NEW))
    assert result.outcome is Outcome.DONE
    placed = [at for at, call in enumerate(folder.calls) if call == placing]
    assert "sync_directory" in folder.calls[placed[-1] :]
    if change.new is not None:
        last_write = max(at for at, call in enumerate(folder.calls) if call == "write")
        assert last_write < folder.calls.index("sync_file") < placed[-1]


@pytest.mark.parametrize("year", [1600, 1965, 2300])
def test_a_file_of_any_date_is_known_and_replaced(tmp_path: Path, year: int) -> None:
    (tmp_path / "x.py").write_bytes(OLD)
    folder = DatedFolder(tmp_path)
    folder.mtime_ns = round((year - 1970) * 365.2425 * 86400) * 10**9
    replica = replica_of(folder, now_ns=lambda: time.time_ns() + 10**9)
    assert replica.observe(["x.py"]) == []
    (result,) = replica.apply([Change("x.py", OLD_FILE, NEW_FILE)], contents_of(NEW))
    assert result.outcome is Outcome.DONE
    assert (tmp_path / "x.py").read_bytes() == NEW


class DatedFolder(Folder):
    """On a disk that holds dates of which others know nothing."""

    mtime_ns = 0

    def scan_directory(self, path: str) -> list[tuple[str, os.stat_result]]:
        return [(name, self._dated(status)) for name, status in super().scan_directory(path)]

    def lstat(self, path: str) -> os.stat_result:
        return self._dated(super().lstat(path))

    def fstat(self, descriptor: int) -> os.stat_result:
        return self._dated(super().fstat(descriptor))

    def _dated(self, status: os.stat_result) -> os.stat_result:
        plain = {name: getattr(status, name) for name in dir(status) if name.startswith("st_")}
        return os.stat_result(tuple(status), {**plain, "st_mtime_ns": self.mtime_ns})
