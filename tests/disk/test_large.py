"""Large files: read in steps, known by their blocks, made of the version before."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disk.test_follow import Deaf, observed_by
from tests.disk.world import file_of, left_in_stage, let_time_pass, replica_of
from towline.core.change import Change, Outcome
from towline.core.delta import Stretch
from towline.core.digest import BLOCK, digest_of
from towline.core.entry import Unsynced
from towline.core.gather import Gather
from towline.core.problem import ProblemKind
from towline.disk.folder import Folder
from towline.disk.follow import Follower
from towline.disk.look import PIECE
from towline.disk.observation import Observation
from towline.disk.reading import PIECES, PIECES_MARKED
from towline.disk.replica import Replica
from towline.disk.signatures import LARGE, BlockReader, Known, Signatures
from towline.disk.versions import Basis
from towline.disk.watch.base import Seen

BEFORE = os.urandom(LARGE + 3 * BLOCK + 5)
AFTER = BEFORE[: 4 * BLOCK] + b"in between" + BEFORE[4 * BLOCK :]
LONG = BEFORE * 6  # More than is read in one step.
PATH = "model.bin"
LATER_NS = 10**9  # Long after the file was written: its stamp is settled.


def settled_now() -> int:
    return time.time_ns() + LATER_NS


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Replica]:
    (tmp_path / PATH).write_bytes(BEFORE)
    replica = replica_of(tmp_path, now_ns=settled_now)
    yield replica
    replica.folder.close()


def read_all(replica: Replica) -> list[Observation]:
    told: list[Observation] = []
    while replica.reading.delay_s() is not None:
        told += replica.read_on()[0]
    return told


# Reading.


def test_a_large_file_is_what_it_was_until_it_is_read(replica: Replica, tmp_path: Path) -> None:
    (tmp_path / PATH).write_bytes(AFTER)
    assert replica.observe([PATH]) == []
    assert replica.tree.get(PATH) == file_of(BEFORE)
    assert replica.reading.paths == {PATH}
    assert read_all(replica) == [Observation(PATH, file_of(AFTER))]
    assert replica.tree.get(PATH) == file_of(AFTER)


def test_one_in_a_new_directory_is_not_taken_for_a_deletion(
    replica: Replica, tmp_path: Path
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/large").write_bytes(AFTER)
    (tmp_path / "d/small").write_bytes(b"small")
    told = replica.observe(["d"])
    assert [observation.path for observation in told] == ["d"]
    assert replica.tree.get("d/small") == file_of(b"small")
    assert replica.tree.get("d/large") is None
    assert read_all(replica) == [Observation("d/large", file_of(AFTER))]
    (tmp_path / "d/large").write_bytes(BEFORE)
    assert replica.observe(["d"]) == []
    assert replica.tree.get("d/large") == file_of(AFTER)


def test_one_that_goes_before_it_is_read_is_gone(replica: Replica, tmp_path: Path) -> None:
    (tmp_path / PATH).write_bytes(AFTER)
    replica.observe([PATH])
    (tmp_path / PATH).unlink()
    assert read_all(replica) == [Observation(PATH, None)]


def test_what_takes_its_place_while_it_is_read_is_read_as_well(tmp_path: Path) -> None:
    """With its directory: the stamp of what is being read stays the same."""
    for directory, content in (("project/d", BEFORE), ("other", AFTER)):
        (tmp_path / directory).mkdir(parents=True)
        (tmp_path / directory / "large").write_bytes(content)
    replica = replica_of(tmp_path / "project", now_ns=settled_now)
    (tmp_path / "project/d/large").write_bytes(LONG)
    replica.observe(["d/large"])
    replica.read_on()
    (tmp_path / "project/d").rename(tmp_path / "gone")
    (tmp_path / "other").rename(tmp_path / "project/d")
    replica.observe(["d"])
    assert read_all(replica) == [Observation("d/large", file_of(AFTER))]
    replica.folder.close()


def test_one_that_is_written_all_the_time_is_left_for_later(tmp_path: Path) -> None:
    class Growing(Folder):
        def read_into(self, descriptor: int, buffer: memoryview) -> int:
            with (tmp_path / PATH).open("ab") as file:
                file.write(b"more")
            return super().read_into(descriptor, buffer)

    (tmp_path / PATH).write_bytes(b"")
    replica = replica_of(Growing(tmp_path), now_ns=settled_now)
    (tmp_path / PATH).write_bytes(BEFORE)
    replica.observe([PATH])
    assert read_all(replica) == [Observation(PATH, Unsynced(ProblemKind.CHANGING))]
    assert replica.reading.delay_s() is None
    replica.folder.close()


def test_a_settled_token_waits_for_what_has_to_be_read(replica: Replica, tmp_path: Path) -> None:
    watch = Deaf()
    follower = Follower(replica, watch, Gather())
    (tmp_path / PATH).write_bytes(LONG)
    follower.settle(7, 1.0)
    watch.seen = Seen(paths=frozenset([PATH]), cookies=frozenset(["cookie1"]))
    now, news = 1.0, follower.step(1.0)
    told = list(news.observations)
    assert news.settled == []
    while not news.settled:
        due = follower.deadline()
        assert due is not None
        now = max(now, due)
        news = follower.step(now)
        told += news.observations
    assert news.settled == [7]
    assert told == [Observation(PATH, file_of(LONG))]
    assert observed_by(follower, now) == []


def test_progress_tells_how_much_of_the_start_is_as_before(
    replica: Replica, tmp_path: Path
) -> None:
    (tmp_path / PATH).write_bytes(LONG)
    replica.observe([PATH])
    read_all(replica)
    (tmp_path / PATH).write_bytes(LONG[: 70 * BLOCK] + b"x" + LONG[70 * BLOCK :])
    replica.observe([PATH])
    told = [replica.read_on()[1] for _ in range(2)]
    assert all(one and (one.path, one.basis) == (PATH, digest_of(LONG)) for one in told)
    sames = [one.stretches[0] for one in told if one]
    assert sames == [Stretch(0, PIECES * PIECE, 0), Stretch(0, 70 * BLOCK, 0)]


def test_more_is_read_in_a_step_where_marks_tell_blocks(replica: Replica, tmp_path: Path) -> None:
    content = bytes((PIECES + 2 * PIECES_MARKED) * PIECE)
    (tmp_path / PATH).write_bytes(content)
    replica.observe([PATH])
    read_all(replica)
    (tmp_path / PATH).write_bytes(content[:-1] + b"x")
    replica.observe([PATH])
    told = [replica.read_on()[1] for _ in range(2)]
    sizes = [sum(stretch.size for stretch in one.stretches) for one in told if one]
    assert sizes == [PIECES * PIECE, (PIECES + PIECES_MARKED) * PIECE]


# Knowing.


@pytest.mark.parametrize("marks", [True, False])
def test_blocks_are_known_again_wherever_they_moved(marks: bool) -> None:
    first = BlockReader()
    first.update(memoryview(BEFORE))
    known = first.known() if marks else Known(first.known().signature)
    again = BlockReader(known)
    moved = BEFORE[BLOCK : 3 * BLOCK] + BEFORE[:BLOCK] + b"end"
    again.update(memoryview(moved))
    assert again.known().signature.digest == digest_of(moved)
    assert known.has_block(1, BEFORE[BLOCK : 2 * BLOCK])
    assert not known.has_block(1, BEFORE[:BLOCK])


def test_the_longest_unused_signatures_are_forgotten() -> None:
    reader = BlockReader()
    reader.update(memoryview(BEFORE))
    known = reader.known()
    signatures = Signatures(total_max=2 * known.held)
    for name in (b"a", b"b"):
        signatures.put(name, known)
    assert signatures.get(b"a") == known
    signatures.put(b"c", known)
    assert signatures.get(b"b") is None
    assert signatures.get(b"a") == known
    signatures.put(b"a", Known(known.signature))  # Marks are not forgotten for a signature alone.
    assert signatures.get(b"a") == known


def test_signatures_outlive_a_restart(tmp_path: Path) -> None:
    reader = BlockReader()
    reader.update(memoryview(BEFORE))
    kept = Signatures()
    kept.put(digest_of(BEFORE), reader.known())
    kept.save(tmp_path / "blocks")
    again = Signatures()
    again.load(tmp_path / "blocks")
    assert again.get(digest_of(BEFORE)) == Known(reader.known().signature)


@pytest.mark.parametrize("size", [0, 10, 40, 500])
def test_a_saved_file_cut_short_is_no_harm(tmp_path: Path, size: int) -> None:
    reader = BlockReader()
    reader.update(memoryview(BEFORE))
    kept = Signatures()
    kept.put(digest_of(BEFORE), reader.known())
    kept.save(tmp_path / "blocks")
    content = (tmp_path / "blocks").read_bytes()
    (tmp_path / "blocks").write_bytes(content[:-1] if size == 500 else content[:size])
    again = Signatures()
    again.load(tmp_path / "blocks")
    again.load(tmp_path / "none")
    assert again.get(digest_of(BEFORE)) is None


# Making one version of the other.


def delta_of(replica: Replica, new: bytes, old: bytes) -> list[Stretch] | None:
    steps = replica.versions.delta_steps(PATH, file_of(new), digest_of(old))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: list[Stretch] | None = end.value
            return value


def test_what_was_put_in_is_what_has_to_be_sent(replica: Replica, tmp_path: Path) -> None:
    (tmp_path / PATH).write_bytes(AFTER)
    replica.observe([PATH])
    read_all(replica)
    stretches = delta_of(replica, AFTER, BEFORE)
    assert stretches is not None
    assert sum(one.size for one in stretches if one.source is None) == len(b"in between")
    assert delta_of(replica, AFTER, b"unknown") is None


@pytest.mark.parametrize("known", [True, False])
def test_a_new_version_is_staged_out_of_the_old_one(tmp_path: Path, known: bool) -> None:
    (tmp_path / PATH).write_bytes(BEFORE)
    cache = tmp_path.parent / "cache"
    replica = replica_of(tmp_path, now_ns=settled_now, cache_file=cache)
    if not known:  # Digests are known, blocks are not: what is copied is read.
        replica.save_cache()
        (tmp_path.parent / "cache-blocks").unlink()
        replica = replica_of(tmp_path, now_ns=settled_now, cache_file=cache)
    digest, size = digest_of(AFTER), len(AFTER)
    basis = Basis(PATH, digest_of(BEFORE))
    at = 4 * BLOCK
    assert replica.versions.stage_copy(digest, size, basis, Stretch(0, at, 0))
    replica.stage.write(digest, at, b"in between", size)
    assert replica.versions.stage_copy(digest, size, basis, Stretch(at + 10, size - at - 10, at))
    change = Change(PATH, file_of(BEFORE), file_of(AFTER))
    assert [result.outcome for result in replica.apply([change], {})] == [Outcome.DONE]
    assert (tmp_path / PATH).read_bytes() == AFTER
    assert let_time_pass(replica) == []
    assert left_in_stage(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "basis", "stretch"),
    [
        ("other", digest_of(BEFORE), Stretch(0, BLOCK, 0)),
        (PATH, digest_of(b"another version"), Stretch(0, BLOCK, 0)),
        (PATH, digest_of(BEFORE), Stretch(BLOCK, BLOCK, 0)),
    ],
    ids=["no such file", "not that version", "beyond what is held"],
)
def test_what_cannot_be_copied_is_not_staged(
    replica: Replica, path: str, basis: bytes, stretch: Stretch
) -> None:
    digest = digest_of(AFTER)
    assert not replica.versions.stage_copy(digest, len(AFTER), Basis(path, basis), stretch)
    assert replica.stage.held(digest) == 0


def test_bytes_that_are_part_of_neither_are_refused(replica: Replica) -> None:
    basis = Basis(PATH, digest_of(BEFORE))
    beyond = Stretch(0, BLOCK, len(BEFORE) - 1)
    with pytest.raises(ValueError, match="of a file of"):
        replica.versions.stage_copy(digest_of(AFTER), len(AFTER), basis, beyond)
    with pytest.raises(ValueError, match="of a content of"):
        replica.versions.stage_copy(digest_of(AFTER), 10, basis, Stretch(0, BLOCK, 0))


def test_a_file_written_to_while_it_is_copied_is_of_no_use(tmp_path: Path) -> None:
    class Overtaken(Folder):
        def copy(self, source: int, target: int, size: int) -> int:
            copied = super().copy(source, target, size)
            with (tmp_path / PATH).open("r+b") as file:
                file.write(b"changed")
            return copied

    (tmp_path / PATH).write_bytes(BEFORE)
    replica = replica_of(Overtaken(tmp_path), now_ns=settled_now)
    basis = Basis(PATH, digest_of(BEFORE))
    assert not replica.versions.stage_copy(
        digest_of(AFTER), len(AFTER), basis, Stretch(0, BLOCK, 0)
    )
    assert replica.stage.held(digest_of(AFTER)) == 0
    replica.folder.close()


def test_a_content_put_together_wrongly_is_never_used(replica: Replica) -> None:
    """Whatever is copied: what does not have the digest in the end is dropped."""
    digest, size = digest_of(AFTER), len(AFTER)
    basis = Basis(PATH, digest_of(BEFORE))
    replica.versions.stage_copy(digest, size, basis, Stretch(0, 4 * BLOCK, BLOCK))
    replica.stage.write(digest, 4 * BLOCK, AFTER[4 * BLOCK :], size)
    change = Change(PATH, file_of(BEFORE), file_of(AFTER))
    assert [result.outcome for result in replica.apply([change], {})] == [Outcome.LACKING]
    assert (Path(replica.folder.root) / PATH).read_bytes() == BEFORE


# A draft.


@pytest.mark.parametrize(("keep", "held"), [(2 * BLOCK, 2 * BLOCK), (BLOCK, BLOCK), (0, 0), (5, 0)])
def test_a_draft_becomes_the_start_of_a_content(replica: Replica, keep: int, held: int) -> None:
    draft, digest = digest_of(b"draft"), digest_of(BEFORE + b"end")
    basis = Basis(PATH, digest_of(BEFORE))
    assert replica.versions.stage_copy(draft, 1 << 40, basis, Stretch(0, 2 * BLOCK, 0))
    replica.stage.rename(draft, digest, keep)
    assert replica.stage.held(draft) == 0
    assert replica.stage.held(digest) == held
    rest = (BEFORE + b"end")[held:]
    assert replica.stage.write(digest, held, rest, len(BEFORE) + 3)


def test_a_draft_is_dropped_where_more_is_there_already(replica: Replica) -> None:
    draft, digest = digest_of(b"draft"), digest_of(BEFORE)
    basis = Basis(PATH, digest)
    replica.versions.stage_copy(digest, len(BEFORE), basis, Stretch(0, 3 * BLOCK, 0))
    replica.versions.stage_copy(draft, 1 << 40, basis, Stretch(0, BLOCK, 0))
    replica.stage.rename(draft, digest, BLOCK)
    assert replica.stage.held(digest) == 3 * BLOCK
    assert replica.stage.held(draft) == 0


def test_a_draft_that_is_all_of_a_content_need_not_be_whole_blocks(replica: Replica) -> None:
    draft, digest = digest_of(b"draft"), digest_of(BEFORE)
    basis = Basis(PATH, digest_of(BEFORE))
    assert replica.versions.stage_copy(draft, 1 << 40, basis, Stretch(0, len(BEFORE), 0))
    replica.stage.rename(draft, digest, len(BEFORE))
    assert replica.stage.is_whole(digest, len(BEFORE))


def test_a_stretch_is_taken_out_of_what_is_staged(replica: Replica) -> None:
    draft, digest = digest_of(b"draft"), digest_of(AFTER[: 3 * BLOCK])
    basis = Basis("", draft)
    assert not replica.versions.stage_copy(digest, 3 * BLOCK, basis, Stretch(0, BLOCK, 0))
    replica.stage.write(draft, 0, AFTER[: 3 * BLOCK], 1 << 40)
    assert not replica.versions.stage_copy(digest, 3 * BLOCK, basis, Stretch(0, BLOCK, 3 * BLOCK))
    assert replica.versions.stage_copy(digest, 3 * BLOCK, basis, Stretch(0, BLOCK, 0))
    rest = Stretch(BLOCK, 2 * BLOCK, BLOCK)
    assert replica.versions.stage_copy(digest, 3 * BLOCK, basis, rest)
    assert replica.stage.is_whole(digest, 3 * BLOCK)
