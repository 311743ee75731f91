"""Plans that look like an accident are recognised; ordinary work is not."""

from __future__ import annotations

from towline.core.entry import DIRECTORY, Directory, Entry, File
from towline.core.reconcile import reconcile
from towline.core.safety import DELETIONS_MIN, count_files, why_hold

A, B = File(b"a"), File(b"b")


def files(count: int) -> Directory:
    return Directory({f"f{number}": A for number in range(count)})


def held(ancestor: Entry, local: Entry | None, remote: Entry | None) -> str | None:
    return why_hold(list(reconcile(ancestor, local, remote)), ancestor, local, remote)


def test_an_emptied_side_is_held_whichever_it_is() -> None:
    assert "machine" in (held(files(2), files(2), DIRECTORY) or "")
    assert "laptop" in (held(files(2), DIRECTORY, files(2)) or "")


def test_a_root_that_is_gone_is_held_like_an_emptied_one() -> None:
    assert held(files(2), files(2), None)


def test_an_only_file_may_be_deleted() -> None:
    assert held(files(1), files(1), DIRECTORY) is None


def test_a_first_sync_to_an_empty_machine_is_not_held() -> None:
    assert held(DIRECTORY, files(100), DIRECTORY) is None


def test_many_deletions_on_the_machine_are_held_by_number_and_share() -> None:
    total = 4 * DELETIONS_MIN
    assert held(files(total), files(total), files(total - DELETIONS_MIN))
    assert held(files(total), files(total), files(total - DELETIONS_MIN + 1)) is None
    assert held(files(total + 1), files(total + 1), files(total + 1 - DELETIONS_MIN)) is None


def test_a_deleted_directory_counts_with_all_its_files() -> None:
    ancestor = Directory({"d": files(DELETIONS_MIN), "x": A})
    assert held(ancestor, ancestor, Directory({"x": A}))


def test_deletions_on_the_laptop_are_the_persons_own() -> None:
    assert held(files(100), files(1), files(100)) is None


def test_edits_on_the_machine_are_no_deletions_however_many() -> None:
    edited = Directory(dict.fromkeys(files(100).children, B))
    assert held(files(100), files(100), edited) is None


def test_files_are_counted_at_any_depth_and_directories_are_not() -> None:
    assert count_files(None) == 0
    assert count_files(A) == 1
    assert count_files(Directory({"d": files(3), "e": DIRECTORY, "x": A})) == 4
