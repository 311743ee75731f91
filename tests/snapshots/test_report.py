"""What restic says, of every age: tables of its words."""

from __future__ import annotations

import pytest

from towline.snapshots.report import (
    Difference,
    Node,
    Progress,
    Snapshot,
    Summary,
    Trouble,
    Version,
    complaint_of,
    difference_of,
    last_words,
    message_of,
    node_of,
    snapshots_of,
    trouble_of,
    unreadable_of,
    version_of,
)

LOCKED = (
    "unable to create lock in backend: repository is already locked exclusively by PID 7 on gpu"
    " by root (UID 0, GID 0)\nlock was created at 2026-11-25 16:00:00 (1m ago)\n"
)


@pytest.mark.parametrize(
    ("code", "stderr", "trouble"),
    [
        # Before 0.17 there is one code, and words.
        (1, "Fatal: wrong password or no key found", Trouble.NO_KEY),
        (1, LOCKED, Trouble.LOCKED),
        (1, "Fatal: unable to open config file: stat /r/config: no such file or directory\n"
            "Is there a repository at the following location?\n/r", Trouble.NO_REPOSITORY),
        (1, "Fatal: unable to open config file: Stat: file does not exist", Trouble.NO_REPOSITORY),
        (1, "Fatal: unable to open repo: unable to start the sftp session: EOF", Trouble.OTHER),
        # From 0.17 on codes say it, whatever the words.
        (10, "", Trouble.NO_REPOSITORY),
        (11, "", Trouble.LOCKED),
        (12, "", Trouble.NO_KEY),
        (130, "", Trouble.INTERRUPTED),
        (99, "of the future", Trouble.OTHER),
    ],
)  # fmt: skip
def test_what_went_wrong(code: int, stderr: str, trouble: Trouble) -> None:
    assert trouble_of(code, stderr) is trouble


@pytest.mark.parametrize(
    ("stderr", "words"),
    [
        ("Fatal: a\n", "a"),
        ("subprocess ssh: Host key\nFatal: unable to open\n", "Host key"),
        ('{"message_type":"exit_error","code":12,"message":"Fatal: wrong"}', "wrong"),
        ('{"message_type":"error","error":{"message":"denied"},"item":"/p/x"}', "/p/x: denied"),
        ("config exists\ngithub.com/restic/x\n\t/src/x.go:1\nruntime.goexit\n", "config exists"),
        ("", "it gave no reason"),
        ("{ not JSON", "{ not JSON"),
    ],
)  # fmt: skip
def test_the_sentence_that_says_why(stderr: str, words: str) -> None:
    assert last_words(stderr) == words


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"message_type":"status","percent_done":0.5,"files_done":3,"bytes_done":7}',
         Progress(0.5, 3, 7)),
        ('{"message_type":"status","percent_done":1,"files_restored":3,"bytes_restored":7}',
         Progress(1, 3, 7)),
        ('{"message_type":"status"}', Progress(0, 0, 0)),
        ('{"message_type":"summary","files_new":1,"files_changed":2,"dirs_new":3,"dirs_changed":4,'
         '"total_files_processed":5,"total_bytes_processed":6,"data_added":7,"total_duration":0.5,'
         '"snapshot_id":"abcd","of_the_future":1}',
         Summary("abcd", 1, 2, 5, 7, 6, 0.5, 7)),
        ('{"message_type":"verbose_status"}', None),
        ("plain words", None),
        ("{}", None),
        ("[1]", None),
    ],
)  # fmt: skip
def test_a_line_of_a_snapshot_under_way(line: str, said: object) -> None:
    assert message_of(line) == said


def test_a_snapshot_of_nothing_new_and_one_of_something() -> None:
    assert Summary("a", 0, 0, 5, 0, 9, 0.1).found_nothing
    assert not Summary("a", 1, 0, 5, 0, 9, 0.1).found_nothing
    assert not Summary("a", 0, 0, 5, 1, 9, 0.1).found_nothing
    assert not Summary("a", 0, 0, 5, 0, 9, 0.1, dirs_changed=1).found_nothing


@pytest.mark.parametrize(
    ("line", "readings"),
    [
        ("ignoring error for /a b: it is bad", (("a b", "it is bad"),)),
        ("ignoring error for /a: b: bad", (("a", "b: bad"), ("a: b", "bad"))),
        ('{"message_type":"error","error":{"message":"bad"},"item":"/a: b"}', (("a: b", "bad"),)),
        ("ignoring error for /half of a na", ()),
        ("Load(<data/ec24>, 16, 0) returned error, retrying after 5ms: no such file", ()),
    ],
)
def test_what_a_restore_is_without(line: str, readings: object) -> None:
    assert complaint_of(line) == readings


def test_unreadable_files_are_named_once() -> None:
    told = '{"message_type":"error","error":{},"during":"archival","item":"/p/secret"}\n'
    assert unreadable_of(told + told + "Warning: at least one source file could not be read\n") == (
        "/p/secret",
    )


def test_snapshots_come_oldest_first() -> None:
    text = (
        '[{"id":"b","time":"2026-11-25T16:36:10.588917109Z","hostname":"h","tags":["towline"],'
        '"tree":"t"},{"id":"a","time":"2026-11-25T17:36:09+01:00"}]'
    )
    assert snapshots_of(text) == [
        Snapshot("a", 1795624569.0, "", (), ""),
        Snapshot("b", 1795624570.588917, "h", ("towline",), "t"),
    ]
    assert snapshots_of("null") == []


def test_a_path_in_a_snapshot() -> None:
    line = '{"name":"a","type":"dir","path":"/d/a","mode":2147484141,"mtime":"1970-01-01T00:00:01Z"'
    assert node_of(line + ',"struct_type":"node"}') == Node("d/a", "dir", 0, 0o755, 1.0)
    assert node_of(line + ',"message_type":"node"}') == Node("d/a", "dir", 0, 0o755, 1.0)
    assert node_of('{"struct_type":"snapshot"}') is None


@pytest.mark.parametrize(
    ("line", "difference"),
    [
        ('{"message_type":"change","path":"/a","modifier":"+"}', Difference("a", "added")),
        ('{"message_type":"change","path":"/a","modifier":"TM"}', Difference("a", "changed")),
        ('{"message_type":"statistics"}', None),
        ("-    /d/b", Difference("d/b", "removed")),
        ("U    /d/ b", Difference("d/ b", "other")),
        ("comparing snapshot a to b:", None),
        ("", None),
    ],
)
def test_a_difference_in_either_form(line: str, difference: Difference | None) -> None:
    assert difference_of(line) == difference


def test_versions() -> None:
    assert version_of("restic 0.14.0 compiled with go1.19.8") == Version((0, 14, 0))
    assert version_of("restic 0.18 (dev)") == Version((0, 18, 0))
    assert version_of("wrestic 1") is None
    assert Version((0, 17, 1)).is_at_least(0, 17)
    assert not Version((0, 16, 5)).is_at_least(0, 17)
