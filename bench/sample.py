"""What many times of one thing come to: percentiles, and how a person reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence

SCALES = ((1.0, 1.0, "s"), (1e-3, 1e3, "ms"), (0.0, 1e6, "µs"))
SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (0.0, "B"))


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the smallest sample that at least `percent` % of them do not exceed.

    Raises `ValueError` if there are none.
    """
    if not samples:
        raise ValueError("no samples")
    rank = math.ceil(percent / 100 * len(samples))
    return sorted(samples)[max(rank, 1) - 1]


def seconds(value: float) -> str:
    """Return a time with three digits that mean something: `3.42 ms`, `12.1 s`."""
    if math.isinf(value):
        return "never"
    for least, factor, unit in SCALES:
        if abs(value) >= least:
            return f"{three_digits(value * factor)} {unit}"
    raise AssertionError("the last scale takes all")


def size(value: float) -> str:
    """Return a number of bytes: `76 B`, `11.6 MB`."""
    for least, unit in SIZES:
        if value >= least:
            return f"{three_digits(value / (least or 1))} {unit}"
    raise AssertionError("the last size takes all")


def three_digits(value: float) -> str:
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    places = 2 - max(0, math.floor(math.log10(abs(value))))
    text = f"{value:.{min(places, 2)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
