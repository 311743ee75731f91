"""What a watch is and what it tells: the words all kinds of watch share.

A watch says which paths need another look. It never looks at content, never decides whether a
path is ignored, and promises nothing about what a path holds by the time someone looks.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

from towline.core.path import OWN_DIRECTORY

SEEN_MAX = 100_000  # Paths in one `Seen`. Beyond it a rescan is cheaper than the list.

Skip = Callable[[str], bool]
"""Whether the directory at a path (relative to the root) is left unwatched."""

Clock = Callable[[], float]


class ModeKind(enum.Enum):
    NOTIFIED = "notified"  # The system tells of every change.
    POLLED = "polled"  # Nothing tells; the tree is looked over again and again.
    MIXED = "mixed"  # Some directories are watched, the rest is polled.


@dataclass(frozen=True, slots=True)
class Mode:
    """How changes come to be known. `sentence` is for people and names the remedy, if any."""

    kind: ModeKind
    sentence: str


@dataclass(frozen=True, slots=True)
class Statistics:
    watched: int = 0  # Directories with notification.
    polled: int = 0  # Directories looked over again and again.
    events: int = 0  # Records that came from the system so far.
    overflows: int = 0  # Times the system's queue ran over.
    passes: int = 0  # Times all polled directories were looked over.


@dataclass(frozen=True, slots=True)
class Seen:
    """What a watch has to tell since it was last read.

    A path in `paths` needs another look, and if a directory came or went there, so does everything
    below it. One in `writing` was written but not closed yet, so a look is worth
    while after some quiet. Those in `closed` were closed by who wrote them, or got their name, and
    nothing since; not every watch knows. Those in `written` were closed by who may have written to
    them: also through a map, which may change no time. `cookies` names the cookies before which
    nothing remains to be told.
    """

    paths: frozenset[str] = frozenset()
    writing: frozenset[str] = frozenset()
    closed: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()
    cookies: frozenset[str] = frozenset()
    rescan: bool = False  # The watch cannot vouch for what happened: `rewatch`, then scan.
    root_gone: bool = False  # The root was deleted, moved away or unmounted.
    git_busy: bool | None = None  # Whether `.git/index.lock` exists now; None: as before.
    is_rename: bool = False  # All of it is one rename, and what was written for it.


NOTHING = Seen()


@dataclass(slots=True)
class Found:
    """A `Seen` in the making."""

    paths: set[str] = field(default_factory=set[str])
    writing: set[str] = field(default_factory=set[str])
    closed: set[str] = field(default_factory=set[str])
    written: set[str] = field(default_factory=set[str])
    cookies: set[str] = field(default_factory=set[str])
    rescan: bool = False
    root_gone: bool = False
    git_busy: bool | None = None
    is_rename: bool = False

    def __bool__(self) -> bool:
        facts = self.rescan or self.root_gone or self.git_busy is not None
        return bool(facts or self.paths or self.writing or self.cookies)

    def note(self, path: str) -> None:
        """Note a path to be looked at. It need not be waited for any more."""
        self.paths.add(path)
        self.writing.discard(path)

    def note_git(self, busy: bool | None) -> None:
        """Note news of git's lock; None is no news."""
        self.git_busy = self.git_busy if busy is None else busy

    def seen(self) -> Seen:
        """Return it as a value. More than `SEEN_MAX` paths become a rescan."""
        if not self and not self.closed:  # As most often, when a loop looks at all it has.
            return NOTHING
        self.paths.discard(OWN_DIRECTORY)
        too_many = len(self.paths) + len(self.writing) > SEEN_MAX
        return Seen(
            paths=frozenset() if too_many else frozenset(self.paths),
            writing=frozenset() if too_many else frozenset(self.writing),
            closed=frozenset() if too_many else frozenset(self.closed - self.writing),
            written=frozenset(self.written),
            cookies=frozenset(self.cookies),
            rescan=self.rescan or too_many,
            root_gone=self.root_gone,
            git_busy=self.git_busy,
            is_rename=self.is_rename,
        )


class Watch(ABC):
    """A watch on one root, read without ever blocking.

    Made by `open_watch`; then `start`, and scan only after that, so that nothing falls between.
    Wait until `fileno()` is readable or `deadline()` has come, then `read`. One thread does all
    this; only `place_cookie` may be called from another.
    """

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def start(self) -> None:
        """Begin to watch. Takes time in proportion to the number of directories."""

    @abstractmethod
    def close(self) -> None:
        """Give back what the system lent. Safe to repeat."""

    @abstractmethod
    def fileno(self) -> int:
        """Return the descriptor that is readable when `read` has something to tell."""

    @abstractmethod
    def deadline(self) -> float | None:
        """Return when to call `read` even if `fileno()` is silent (by the clock), or None."""

    @abstractmethod
    def read(self) -> Seen:
        """Return what happened since the last call: at once, in bounded time, perhaps nothing."""

    def read_plain(self) -> Seen | None:
        """As `read`, if that takes no walk through directories; None: call `read`, it takes longer.

        For a loop that must not be held up.
        """
        return None

    def move_in(self, directories: Mapping[str, str], move: Callable[[], None]) -> None:
        """Do `move`, which gives directories of our own making their places, all by one rename.

        `directories` says by what path each is staged, and what its path will be, the uppermost
        first. A watch that can follow them tells only what others do there, from that instant on.
        Raises what `move` raises.
        """
        move()

    @abstractmethod
    def rewatch(self) -> None:
        """Bring the set of watched directories in line with the tree and the skip rule again.

        Call it after `Seen.rescan` or when the skip rule has changed, and scan afterwards.
        """

    def cover(self, directory: str) -> None:
        """Watch a directory and all below it that is not watched; `read` tells what is there."""
        return

    @abstractmethod
    def place_cookie(self) -> str:
        """Place a cookie and return its name.

        Once the name is in `Seen.cookies`, everything that happened before this call has been
        told: in that `Seen` or an earlier one. Raises `OSError` if the root cannot be written.
        """

    @property
    @abstractmethod
    def mode(self) -> Mode: ...

    @abstractmethod
    def statistics(self) -> Statistics: ...
