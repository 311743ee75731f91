"""A delta applied to the old content is the new content, whatever was done to it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from towline.core.delta import Matching, Stretch, common_start, delta, from_offset, pieces
from towline.core.digest import BLOCK, DIGEST_SIZE, Hasher, Signature

BLOCKS = [bytes([number]) * BLOCK for number in range(5)]

contents = st.builds(
    lambda blocks, rest: b"".join(blocks) + rest,
    st.lists(st.sampled_from(BLOCKS), max_size=6),
    st.binary(max_size=40),
)
edits = st.lists(
    st.tuples(
        st.integers(0, 7 * BLOCK),
        st.sampled_from([0, 1, 100, BLOCK, 2 * BLOCK]),
        st.one_of(st.binary(max_size=40), st.sampled_from(BLOCKS)),
    ),
    max_size=3,
)


def signature_of(content: bytes) -> Signature:
    hasher = Hasher()
    hasher.update(content)
    return hasher.signature()


def edited(content: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, removed, put in edits:
        content = content[:at] + put + content[at + removed :]
    return content


def applied(stretches: list[Stretch], old: bytes, new: bytes) -> bytes:
    return b"".join(
        (new if s.source is None else old)[at : at + s.size]
        for s in stretches
        for at in [s.offset if s.source is None else s.source]
    )


def common_end(old: bytes, new: bytes) -> int:
    """Return how many bytes at the end both have, found by halving."""
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if old[len(old) - middle :] == new[len(new) - middle :]:
            low = middle
        else:
            high = middle - 1
    return low


@given(contents, edits, st.floats(0, 1))
def test_delta_applied_to_the_old_is_the_new(
    old: bytes, changes: list[tuple[int, int, bytes]], share: float
) -> None:
    new = edited(old, changes)
    end = int(share * common_end(old, new))
    stretches = delta(signature_of(old), signature_of(new), end)
    assert applied(stretches, old, new) == new
    assert [s.offset for s in stretches] == _starts(stretches)


@given(contents, edits, st.integers(0, 7 * BLOCK))
def test_taken_up_in_the_middle_and_cut_in_pieces_it_is_the_rest(
    old: bytes, changes: list[tuple[int, int, bytes]], offset: int
) -> None:
    new = edited(old, changes)
    rest = from_offset(delta(signature_of(old), signature_of(new)), offset)
    cut = [piece for stretch in rest for piece in pieces(stretch, 3 * BLOCK, 1000)]
    assert applied(cut, old, new) == new[offset:]
    assert all(piece.size <= (1000 if piece.source is None else 3 * BLOCK) for piece in cut)


def test_an_append_sends_the_append() -> None:
    old = b"".join(BLOCKS)
    new = old + b"x" * 1000
    assert delta(signature_of(old), signature_of(new)) == [
        Stretch(0, len(old), 0),
        Stretch(len(old), 1000, None),
    ]


def test_whole_blocks_put_in_send_no_more_than_they_are() -> None:
    old = b"".join(BLOCKS[:4])
    new = BLOCKS[0] + BLOCKS[4] + b"".join(BLOCKS[1:4])
    assert delta(signature_of(old), signature_of(new)) == [
        Stretch(0, BLOCK, 0),
        Stretch(BLOCK, BLOCK, None),
        Stretch(2 * BLOCK, 3 * BLOCK, BLOCK),
    ]


def test_new_blocks_one_after_the_other_are_one_stretch() -> None:
    old = b"".join(BLOCKS[:2])
    new = BLOCKS[0] + BLOCKS[3] + BLOCKS[4] + BLOCKS[1]
    assert delta(signature_of(old), signature_of(new)) == [
        Stretch(0, BLOCK, 0),
        Stretch(BLOCK, 2 * BLOCK, None),
        Stretch(3 * BLOCK, BLOCK, BLOCK),
    ]


def test_a_stretch_goes_on_where_it_was_found_though_its_next_block_stands_earlier_too() -> None:
    old = b"".join([BLOCKS[0], BLOCKS[1], BLOCKS[0], BLOCKS[2]])
    new = BLOCKS[4] + BLOCKS[1] + BLOCKS[0] + BLOCKS[2]
    assert delta(signature_of(old), signature_of(new)) == [
        Stretch(0, BLOCK, None),
        Stretch(BLOCK, 3 * BLOCK, BLOCK),
    ]


def test_other_bytes_put_in_send_the_blocks_around_them() -> None:
    old = b"".join(BLOCKS[:4])
    new = old[: BLOCK + 5] + b"!" + old[BLOCK + 5 :]
    stretches = delta(signature_of(old), signature_of(new), 2 * BLOCK)
    assert sum(s.size for s in stretches if s.source is None) == BLOCK + 1


@given(contents, edits)
def test_what_is_matched_block_by_block_is_a_delta(old: bytes, edits: Any) -> None:
    new = edited(old, edits)
    known, matching = signature_of(old), Matching(signature_of(old))
    for number in range(-(-len(new) // BLOCK)):
        block = new[number * BLOCK : (number + 1) * BLOCK]
        leaf = signature_of(block).leaves
        matching.add(leaf if leaf in map(known.leaf, range(known.count)) else None, len(block))
        assert applied(matching.stretches(), old, new) == new[: matching.size]
    assert matching.size == len(new)


def test_the_common_start_is_one_of_whole_blocks() -> None:
    old = signature_of(BLOCKS[0] + BLOCKS[1] + b"rest")
    assert common_start(old, old.leaves) == 2 * BLOCK
    assert common_start(old, old.leaves[:DIGEST_SIZE]) == BLOCK
    assert common_start(old, signature_of(BLOCKS[0] + BLOCKS[2]).leaves) == BLOCK
    assert common_start(signature_of(b""), old.leaves) == 0
    assert common_start(old, b"") == 0
    four = signature_of(b"".join(BLOCKS[:4]))
    other = signature_of(b"".join([*BLOCKS[:3], BLOCKS[4]]))
    assert common_start(four, other.leaves) == 3 * BLOCK


def _starts(stretches: list[Stretch]) -> list[int]:
    """Return where each would begin if they follow each other without a gap."""
    starts: list[int] = []
    at = 0
    for stretch in stretches:
        starts.append(at)
        at += stretch.size
    return starts
