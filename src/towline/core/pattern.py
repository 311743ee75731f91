"""One gitignore pattern: a line of text in, a matcher of paths out, exactly as git has it.

Matching is on bytes, as in git: `?` is one byte, and a name need not be UTF-8. Letters of different
case are different (git's `core.ignoreCase` is not honoured). Which of many patterns decides is not
known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from towline.core.path import encode_path

_SLASH = ord("/")
_SPECIAL = re.compile(rb"[*?\[\\]")


class Wildcard(Enum):
    """What matches a run of bytes."""

    STAR = rb"[^/]*"
    ANYTHING = rb".*"  # `**` at the end or before an escaped slash.
    DIRECTORIES = rb"(?:.*/)?"  # `**/`


_LAZY = {Wildcard.ANYTHING: rb".*?", Wildcard.DIRECTORIES: rb"(?:.*?/)??"}

Token = int | frozenset[int] | Wildcard  # A byte, one byte of a set, a run.

_ANY_BYTE = frozenset(range(256)) - {_SLASH}


class MalformedError(ValueError):
    """A pattern that git, too, reads as matching nothing."""


@dataclass(frozen=True)
class Pattern:
    """A pattern, relative to the directory of the file that holds it.

    With `by_name` it is matched against names, at any depth; else against paths.
    """

    negated: bool
    directory_only: bool
    by_name: bool
    literal: bytes  # What every match begins with.
    rest: tuple[Token, ...] = field(repr=False)

    def matches(self, text: bytes) -> bool:
        """Whether the name (`by_name`) or path matches; `directory_only` is the caller's part."""
        if not self.rest:
            return text == self.literal
        if self.suffix is not None:
            return text.endswith(self.suffix)
        return text.startswith(self.literal) and self._matches(text) is not None

    @cached_property
    def suffix(self) -> bytes | None:
        """For `*suffix`, which is most patterns with a wildcard, what a name ends with."""
        if not self.by_name or self.literal or self.rest[:1] != (Wildcard.STAR,):
            return None
        literals = [token for token in self.rest[1:] if isinstance(token, int)]
        return bytes(literals) if len(literals) == len(self.rest) - 1 else None

    @cached_property
    def depth(self) -> int | None:
        """How many directories a match lies in, or None where that varies."""
        if Wildcard.ANYTHING in self.rest or Wildcard.DIRECTORIES in self.rest:
            return None
        return self.literal.count(b"/") + self.rest.count(_SLASH)

    def can_match_below(self, directory: bytes) -> bool:
        """Whether a path in `directory` ("" or ending in "/"), at any depth, may match."""
        too_deep = self.depth is not None and directory.count(b"/") > self.depth
        return not too_deep and _agree(directory, self.literal)

    @cached_property
    def _matches(self) -> Callable[[bytes], re.Match[bytes] | None]:
        return re.compile(re.escape(self.literal) + regex_of(self.rest), re.DOTALL).fullmatch


def _agree(one: bytes, other: bytes) -> bool:
    return one.startswith(other) or other.startswith(one)


def parse(line: str) -> Pattern | None:
    """Read one line of an ignore file, without its line end.

    Returns None for what matches nothing: a blank line, a comment, a malformed pattern.
    """
    if line.startswith("#"):
        return None
    glob = encode_path(text_of(line))
    negated = glob.startswith(b"!")
    glob = glob[negated:]
    directory_only = glob.endswith(b"/")
    glob = glob[: len(glob) - directory_only]
    if not glob:
        return None
    by_name = b"/" not in glob
    glob = glob.removeprefix(b"/") if not by_name else glob
    # What comes before the first wildcard is taken off before git looks for `**`, so that
    # `a**/b` reads as `a` followed by `**/b`. We keep to it.
    special = _SPECIAL.search(glob)
    start = special.start() if special else len(glob)
    try:
        rest = tuple(_tokens(glob[start:], by_name))
    except MalformedError:
        return None
    return Pattern(negated, directory_only, by_name, glob[:start], rest)


def text_of(line: str) -> str:
    """Return what counts of a line: without CR, NUL and what follows, unescaped final spaces."""
    line = line.removesuffix("\r").partition("\0")[0]
    bare = line.rstrip(" ")
    backslashes = len(bare) - len(bare.rstrip("\\"))
    escaped = backslashes % 2 == 1 and len(bare) < len(line)
    return bare + " " if escaped else bare


def _tokens(glob: bytes, by_name: bool) -> Iterator[Token]:
    at = 0
    while at < len(glob):
        char = glob[at : at + 1]
        if char == b"*":
            end = at
            while glob[end : end + 1] == b"*":
                end += 1
            wildcard = _wildcard(glob, at, end, by_name)
            at = end + (wildcard is Wildcard.DIRECTORIES)
            yield wildcard
        elif char == b"[":
            members, at = _class(glob, at + 1)
            if not (allowed := members & _ANY_BYTE):
                raise MalformedError("a class of nothing")
            yield allowed
        elif char == b"?":
            at += 1
            yield _ANY_BYTE
        else:
            at += char == b"\\"
            if at == len(glob):
                raise MalformedError("nothing follows the backslash")
            yield glob[at]
            at += 1


