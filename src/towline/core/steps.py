"""Long work as a generator: whoever runs it decides after each step whether to go on.

What a step is worth, and who runs it when, is not said here.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[None, None, T]


def run_to_end(steps: Steps[T]) -> T:
    """Run the steps without stopping in between; return what they do."""
    ended: list[T] = []

    def remember() -> Steps[None]:
        ended.append((yield from steps))

    for _ in remember():
        pass
    return ended[0]
