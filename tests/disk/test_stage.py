"""Contents on their way: continued after a restart, verified, bounded."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tests.disk.world import file_of, left_in_stage, replica_of
from towline.core.change import Change, Outcome
from towline.core.entry import digest_of
from towline.core.problem import ProblemKind
from towline.disk.folder import Folder
from towline.disk.stage import AGE_MAX_S, MEMORY_ITEM_MAX, Stage

SMALL = b"some bytes"
LARGE = bytes(range(256)) * (MEMORY_ITEM_MAX // 128)
HALF = len(LARGE) // 2


def stage_of(root: Path, now_ns: int = 0, **options: int) -> Stage:
    return Stage(Folder(root), lambda: now_ns, **options)


@pytest.mark.parametrize("content", [SMALL, LARGE, b""])
def test_a_content_comes_in_pieces(tmp_path: Path, content: bytes) -> None:
    stage, digest, middle = stage_of(tmp_path), digest_of(content), len(content) // 2
    if content:
        assert not stage.write(digest, 0, content[:middle], len(content))
        assert stage.held(digest) == middle
        assert not stage.is_whole(digest, len(content))
    assert stage.write(digest, middle, content[middle:], len(content))
    assert stage.is_whole(digest, len(content))


def test_a_large_content_goes_on_after_a_restart(tmp_path: Path) -> None:
    digest = digest_of(LARGE)
    stage_of(tmp_path).write(digest, 0, LARGE[:HALF], len(LARGE))
    restarted = stage_of(tmp_path)
    assert restarted.partials() == {digest: HALF}
    assert restarted.write(digest, HALF, LARGE[HALF:], len(LARGE))


def test_what_an_earlier_life_left_is_read_a_bit_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towline.disk.stage.PIECE", HALF // 4)
    digest = digest_of(LARGE)
    stage_of(tmp_path).write(digest, 0, LARGE[:HALF], len(LARGE))
    restarted = stage_of(tmp_path)
    assert sum(1 for _ in restarted.catch_up_steps(digest)) == 4
    assert sum(1 for _ in restarted.catch_up_steps(digest)) == 0
    monkeypatch.setattr(Stage, "_hash_rest", lambda _self, _digest, part: part.hasher.digest())
    assert restarted.write(digest, HALF, LARGE[HALF:], len(LARGE))


def test_a_part_that_became_shorter_meanwhile_ends_the_reading(tmp_path: Path) -> None:
    digest = digest_of(LARGE)
    stage_of(tmp_path).write(digest, 0, LARGE[:HALF], len(LARGE))
    restarted = stage_of(tmp_path)
    (part,) = (tmp_path / ".towline/stage").iterdir()
    part.write_bytes(b"")
    assert list(restarted.catch_up_steps(digest)) == []


def test_what_is_here_already_is_skipped(tmp_path: Path) -> None:
    stage, digest = stage_of(tmp_path), digest_of(LARGE)
    stage.write(digest, 0, LARGE[:HALF], len(LARGE))
    stage.write(digest, 0, LARGE[:10], len(LARGE))
    assert stage.held(digest) == HALF
    assert stage.write(digest, HALF - 10, LARGE[HALF - 10 :], len(LARGE))


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_a_content_of_another_digest_is_dropped(tmp_path: Path, content: bytes) -> None:
    stage, digest = stage_of(tmp_path), digest_of(b"another")
    assert not stage.write(digest, 0, content, len(content))
    assert stage.held(digest) == 0
    assert left_in_stage(tmp_path) == []


def test_a_damaged_part_is_dropped(tmp_path: Path) -> None:
    digest = digest_of(LARGE)
    stage_of(tmp_path).write(digest, 0, LARGE[:HALF], len(LARGE))
    (part,) = (tmp_path / ".towline" / "stage").iterdir()
    part.write_bytes(b"x" + LARGE[1:HALF])
    assert not stage_of(tmp_path).write(digest, HALF, LARGE[HALF:], len(LARGE))
    assert left_in_stage(tmp_path) == []


@pytest.mark.parametrize(
    ("digest", "offset", "content", "size"),
    [
        (b"short", 0, b"x", 1),
        (bytes(16), -1, b"x", 1),
        (bytes(16), 0, b"xx", 1),
        (bytes(16), 5, b"x", 9),
        (bytes(16), 0, b"", -1),
        (bytes(16), 0, b"", 1 << 60),
    ],
)
def test_what_no_honest_peer_sends_is_refused(
    tmp_path: Path, digest: bytes, offset: int, content: bytes, size: int
) -> None:
    with pytest.raises(ValueError, match="bytes"):
        stage_of(tmp_path).write(digest, offset, content, size)


def test_leftovers_are_cleaned_after_a_week(tmp_path: Path) -> None:
    digest = digest_of(LARGE)
    stage_of(tmp_path).write(digest, 0, LARGE[:HALF], len(LARGE))
    (part,) = (tmp_path / ".towline" / "stage").iterdir()
    later = part.stat().st_mtime_ns + AGE_MAX_S * 10**9
    assert stage_of(tmp_path, later).partials() == {digest: HALF}
    assert stage_of(tmp_path, later + 1).partials() == {}
    assert left_in_stage(tmp_path) == []


@pytest.mark.parametrize("copies", [1, 2])
def test_a_staged_large_file_is_put_in_place(tmp_path: Path, copies: int) -> None:
    replica = replica_of(tmp_path)
    large = file_of(LARGE)
    replica.stage.write(large.digest, 0, LARGE, len(LARGE))
    results = replica.apply([Change(f"{n}", None, large) for n in range(copies)], {})
    assert {result.outcome for result in results} == {Outcome.DONE}
    assert {(tmp_path / f"{n}").read_bytes() for n in range(copies)} == {LARGE}
    assert left_in_stage(tmp_path) == []
    assert replica.observe([f"{n}" for n in range(copies)]) == []


def test_a_staged_large_file_that_is_refused_stays_staged(tmp_path: Path) -> None:
    replica = replica_of(tmp_path)
    large = file_of(LARGE)
    replica.stage.write(large.digest, 0, LARGE, len(LARGE))
    (result,) = replica.apply([Change("x", file_of(SMALL), large)], {})
    assert result.outcome is Outcome.REFUSED
    assert replica.stage.is_whole(large.digest, len(LARGE))
    assert stage_of(tmp_path).partials() == {large.digest: len(LARGE)}


def test_a_full_stage_fails_the_change_that_needs_it(tmp_path: Path) -> None:
    replica = replica_of(tmp_path, stage_max=100)
    large = file_of(LARGE)
    assert not replica.stage.write(large.digest, 0, LARGE[:HALF], len(LARGE))
    assert not replica.stage.write(large.digest, HALF, LARGE[HALF:], len(LARGE))
    (result,) = replica.apply([Change("x", None, large)], {})
    assert result.problem is not None
    assert result.problem.kind is ProblemKind.DISK_FULL
    assert left_in_stage(tmp_path) == []
    assert os.listdir(tmp_path) == [".towline"]


def test_what_could_not_be_kept_says_why_for_as_long_as_it_is_not_sent_again(
    tmp_path: Path,
) -> None:
    stage, digest = stage_of(tmp_path, total_max=100), digest_of(LARGE)
    stage.write(digest, 0, LARGE, len(LARGE))
    assert [type(stage.trouble(digest)) for _ in range(2)] == [OSError, OSError]
    stage.write(digest, 0, LARGE[:10], len(LARGE))
    assert stage.trouble(digest) is None


def test_what_could_not_be_kept_goes_on_from_a_draft_that_became_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the simulation (seed 11500683): it was refused for ever, also with room again."""
    stage, digest, draft = stage_of(tmp_path), digest_of(LARGE), digest_of(b"a draft")
    stage.write(draft, 0, LARGE[:HALF], 1 << 50)

    def refuse(self: Folder, path: str, mode: int = 0o600) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "create", refuse)
        assert not stage.write(digest, 0, LARGE[:HALF], len(LARGE))
    stage.rename(draft, digest, HALF)
    assert stage.trouble(digest) is None
    assert stage.write(digest, HALF, LARGE[HALF:], len(LARGE))


