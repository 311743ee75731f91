"""The digest of a content does not depend on how it comes, and each block has its own."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.core.digest import BLOCK, DIGEST_SIZE, Hasher, Signature, digest_of, root_of


def blake(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST_SIZE).digest()


@pytest.mark.parametrize("content", [b"", b"x", b"x" * BLOCK])
def test_a_content_of_one_block_has_its_own_blake2b(content: bytes) -> None:
    assert digest_of(content) == blake(content)


def test_a_longer_one_has_that_of_its_blocks_digests() -> None:
    content = b"a" * BLOCK + b"b" * BLOCK + b"c"
    leaves = blake(b"a" * BLOCK) + blake(b"b" * BLOCK) + blake(b"c")
    rooted = hashlib.blake2b(leaves, digest_size=DIGEST_SIZE, person=b"towline blocks")
    assert digest_of(content) == rooted.digest() == root_of(leaves)
    assert digest_of(content) != digest_of(leaves)  # No content is taken for a list of digests.


@given(st.integers(0, 3 * BLOCK + 5), st.lists(st.integers(1, 2 * BLOCK), max_size=8))
def test_it_is_the_same_in_whatever_pieces_it_comes(size: int, cuts: list[int]) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]
    hasher, at = Hasher(), 0
    for cut in cuts:
        hasher.update(content[at : at + cut])
        at += cut
    hasher.update(content[at:])
    assert hasher.digest() == digest_of(content)
    assert hasher.signature() == Signature(size, hasher.leaves())
    assert hasher.signature().digest == digest_of(content)


def test_blocks_that_are_known_need_not_come() -> None:
    content = b"a" * BLOCK + b"b" * BLOCK + b"c" * 10
    whole = Hasher()
    whole.update(content)
    known = whole.signature()
    hasher = Hasher(known.leaf(0))
    hasher.skip(known.leaf(1), BLOCK)
    hasher.update(content[2 * BLOCK :])
    assert hasher.signature() == known


def test_digests_are_taken_for_whole_blocks_only() -> None:
    hasher = Hasher()
    hasher.update(b"x")
    with pytest.raises(ValueError, match="whole blocks"):
        hasher.skip(blake(b"y" * BLOCK), BLOCK)
    with pytest.raises(ValueError, match="whole blocks"):
        Hasher().skip(blake(b"y"), BLOCK + 1)


@given(st.integers(0, 3 * BLOCK))
def test_a_signature_counts_the_blocks_and_has_a_digest_of_each(size: int) -> None:
    content = bytes(size)
    hasher = Hasher()
    hasher.update(content)
    signature = hasher.signature()
    blocks = [content[at : at + BLOCK] for at in range(0, size, BLOCK)]
    assert signature.count == len(blocks)
    assert [signature.leaf(number) for number in range(signature.count)] == list(map(blake, blocks))
