"""Which paths of a project are synced: git's rules for ignored files, with towline's around them.

From the lowest to the highest, the layers are: towline's defaults, `core.excludesFile`,
`.git/info/exclude`, the `.gitignore` files from the root down, the configuration's `ignore`, the
`.towlineignore` files from the root down. The last rule of the highest layer that matches decides;
`!` includes again. As in git, what lies in an ignored directory is ignored, whatever rules name it:
rules are asked from the root down, and the answer for a directory ends the matter.

So `!outputs/` in the root's `.towlineignore` brings back a directory that `.gitignore` names, and
in it everything that no other rule (`*.bin`, a `.gitignore` within) excludes.

Nothing here reads a file, or knows git's index: a tracked file that a rule names is ignored, too.
A symbolic link is not a directory. `size_max` and `checkpoints` are carried for whoever sees sizes
and times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from towline.core.checkpoint import Checkpoints
from towline.core.default import DEFAULT_SOURCE, DEFAULTS
from towline.core.match import View
from towline.core.path import OWN_DIRECTORY, encode_path, name_of, parent_of, parents_of
from towline.core.pattern import Pattern
from towline.core.rule import (
    GIT_IGNORE,
    IGNORE_FILES,
    Rule,
    Source,
    SourceKind,
    lines_of,
    rules_of,
)

__all__ = [
    "DEFAULTS",
    "DEFAULT_SOURCE",
    "GIT_IGNORE",
    "IGNORE_FILES",
    "DirectoryRules",
    "Rule",
    "Rules",
    "Source",
    "SourceKind",
    "Verdict",
    "lines_of",
    "opens",
]

SIZE_MAX = 4 << 20  # Bytes of all sources together: some 100,000 patterns, ten times Chromium's.
SOURCES_MAX = 20_000  # Ignore files. Large monorepos have some thousand.
_VIEWS_MAX = 1 << 13  # Directories whose view is kept; each is some hundred bytes, and its path.

NO_CHECKPOINTS = Checkpoints(patterns=(), marks=())

_REPOSITORY = ".git"

# Code points that HFS+ leaves out of comparisons, so that ".g\u200cit" opens ".git" there.
_IGNORED_BY_HFS = dict.fromkeys(
    [*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
)


def _always(text: str) -> Rule:
    pattern = Pattern(
        negated=False, directory_only=False, by_name=True, literal=text.encode(), rest=()
    )
    return Rule(SourceKind.ALWAYS, "always", 0, text, pattern, (SourceKind.ALWAYS, 0, 0, 0))


_REPOSITORY_RULE = _always(_REPOSITORY)
_OWN_RULE = _always(OWN_DIRECTORY)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why `path` is ignored or not: the rule that decided, None if no rule matched.

    `decided_at` is `path`, or the directory above it that is excluded.
    """

    path: str
    ignored: bool
    rule: Rule | None
    decided_at: str

    def __str__(self) -> str:
        if self.rule is None:
            return f"{self.path} is synced: no rule matches it"
        if not self.ignored:
            return f"{self.path} is synced: it matches {self.rule}"
        above = self.decided_at != self.path
        what = f"{self.decided_at}/ matches" if above else "it matches"
        reason = ""
        if self.rule.kind is SourceKind.DEFAULT and self.rule.line <= len(DEFAULTS):
            reason = f", {DEFAULTS[self.rule.line - 1][1]}"
        return f"{self.path} is not synced: {what} {self.rule}{reason}"


