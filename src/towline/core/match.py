"""The last of many rules that matches a name: a view per directory, cheap to walk with.

A name costs a dictionary look-up where only patterns without a slash matter, since their answer
does not depend on the directory; patterns with a slash are dropped where they can match no more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from towline.core.path import encode_path, join
from towline.core.pattern import regex_of
from towline.core.rule import Rule

_MEMO_MAX = 1 << 14  # Names. A data set may hold millions, each met once; code has far fewer.


class _NameIndex:
    """Rules without a slash, sorted by how they can be looked up."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._literals: dict[bytes, Rule] = {}
        self._suffixes: dict[bytes, Rule] = {}
        rest: list[Rule] = []
        for rule in rules:  # The last of equal patterns stays.
            pattern = rule.pattern
            if not pattern.rest:
                self._literals[pattern.literal] = rule
            elif pattern.suffix is not None:
                self._suffixes[pattern.suffix] = rule
            else:
                rest.append(rule)
        self._rest = rest[::-1]
        self._endings = tuple(self._suffixes)
        self._any_of_rest = _any_of(rest)

    def spares(self, names: Sequence[bytes]) -> bool:
        """Whether no rule matches any of these names."""
        if not self._literals.keys().isdisjoint(names):
            return False
        if any(name.endswith(self._endings) for name in names):
            return False
        return self._any_of_rest is None or not any(map(self._any_of_rest.fullmatch, names))

    def last(self, name: bytes) -> Rule | None:
        found = self._literals.get(name)
        if name.endswith(self._endings):
            for ending, rule in self._suffixes.items():
                if name.endswith(ending):
                    found = later(found, rule)
        if self._any_of_rest and self._any_of_rest.fullmatch(name):
            return later(found, next(r for r in self._rest if r.pattern.matches(name)))
        return found


def _any_of(rules: Sequence[Rule]) -> re.Pattern[bytes] | None:
    if not rules:
        return None
    branches = [
        re.escape(rule.pattern.literal) + regex_of(rule.pattern.rest, f"r{number}")
        for number, rule in enumerate(rules)
    ]
    return re.compile(b"|".join(branches), re.DOTALL)


def later(one: Rule | None, other: Rule | None) -> Rule | None:
    """Return the rule of the higher order."""
    if one is None or other is None:
        return one or other
    return one if one.order > other.order else other


RuleFor = Callable[[str], Rule | None]


class _Top:
    """Above all rules of names: one for each of some names, which a function knows."""

    def __init__(self, rule_for: RuleFor) -> None:
        self._rule_for = rule_for

    def last(self, name: str, is_directory: bool) -> Rule | None:
        return self._rule_for(name)

    def spares(self, names: Sequence[str]) -> bool:
        return not any(map(self._rule_for, names))


class _Names:
    """The rules without a slash that hold in some directories, and their answers so far."""

    def __init__(self, above: _Names | _Top, rules: Sequence[Rule]) -> None:
        self._above = above
        self._for_files = _NameIndex([r for r in rules if not r.pattern.directory_only])
        self._for_directories = _NameIndex(rules)
        self._files: dict[str, Rule | None] = {}
        self._directories: dict[str, Rule | None] = {}

    def last(self, name: str, is_directory: bool) -> Rule | None:
        memo = self._directories if is_directory else self._files
        try:
            return memo[name]
        except KeyError:
            pass
        index = self._for_directories if is_directory else self._for_files
        found = later(index.last(encode_path(name)), self._above.last(name, is_directory))
        if len(memo) >= _MEMO_MAX:
            memo.clear()
        memo[name] = found
        return found

    def spares(self, names: Sequence[str]) -> bool:
        """Whether no rule matches a file of any of these names: told sooner than one by one."""
        encoded = encode_path("\0".join(names)).split(b"\0")
        return self._for_files.spares(encoded) and self._above.spares(names)


class _PathRule:
    """A rule with a slash, as seen from one directory."""

    __slots__ = ("lead", "rule")

    def __init__(self, rule: Rule, lead: bytes) -> None:
        self.rule = rule
        self.lead = lead  # From the rule's directory to this one: empty or ending in "/".

    def below(self, name: bytes) -> _PathRule | None:
        lead = self.lead + name + b"/"
        return _PathRule(self.rule, lead) if self.rule.pattern.can_match_below(lead) else None

    @property
    def matches_here(self) -> bool:
        """Whether names in the directory itself may match, and not only deeper ones."""
        depth = self.rule.pattern.depth
        return depth is None or depth == self.lead.count(b"/")


class View:
    """The rules that hold in one directory. Immutable; `adding` and `below` return others."""

    __slots__ = ("_here", "_literals", "_names", "_paths", "path")

    def __init__(self, path: str, names: _Names, paths: Sequence[_PathRule]) -> None:
        self.path = path
        self._names = names
        self._paths = paths
        self._literals: dict[str, list[Rule]] = {}
        self._here: list[_PathRule] = []
        for at in paths:
            pattern = at.rule.pattern
            if not at.matches_here:
                continue
            if pattern.rest:
                self._here.append(at)
            else:
                name = pattern.literal[len(at.lead) :].decode("utf-8", "surrogateescape")
                self._literals.setdefault(name, []).append(at.rule)

    @classmethod
    def empty(cls, rule_for: RuleFor = lambda _: None) -> View:
        """Return the view of a root without other rules than those `rule_for` has for a name."""
        return cls("", _Names(_Top(rule_for), ()), ())

    def adding(self, rules: Iterable[tuple[Rule, str]]) -> View:
        """Return the view with (rule, prefix) pairs, relative to `prefix` above this directory."""
        named: list[Rule] = []
        paths = list(self._paths)
        for rule, prefix in sorted(rules, key=lambda pair: pair[0].order):
            lead = encode_path(prefix) + b"/" if prefix else b""
            if rule.pattern.by_name:
                named.append(rule)
            elif rule.pattern.can_match_below(lead):
                paths.append(_PathRule(rule, lead))
        names = _Names(self._names, named) if named else self._names
        return View(self.path, names, paths)

    def below(self, name: str) -> View:
        encoded = encode_path(name)
        paths = [at for above in self._paths if (at := above.below(encoded))]
        return View(join(self.path, name), self._names, paths)

    def spares(self, names: Sequence[str]) -> bool:
        """Whether it is plain that no rule matches a file of any of these names here."""
        no_path = not self._here and self._literals.keys().isdisjoint(names)
        return no_path and self._names.spares(names)

    def last(self, name: str, is_directory: bool) -> Rule | None:
        """Return the rule that decides about a name in this directory, or None."""
        found = self._names.last(name, is_directory)
        for rule in self._literals.get(name, ()):
            if is_directory or not rule.pattern.directory_only:
                found = later(found, rule)
        if self._here:
            encoded = encode_path(name)
            for at in self._here:
                pattern = at.rule.pattern
                if (is_directory or not pattern.directory_only) and pattern.matches(
                    at.lead + encoded
                ):
                    found = later(found, at.rule)
        return found
