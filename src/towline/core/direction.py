"""Which way each path travels, by patterns as in `.gitignore`."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from towline.core.patterns import Patterns

CONFLICT_COPIES = "*.conflict-*"
"""Names of what is kept of a conflict. They always travel both ways, to be seen on both sides."""

RULES_MAX = 1000  # A person writes some ten.


class Direction(enum.Enum):
    """Whose changes count. The value is how a person writes it."""

    BOTH = "both"
    PUSH = "push"  # The laptop is the truth.
    PULL = "pull"  # The machine is the truth.


class Directions:
    """(pattern, direction) pairs; what no pattern matches has the direction `default`.

    The last pattern decides that matches the path or a directory above it. A final "/" in a
    pattern stands for everything in that directory and for the directory itself. Immutable, and
    equal when made of the same. Raises ValueError for a pattern that matches nothing, one that
    begins with "!" (an exception is a later pattern with another direction), and too many.
    """

    def __init__(
        self,
        rules: Iterable[tuple[str, Direction]] = (),
        default: Direction = Direction.BOTH,
    ) -> None:
        self._rules = tuple(rules)
        self._default = default
        if len(self._rules) > RULES_MAX:
            raise ValueError(f"more than {RULES_MAX} patterns")
        for pattern, _ in self._rules:
            if pattern.startswith("!"):
                raise ValueError(f'"{pattern}" begins with "!": name another direction instead')
        lines = [*(pattern for pattern, _ in self._rules), CONFLICT_COPIES]
        self._patterns = Patterns("directions", lines)

    @property
    def rules(self) -> tuple[tuple[str, Direction], ...]:
        return self._rules

    @property
    def default(self) -> Direction:
        return self._default

    @property
    def only(self) -> Direction | None:
        """The direction of all paths, if there is only one. Conflict copies have BOTH anyway."""
        return None if self._rules or self._default is not Direction.BOTH else Direction.BOTH

    def of(self, path: str) -> Direction:
        """Return the direction of `path`, whatever stands there."""
        if not self._rules and self._default is Direction.BOTH:
            return Direction.BOTH  # As `only` says.
        rule = self._patterns.last(path)
        if rule is None:
            return self._default
        return Direction.BOTH if rule.line > len(self._rules) else self._rules[rule.line - 1][1]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Directions):
            return NotImplemented
        return (self._rules, self._default) == (other._rules, other._default)

    def __hash__(self) -> int:
        return hash((self._rules, self._default))

    def __repr__(self) -> str:
        return f"Directions({list(self._rules)!r}, {self._default})"