class DirectoryRules:
    """The rules as one directory sees them, for a walk from the root down.

    What it says is right only while the directory itself is not ignored.
    """

    __slots__ = ("_sources", "_view")

    def __init__(self, sources: dict[str, list[Source]], view: View) -> None:
        self._sources = sources
        self._view = view

    @property
    def path(self) -> str:
        return self._view.path

    def ignores(self, name: str, is_directory: bool) -> bool:
        rule = self.last(name, is_directory)
        return rule is not None and rule.excludes

    def spares(self, names: Sequence[str]) -> bool:
        """Whether it is plain that no file of these names is ignored; if not, ask for each."""
        is_top = not self._view.path
        if is_top and any(opens(name, OWN_DIRECTORY) for name in names):
            return False
        return self._view.spares(names)

    def last(self, name: str, is_directory: bool) -> Rule | None:
        """Return the rule that decides about a name in this directory, None if none matches."""
        if not self._view.path and opens(name, OWN_DIRECTORY):
            return _OWN_RULE
        return self._view.last(name, is_directory)

    def below(self, name: str) -> DirectoryRules:
        """Return the rules as the directory `name` in this one sees them."""
        below = DirectoryRules(self._sources, self._view.below(name))
        sources = self._sources.get(below.path)
        return below.adding(sources) if sources else below

    def adding(self, sources: Iterable[Source]) -> DirectoryRules:
        """Return the rules with those of sources in this very directory."""
        rules = [
            (rule, source.prefix)
            for position, source in enumerate(sources)
            for rule in rules_of(source, position)
        ]
        return DirectoryRules(self._sources, self._view.adding(rules))


