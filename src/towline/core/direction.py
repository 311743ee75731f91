"""Which way each path travels, by patterns as in `.gitignore`."""

from __future__ import annotations

import enum
from collections.abc import Iterable

from towline.core.match import View, later
from towline.core.path import name_of, parent_of
from towline.core.rule import Rule, Source, SourceKind, rules_of

CONFLICT_COPIES = "*.conflict-*"
"""Names of what is kept of a conflict. They always travel both ways, to be seen on both sides."""

RULES_MAX = 1000  # A person writes some ten.
_MEMO_MAX = 1 << 14  # Directories.


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
        lines = (*(pattern for pattern, _ in self._rules), CONFLICT_COPIES)
        source = Source(SourceKind.CONFIGURATION, "", "directions", lines)
        found = list(rules_of(source, 0))
        for rule in found:
            if rule.pattern.negated:
                raise ValueError(f'"{rule.text}" begins with "!": name another direction instead')
        for number in sorted(set(range(1, len(lines) + 1)) - {rule.line for rule in found}):
            raise ValueError(f'"{lines[number - 1]}" matches nothing')
        self._views = {"": View.empty().adding((rule, "") for rule in found)}
        self._deciding: dict[str, Rule | None] = {"": None}

    @property
    def rules(self) -> tuple[tuple[str, Direction], ...]:
        return self._rules

    @property
    def default(self) -> Direction:
        return self._default

    def of(self, path: str) -> Direction:
        """Return the direction of `path`, whatever stands there."""
        if not self._rules and self._default is Direction.BOTH:
            return Direction.BOTH  # What conflict copies have in any case.
        rule = self._last(path)
        if rule is None:
            return self._default
        return Direction.BOTH if rule.line > len(self._rules) else self._rules[rule.line - 1][1]

    def _last(self, path: str) -> Rule | None:
        """Return the last rule that matches the path or a directory above it."""
        if not path:
            return None
        parent = parent_of(path)
        if parent not in self._views:
            self._enter(parent)
        return later(self._views[parent].last(name_of(path), True), self._deciding[parent])

    def _enter(self, directory: str) -> None:
        """Keep what is asked for every path in the directory."""
        if len(self._views) >= _MEMO_MAX:
            self._views = {"": self._views[""]}
            self._deciding = {"": None}
        view, deciding = self._views[""], self._deciding[""]
        for name in directory.split("/"):
            deciding = later(deciding, view.last(name, True))
            view = view.below(name)
            self._views[view.path] = view
            self._deciding[view.path] = deciding

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Directions):
            return NotImplemented
        return (self._rules, self._default) == (other._rules, other._default)

    def __hash__(self) -> int:
        return hash((self._rules, self._default))

    def __repr__(self) -> str:
        return f"Directions({list(self._rules)!r}, {self._default})"
