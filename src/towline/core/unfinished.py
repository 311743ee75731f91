"""What a careful program calls a checkpoint until it is whole: patterns of what is never carried.

For the laptop, which makes the rules. Whether a file is whole that has its final name is not known
here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

SUFFIXES = (".tmp", ".part")


def unfinished(patterns: Iterable[str]) -> Iterator[str]:
    """Yield patterns of what is not whole yet among the checkpoints that these patterns name."""
    for pattern in patterns:
        name = pattern.rstrip("/")
        anywhere = "" if "/" in name else "**/"
        for suffix in SUFFIXES:
            if pattern.endswith("/"):
                yield f"{anywhere}{name}/**/*{suffix}"
            else:
                yield f"{name}{suffix}"