class Rules:
    """All rules of a project. Immutable, and equal when all that they are made of is.

    `size_max` is in bytes; None is no limit. Raises ValueError where the sources are too many or
    too large, or where one has the kind ALWAYS.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        size_max: int | None = None,
        checkpoints: Checkpoints = NO_CHECKPOINTS,
    ) -> None:
        self._given = tuple(sources)
        self._size_max = size_max
        self._checkpoints = checkpoints
        _check_size(self._given)
        if any(source.kind is SourceKind.ALWAYS for source in self._given):
            raise ValueError("no source can say what is always left out")
        self._sources: dict[str, list[Source]] = {}
        for source in self._given:
            self._sources.setdefault(source.directory, []).append(source)
        self._root = DirectoryRules(self._sources, View.empty(_repository_rule))
        self._root = self._root.adding(self._sources.pop("", ()))
        self._views: dict[str, DirectoryRules] = {}
        self._ignored: dict[str, bool] = {}

    @property
    def sources(self) -> tuple[Source, ...]:
        return self._given

    @property
    def size_max(self) -> int | None:
        return self._size_max

    @property
    def checkpoints(self) -> Checkpoints:
        return self._checkpoints

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rules) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[object, ...]:
        return self._given, self._size_max, self._checkpoints

    def __repr__(self) -> str:
        origins = ", ".join(source.origin for source in self._given)
        return f"Rules({origins}; size_max={self._size_max})"

    def ignores(self, path: str, is_directory: bool) -> bool:
        """Whether `path` is left out, by itself or with a directory above it."""
        directory, _, name = path.rpartition("/")
        if not name:
            return False  # The root.
        return self._ignores_directory(directory) or self.at(directory).ignores(name, is_directory)

    def at(self, directory: str) -> DirectoryRules:
        """Return the rules as `directory` sees them, supposing that it is not ignored."""
        if not directory:
            return self._root
        if kept := self._views.get(directory):
            return kept
        view, missing = self._root, [directory]
        for path in parents_of(directory):
            if kept := self._views.get(path):
                view = kept
                break
            missing.append(path)
        for path in reversed(missing):
            view = view.below(name_of(path))
            _keep(self._views, path, view)
        return view

    def _ignores_directory(self, directory: str) -> bool:
        ignored = self._ignored.get(directory)
        if ignored is None:
            ignored = any(
                self.at(parent_of(path)).ignores(name_of(path), True)
                for path in (directory, *parents_of(directory))
                if path
            )
            _keep(self._ignored, directory, ignored)
        return ignored

    def explain(self, path: str, is_directory: bool) -> Verdict:
        """Say which rule decides about `path`, and at which directory above it, if at one."""
        for above in reversed(list(parents_of(path))):
            rule = self.at(parent_of(above)).last(name_of(above), True)
            if rule is not None and rule.excludes:
                return Verdict(path, True, rule, above)
        rule = None
        if path:
            rule = self.at(parent_of(path)).last(name_of(path), is_directory)
        return Verdict(path, rule is not None and rule.excludes, rule, path)

    def to_wire(self) -> dict[str, object]:
        """Return the rules as JSON can hold them. Names that are not UTF-8 hold lone surrogates."""
        sources = [
            [source.kind.name, source.directory, source.origin, list(source.lines), source.prefix]
            for source in self._given
        ]
        checkpoints = self._checkpoints.to_wire()
        return {"sources": sources, "size_max": self._size_max, "checkpoints": checkpoints}

    @classmethod
    def from_wire(cls, value: object) -> Rules:
        """Read what `to_wire` made. Raises ValueError for anything else."""
        fields = cast("dict[object, object]", value) if isinstance(value, dict) else {}
        if set(fields) != {"sources", "size_max", "checkpoints"}:
            raise ValueError("rules are an object of sources, size_max and checkpoints")
        size_max, sources = fields["size_max"], fields["sources"]
        if size_max is not None and (type(size_max) is not int or size_max < 0):
            raise ValueError(f"size_max is a number of bytes, not {size_max!r:.80}")
        if not isinstance(sources, list):
            raise ValueError("sources are a list")
        items = cast("list[object]", sources)
        if len(items) > SOURCES_MAX:
            raise ValueError(f"more than {SOURCES_MAX} sources of rules")
        checkpoints = Checkpoints.from_wire(fields["checkpoints"])
        return cls([_source_from_wire(item) for item in items], size_max, checkpoints)


def _source_from_wire(value: object) -> Source:
    items = cast("list[object]", value) if isinstance(value, list) else []
    if len(items) != 5:
        raise ValueError("a source is kind, directory, origin, lines and prefix")
    kind, directory, origin, lines, prefix = items
    texts = cast("list[object]", lines) if isinstance(lines, list) else [None]
    for text in (kind, directory, origin, prefix, *texts):
        if not isinstance(text, str):
            raise ValueError(f"expected a text, not {text!r:.80}")
    if any("\n" in cast("str", text) for text in texts):
        raise ValueError(f"expected lines of text in {origin!r:.80}")
    if kind not in SourceKind.__members__:
        raise ValueError(f"no such kind of source: {kind!r:.80}")
    return Source(
        SourceKind[cast("str", kind)],
        cast("str", directory),
        cast("str", origin),
        tuple(cast("list[str]", texts)),
        cast("str", prefix),
    )


def _check_size(sources: tuple[Source, ...]) -> None:
    if len(sources) > SOURCES_MAX:
        raise ValueError(f"more than {SOURCES_MAX} sources of rules")
    size = sum(
        len(encode_path(source.origin)) + sum(len(encode_path(line)) + 1 for line in source.lines)
        for source in sources
    )
    if size > SIZE_MAX:
        raise ValueError(f"rules of {size} bytes exceed {SIZE_MAX}")


def _repository_rule(name: str) -> Rule | None:
    """Return the rule for a name that some file system takes for `.git`."""
    if name.isascii() and name[:1] not in (".", "g", "G"):
        return None
    return _REPOSITORY_RULE if opens(name, _REPOSITORY) or opens(name, "git~1") else None


def opens(name: str, special: str) -> bool:
    """Whether macOS or Windows may open `special` when asked for `name`.

    They fold case; HFS+ skips some characters, Windows final dots and spaces and what follows a
    colon. A peer could otherwise write into a repository, and so have its hooks run.
    """
    folded = name.translate(_IGNORED_BY_HFS).casefold().partition(":")[0]
    return folded.rstrip(". ") == special


_Value = TypeVar("_Value")


def _keep(memo: dict[str, _Value], key: str, value: _Value) -> None:
    if len(memo) >= _VIEWS_MAX:
        memo.clear()
    memo[key] = value
