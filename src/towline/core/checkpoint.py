"""Checkpoints: large files that are carried once they are settled, and the marks that name them.

A checkpoint is settled when whoever wrote it has closed it, or when it has been left alone for
`settle_s`. A mark (`latest`, `checkpoint`) says which one is the newest; it must not arrive before
what it names. Which paths are which, by patterns as in `.gitignore`; nothing here looks at a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from towline.core.patterns import Patterns

PATTERNS = ("*.ckpt", "*.pt", "*.pth", "*.safetensors", "*.keras", "*.h5")
MARKS = ("latest", "latest.*", "latest_*", "last", "last.*", "best", "best.*", "checkpoint")
SETTLE_S = 2.0
SETTLE_MAX_S = 3600.0  # Who waits longer does not want it carried.
PATTERNS_MAX = 1000  # A person writes some ten.


class Checkpoints:
    """`size_max` (bytes) is the limit of checkpoints; None is no limit. Immutable.

    Raises ValueError for too many patterns, and for one that matches nothing.
    """

    def __init__(
        self,
        patterns: Iterable[str] = PATTERNS,
        marks: Iterable[str] = MARKS,
        settle_s: float = SETTLE_S,
        size_max: int | None = None,
    ) -> None:
        self.patterns = tuple(patterns)
        self.marks = tuple(marks)
        self.settle_s = settle_s
        self.size_max = size_max
        if len(self.patterns) + len(self.marks) > PATTERNS_MAX:
            raise ValueError(f"more than {PATTERNS_MAX} patterns")
        if not 0 <= settle_s <= SETTLE_MAX_S:
            raise ValueError(f"settled after {settle_s} s")
        self._covering = Patterns("checkpoints", self.patterns)
        self._marking = Patterns("marks of checkpoints", self.marks)

    def covers(self, path: str) -> bool:
        """Whether what is at `path` is a checkpoint."""
        return bool(self.patterns) and self._covering.last(path) is not None

    def is_mark(self, path: str) -> bool:
        """Whether a file of this path names the newest checkpoint, or is its last copy."""
        return bool(self.marks) and self._marking.last_at(path) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Checkpoints) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"Checkpoints{self._key}"

    @property
    def _key(self) -> tuple[tuple[str, ...], tuple[str, ...], float, int | None]:
        return self.patterns, self.marks, self.settle_s, self.size_max

    def to_wire(self) -> list[object]:
        settle_ms = round(self.settle_s * 1000)
        return [list(self.patterns), list(self.marks), settle_ms, self.size_max]

    @classmethod
    def from_wire(cls, value: object) -> Checkpoints:
        """Read what `to_wire` made. Raises ValueError for anything else."""
        items = cast("list[object]", value) if isinstance(value, list) else []
        if len(items) != 4:
            raise ValueError("checkpoints are patterns, marks, a time and a size")
        patterns, marks, settle_ms, size_max = items
        if type(settle_ms) is not int:
            raise ValueError(f"a time is a number, not {settle_ms!r:.80}")
        if size_max is not None and (type(size_max) is not int or size_max < 0):
            raise ValueError(f"a size is a number of bytes, not {size_max!r:.80}")
        return cls(_lines(patterns), _lines(marks), settle_ms / 1000, size_max)


def _lines(value: object) -> list[str]:
    items = cast("list[object]", value) if isinstance(value, list) else [None]
    for item in items:
        if not isinstance(item, str) or "\n" in item:
            raise ValueError(f"expected a line of text, not {item!r:.80}")
    return cast("list[str]", items)