def _wildcard(glob: bytes, start: int, end: int, by_name: bool) -> Wildcard:
    """Say what the asterisks from `start` to `end` are."""
    alone = start == 0 or glob[start - 1] == _SLASH
    if by_name or end - start == 1 or not alone:
        return Wildcard.STAR
    if glob.startswith(b"/", end):
        return Wildcard.DIRECTORIES
    if end == len(glob) or glob.startswith(b"\\/", end):
        return Wildcard.ANYTHING
    return Wildcard.STAR


def _between(first: int, last: int) -> frozenset[int]:
    return frozenset(range(first, last + 1))


_DIGIT = _between(ord("0"), ord("9"))
_UPPER = _between(ord("A"), ord("Z"))
_LOWER = _between(ord("a"), ord("z"))
_GRAPH = _between(0x21, 0x7E)
_CLASSES: dict[bytes, frozenset[int]] = {
    b"alnum": _UPPER | _LOWER | _DIGIT,
    b"alpha": _UPPER | _LOWER,
    b"blank": frozenset(b" \t"),
    b"cntrl": _between(0, 0x1F) | {0x7F},
    b"digit": _DIGIT,
    b"graph": _GRAPH,
    b"lower": _LOWER,
    b"print": _GRAPH | {0x20},
    b"punct": _GRAPH - _UPPER - _LOWER - _DIGIT,
    b"space": frozenset(b" \t\n\r"),  # Git's own: without vertical tab and form feed.
    b"upper": _UPPER,
    b"xdigit": _DIGIT | frozenset(b"abcdefABCDEF"),
}


def _class(glob: bytes, at: int) -> tuple[frozenset[int], int]:
    """Read a bracket expression from behind its `[`; return its members and where it ends."""
    negated = glob[at : at + 1] in (b"!", b"^")
    at += negated
    members: set[int] = set()
    previous: int | None = None  # What a range could begin with.
    first = True
    while first or glob[at : at + 1] != b"]":
        first = False
        found, previous, at = _member(glob, at, previous)
        members |= found
    return (_between(0, 255) - members if negated else frozenset(members)), at + 1


def _member(glob: bytes, at: int, previous: int | None) -> tuple[frozenset[int], int | None, int]:
    """Read one byte, range or named class; return it, what may begin a range, and its end."""
    char = glob[at : at + 1]
    follows = glob[at + 1 : at + 2]
    if char == b"-" and previous is not None and follows not in (b"", b"]"):
        last, at = _byte(glob, at + 1)
        return _between(previous, last), None, at
    if char == b"[" and follows == b":":
        end = glob.find(b"]", at + 2)
        if end < 0:
            raise MalformedError("a class without an end")
        if end > at + 2 and glob[end - 1 : end] == b":":
            named = _CLASSES.get(glob[at + 2 : end - 1])
            if named is None:
                raise MalformedError("no such class")
            return named, None, end + 1
        return frozenset(b"["), ord("["), at + 1
    byte, at = _byte(glob, at)
    return frozenset([byte]), byte, at


def _byte(glob: bytes, at: int) -> tuple[int, int]:
    at += glob[at : at + 1] == b"\\"
    if at >= len(glob):
        raise MalformedError("a class without an end")
    return glob[at], at + 1


def regex_of(tokens: Sequence[Token], tag: str = "g") -> bytes:
    """Return a regular expression (with DOTALL) for the tokens; `tag` begins its group names.

    Time is polynomial of low degree whatever the pattern: a run that is followed by another run of
    its kind takes the first match there is and is never tried again, since the later run can make
    up for anything. Lookahead and back reference do so on Python 3.10, which lacks atomic groups.
    """
    parts = _split(tokens, (Wildcard.ANYTHING, Wildcard.DIRECTORIES))
    regex = b""
    for index, (run, part) in enumerate(parts):
        inner = _regex_between(part, f"{tag}_{index}")
        if run is None:
            regex += inner
        elif index < len(parts) - 1:
            regex += _first_match(_LAZY[run] + inner, f"{tag}_{index}")
        else:
            regex += run.value + inner
    return regex


def _regex_between(tokens: Sequence[Token], tag: str) -> bytes:
    """Return the regular expression of what stands between two runs that cross directories."""
    parts = _split(tokens, (Wildcard.STAR,))
    regex = b""
    for index, (run, part) in enumerate(parts):
        inner = b"".join(_regex_of_byte(token) for token in part)
        if run is None:
            regex += inner
        elif index < len(parts) - 1 and _SLASH not in part:
            regex += _first_match(rb"[^/]*?" + inner, f"{tag}_{index}")
        else:
            regex += run.value + inner
    return regex


def _split(
    tokens: Sequence[Token], runs: Sequence[Wildcard]
) -> list[tuple[Wildcard | None, list[Token]]]:
    """Cut before each of `runs`: (None, what comes first), (run, what follows it), …"""
    parts: list[tuple[Wildcard | None, list[Token]]] = [(None, [])]
    for token in tokens:
        if isinstance(token, Wildcard) and token in runs:
            parts.append((token, []))
        else:
            parts[-1][1].append(token)
    return parts


def _first_match(regex: bytes, group: str) -> bytes:
    return b"(?=(?P<%b>%b))(?P=%b)" % (group.encode(), regex, group.encode())


def _regex_of_byte(token: Token) -> bytes:
    if isinstance(token, int):
        return re.escape(bytes([token]))
    if token == _ANY_BYTE:
        return b"[^/]"
    assert isinstance(token, frozenset)
    return b"[%b]" % b"".join(b"\\x%02x" % member for member in sorted(token))
