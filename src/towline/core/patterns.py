"""A list of patterns as in `.gitignore`, asked of whole paths: which is the last that matches?

A pattern matches a path also by a directory above it. What that means is the caller's to say.
"""

from __future__ import annotations

from collections.abc import Sequence

from towline.core.match import View, later
from towline.core.path import name_of, parent_of
from towline.core.rule import Rule, Source, SourceKind, rules_of

_MEMO_MAX = 1 << 14  # Directories.


class Patterns:
    """`name` says whose patterns they are. Raises ValueError for one that matches nothing, or
    that begins with "!".
    """

    def __init__(self, name: str, lines: Sequence[str]) -> None:
        found = list(rules_of(Source(SourceKind.CONFIGURATION, "", name, tuple(lines)), 0))
        for rule in found:
            if rule.pattern.negated:
                raise ValueError(f'"{rule.text}" begins with "!": nothing is taken back here')
        for number in sorted(set(range(1, len(lines) + 1)) - {rule.line for rule in found}):
            raise ValueError(f'"{lines[number - 1]}" matches nothing')
        self._views = {"": View.empty().adding((rule, "") for rule in found)}
        self._deciding: dict[str, Rule | None] = {"": None}

    def last(self, path: str) -> Rule | None:
        """Return the last rule that matches the path or a directory above it."""
        at_path = self.last_at(path)
        return later(at_path, self._deciding[parent_of(path)]) if path else None

    def last_at(self, path: str) -> Rule | None:
        """Return the last rule that matches the path itself."""
        if not path:
            return None
        parent = parent_of(path)
        if parent not in self._views:
            self._enter(parent)
        return self._views[parent].last(name_of(path), True)

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
