"""Names of conflict copies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from towline.core.conflict import copy_name, is_conflict_copy, numbered
from towline.core.path import NAME_MAX, check_path, name_of, parent_of

WHEN = datetime(2026, 11, 21, 3, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("path", "host", "number", "expected"),
    [
        ("x.py", "box", 1, "x.conflict-box-20261121T030102.py"),
        ("a/b.c/x.py", "box", 1, "a/b.c/x.conflict-box-20261121T030102.py"),
        ("x.py", "box", 2, "x.conflict-box-20261121T030102-2.py"),
        ("x.py", "box", 3, "x.conflict-box-20261121T030102-3.py"),
        ("Makefile", "box", 1, "Makefile.conflict-box-20261121T030102"),
        (".env", "box", 1, ".env.conflict-box-20261121T030102"),
        ("x.tar.gz", "box", 1, "x.tar.conflict-box-20261121T030102.gz"),
        ("x.py", "my gpu/box.lan", 1, "x.conflict-my-gpu-box-lan-20261121T030102.py"),
        ("x.py", "///", 1, "x.conflict-host-20261121T030102.py"),
        ("x." + "s" * 16, "b", 1, "x.conflict-b-20261121T030102." + "s" * 16),
        ("x." + "s" * 17, "b", 1, "x." + "s" * 17 + ".conflict-b-20261121T030102"),
        ("data.not really a suffix", "b", 1, "data.not really a suffix.conflict-b-20261121T030102"),
    ],
)
def test_copy_name(path: str, host: str, number: int, expected: str) -> None:
    assert copy_name(path, host, WHEN, number) == expected
    assert is_conflict_copy(expected)


def test_the_first_copy_of_a_second_has_no_number() -> None:
    assert copy_name("x.py", "box", WHEN) == copy_name("x.py", "box", WHEN, 1)


def test_the_time_is_utc() -> None:
    elsewhere = WHEN.astimezone(timezone(timedelta(hours=9)))
    assert copy_name("x", "box", elsewhere) == copy_name("x", "box", WHEN)


def test_long_names_are_cut_to_what_a_disk_can_hold() -> None:
    copy = copy_name("d/" + "é" * 127 + ".py", "h" * 300, WHEN)
    assert check_path(copy) == copy
    assert parent_of(copy) == "d"
    assert copy.endswith(".py")


@pytest.mark.parametrize("length", range(200, 256))
def test_no_more_is_cut_than_must_be(length: int) -> None:
    whole = len(copy_name("x" * 10, "box", WHEN)) - 10 + length
    assert len(copy_name("x" * length, "box", WHEN)) == min(whole, NAME_MAX)


@pytest.mark.parametrize("name", ["x.py", "conflict.py", "x.conflict-theory.py", "x.conflict-.py"])
def test_other_names_are_no_copies(name: str) -> None:
    assert not is_conflict_copy(name_of(name))


def test_a_further_name_keeps_the_suffix() -> None:
    assert numbered("d/x.tar.gz", 1) == "d/x.tar.gz"
    assert numbered("d/x.tar.gz", 2) == "d/x.tar-2.gz"
    assert numbered(".profile", 2) == ".profile-2"
