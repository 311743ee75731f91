"""Orders to a supervisor, as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towline.agent.jobs.orders import CONTENT_MAX, HEADER, INPUT, Orders, order

told = st.lists(st.tuples(st.sampled_from([b"i", b"w", b"s"]), st.binary(max_size=40)), max_size=8)


@given(told=told, size=st.integers(1, 9))
def test_orders_survive_any_split(told: list[tuple[bytes, bytes]], size: int) -> None:
    sent = b"".join(order(kind, content) for kind, content in told)
    orders = Orders()
    parts = [sent[at : at + size] for at in range(0, len(sent), size)]
    assert [found for part in parts for found in orders.put(part)] == told


def test_an_order_that_is_too_long_is_none() -> None:
    with pytest.raises(ValueError, match="bytes"):
        list(Orders().put(HEADER.pack(INPUT, CONTENT_MAX + 1)))
