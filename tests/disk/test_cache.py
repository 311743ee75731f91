"""A digest is believed only while its stamp can vouch for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from towline.disk.cache import Cache, Stamp, is_settled, load_cache

SECOND = 1_000_000_000
NOW = 1_000 * SECOND
DIGEST = bytes(range(16))


def stamp(mtime_ns: int, ctime_ns: int | None = None, size: int = 5) -> Stamp:
    return Stamp(size, mtime_ns, mtime_ns if ctime_ns is None else ctime_ns, 42, 0o100644)


@pytest.mark.parametrize(
    ("written", "settled"),
    [
        (stamp(NOW - SECOND + 1), True),
        (stamp(NOW - 20_000_001), True),
        (stamp(NOW - 19_000_000), False),
        (stamp(NOW), False),
        # Set by hand: an mtime in the past or the future, a ctime of now.
        (stamp(NOW - SECOND + 1, NOW - 1), False),
        (stamp(NOW + SECOND, NOW - SECOND + 1), True),
        # A clock that went back.
        (stamp(NOW + 5, NOW + 5), False),
        # No digits below the second.
        (stamp(NOW - SECOND), False),
        (stamp(NOW - 3 * SECOND), True),
    ],
)
def test_settled(written: Stamp, settled: bool) -> None:
    assert is_settled(written, NOW) is settled


def test_a_racy_digest_is_not_kept() -> None:
    cache = Cache()
    cache.put("x", stamp(NOW - SECOND + 1), DIGEST, read_at_ns=NOW)
    assert cache.digest("x", stamp(NOW - SECOND + 1)) == DIGEST
    assert cache.digest("x", stamp(NOW - SECOND + 1, size=6)) is None
    cache.put("x", stamp(NOW), DIGEST, read_at_ns=NOW)
    assert cache.digest("x", stamp(NOW)) is None


def saved(file: Path) -> Cache:
    cache = Cache()
    cache.put_own("a/x", stamp(-5), DIGEST)
    cache.put_own("\udcff", stamp(7, 8), DIGEST)
    cache.save(file)
    return cache


def test_a_saved_cache_is_read_back(tmp_path: Path) -> None:
    saved(tmp_path / "cache")
    cache = load_cache(tmp_path / "cache")
    assert len(cache) == 2
    assert cache.digest("a/x", stamp(-5)) == DIGEST
    assert cache.digest("\udcff", stamp(7, 8)) == DIGEST
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


@pytest.mark.parametrize("damage", [b"", b"x", b"towline cache 1\n" + bytes(40)])
def test_a_damaged_cache_is_an_empty_one(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "cache"
    file.write_bytes(damage)
    assert len(load_cache(file)) == 0
    saved(file)
    file.write_bytes(file.read_bytes()[:-1])
    assert len(load_cache(file)) == 0
    assert len(load_cache(tmp_path / "missing")) == 0


def below(*paths: str) -> Cache:
    cache = Cache()
    for path in paths:
        cache.put_own(path, stamp(-5), DIGEST)
    return cache


def known(cache: Cache, *paths: str) -> list[str]:
    return [path for path in paths if cache.last_digest(path) == DIGEST]


PATHS = ("x", "a", "a/x", "a/b/y", "ab/x")


@pytest.mark.parametrize(
    ("directory", "left"),
    [
        ("a", ["x", "a", "a/b/y", "ab/x"]),
        ("a/b", ["x", "a", "a/x", "ab/x"]),
        ("b", [*PATHS]),
        ("", ["a/x", "a/b/y", "ab/x"]),
    ],
)
def test_what_lay_in_a_directory_is_forgotten_and_nothing_beside_or_below_it(
    directory: str, left: list[str]
) -> None:
    cache = below(*PATHS)
    cache.forget_in(directory)
    assert known(cache, *PATHS) == left
    assert len(cache) == len(left)


def test_only_what_is_wanted_is_kept() -> None:
    cache = below(*PATHS)
    cache.keep_only({"": {"x"}, "a": {"x", "b"}, "ab": {"x"}, "a/b": set[str]()}.__getitem__)
    assert known(cache, *PATHS) == ["x", "a/x", "ab/x"]


def test_a_moved_file_is_known_at_its_new_place_only() -> None:
    cache = below("a/x")
    cache.move("a/x", "b/c/y")
    cache.move("gone", "a/x")
    assert known(cache, "a/x", "b/c/y") == ["b/c/y"]
    assert len(cache) == 1