def test_a_part_that_could_not_be_removed_is_no_obstacle_for_the_next_one(tmp_path: Path) -> None:
    stage, digest = stage_of(tmp_path), digest_of(LARGE)
    stage.ensure_directory()
    (tmp_path / ".towline/stage" / f"{digest.hex()}.part").write_bytes(b"left over")
    assert stage.write(digest, 0, LARGE, len(LARGE))


def test_a_part_whose_file_resists_is_forgotten_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the simulation (seed 67): the agent ended with it, after the change was made."""
    stage, digest = stage_of(tmp_path), digest_of(LARGE)
    stage.write(digest, 0, LARGE, len(LARGE))

    def refuse(self: Folder, path: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "unlink", refuse)
        stage.discard(digest)
        assert stage.held(digest) == 0
    assert stage.write(digest, 0, LARGE, len(LARGE))


def test_a_part_that_cannot_be_read_again_is_trouble_of_its_change_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the simulation (seed 6002891): the engine ended with it."""
    digest = digest_of(LARGE)
    stage_of(tmp_path).write(digest, 0, LARGE, len(LARGE))
    stage = stage_of(tmp_path)  # A later life, which has yet to read it.

    def refuse(self: Folder, path: str) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "open", refuse)
        assert not stage.write(digest, len(LARGE), b"", len(LARGE))
    assert isinstance(stage.trouble(digest), PermissionError)
    assert stage.write(digest, 0, LARGE, len(LARGE))
