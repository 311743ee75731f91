"""The past: files as they were in each revision, within limits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from towline.core.entry import DIRECTORY, Entry, File, Symlink, digest_of
from towline.engine import history as module
from towline.engine.history import CONTENT_MAX, PLAIN_ROWS, History, Past


def file(content: bytes, executable: bool = False) -> File:
    return File(digest_of(content), executable, len(content))


class Workspace:
    """A folder, and the past that is written of it."""

    def __init__(self, directory: Path, size_max: int) -> None:
        self.present: dict[str, bytes] = {}
        self.place = directory / "x.history"
        self.history = History(self.place, lambda _, path: self.present.get(path), size_max)

    def note(self, revision: int, **contents: bytes) -> None:
        self.history.keep({digest_of(content): content for content in contents.values()})
        self.history.note(0, revision, [(name, file(data)) for name, data in contents.items()])
        self.write()

    def write(self) -> None:
        if news := self.history.take():
            self.history.write(news)

    def text(self, path: str, revision: int) -> bytes | None:
        past = Past(self.place)
        try:
            version = past.at(0, path, revision)
            return None if version is None else past.content(version)
        finally:
            past.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path, 1 << 20)
    yield workspace
    workspace.history.close()


def test_each_revision_shows_what_was_there(workspace: Workspace) -> None:
    workspace.note(1, a=b"one", b=b"kept")
    workspace.note(2, a=b"two")
    workspace.history.note(0, 3, [("a", None)])
    workspace.write()
    shown = [workspace.text("a", revision) for revision in range(5)]
    assert shown == [None, b"one", b"two", None, None]
    assert workspace.text("b", 4) == b"kept"


def test_a_revision_that_lands_late_takes_its_own_place(workspace: Workspace) -> None:
    workspace.note(3, a=b"three")
    workspace.note(2, a=b"two")
    assert [workspace.text("a", revision) for revision in (2, 3)] == [b"two", b"three"]


def test_what_a_directory_held_is_gone_with_it(workspace: Workspace) -> None:
    rows: list[tuple[str, Entry | None]] = [("d", DIRECTORY), ("d/a", file(b"a"))]
    workspace.history.keep({digest_of(b"a"): b"a"})
    workspace.history.note(0, 1, rows)
    workspace.history.note(0, 2, [("d", None)])
    workspace.history.note(0, 3, [("d", DIRECTORY), ("d/b", file(b"b"))])
    workspace.write()
    assert [workspace.text("d/a", revision) for revision in (1, 2)] == [b"a", None]


def test_content_that_was_not_at_hand_is_read_from_the_folder(workspace: Workspace) -> None:
    workspace.present = {"a": b"here", "b": b"changed since"}
    workspace.history.note(0, 1, [("a", file(b"here")), ("b", file(b"before"))])
    workspace.write()
    assert (workspace.text("a", 1), workspace.text("b", 1)) == (b"here", None)


def test_links_are_shown_by_their_text_and_large_files_not(workspace: Workspace) -> None:
    large = b"x" * (CONTENT_MAX + 1)
    workspace.note(1, large=large)
    workspace.history.note(0, 1, [("link", Symlink("target"))])
    workspace.write()
    assert (workspace.text("link", 1), workspace.text("large", 1)) == (b"target", None)


def test_the_oldest_revisions_go_where_there_is_too_much(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, 200_000)
    workspace.note(1, stays=b"from the beginning")
    contents = {revision: os.urandom(5000) for revision in range(2, 102)}
    for revision, content in contents.items():
        workspace.note(revision, a=content)
    workspace.history.close()
    past = Past(workspace.place)
    oldest, newest = past.span()
    past.close()
    assert 60 < oldest < newest == 101
    for revision in range(oldest, 102):
        assert workspace.text("a", revision) == contents[revision]
        assert workspace.text("stays", revision) == b"from the beginning"
    assert workspace.place.stat().st_size < 600_000


def test_a_past_that_cannot_be_written_ends_nothing(workspace: Workspace) -> None:
    workspace.history._db.execute("DROP TABLE content")
    workspace.note(1, a=b"one")
    workspace.note(2, a=b"two")


def test_of_a_first_sync_more_is_written_at_once_when_no_content_is_kept_any_more(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 2)
    history = workspace.history
    history._base_left = 1
    sizes: list[int] = []
    for number in range(40):
        history.note(0, 1, [(f"{number}", file(b"%d" % number))])
    history.note(0, 2, [("saved", file(b"s"))])
    while news := history.take():
        sizes.append(len(news.rows))
        history.write(news)
    assert sizes == [2, 2 * PLAIN_ROWS, 2 * PLAIN_ROWS, 7]
    assert workspace.text("0", 1) is None  # Not present, and nobody gave its content.
