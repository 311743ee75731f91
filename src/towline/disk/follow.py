"""A replica that follows its folder: watch events in, observations out, in small steps.

The same on both sides; the caller brings the thread, the clock and the patience. A `Follower`
gathers what the watch tells into groups, has the replica look at each group, and says when only
a scan can tell what happened. It sends nothing and decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from towline.core.change import Change, Result
from towline.core.entry import File
from towline.core.gather import Gather
from towline.core.path import parent_of
from towline.core.problem import ProblemKind
from towline.core.steps import Steps
from towline.disk.displaced import Kept
from towline.disk.incarnation import RootState, root_state
from towline.disk.observation import Observation
from towline.disk.reading import Progress
from towline.disk.replica import Replica
from towline.disk.watch.base import NOTHING, Seen, Watch

RETRY_INTERVAL_S = 5.0  # How often what could not be read is tried again, though nothing is told.
RETRIES_MAX = 256  # Paths each time: a share of a broken disk must not keep us busy.
VERIFY_INTERVAL_S = 600.0  # What no notice tells is found by then.
INSTANT_S = 0.002  # Not worth another turn of a loop, whose timers may be 1 ms late.
SETTLE_MAX_S = 1.0  # A cookie's event takes milliseconds; past this the watch has failed us.
AHEAD_MIN = 24  # Files of a large group that are looked at ahead together, after the first ones.
AHEAD_MAX = 48  # So that others have their turn.
AHEAD_SIZE = 256 << 10  # Bytes of them, as were known: their contents fill a message.
UNREAD = (ProblemKind.UNREADABLE, ProblemKind.CHANGING)


@dataclass(slots=True)
class News:
    """What a step brought to light."""

    observations: list[Observation] = field(default_factory=list[Observation])
    looked_at: frozenset[str] = frozenset()  # Of what the watch told, be it found as it was.
    settled: list[int] = field(default_factory=list[int])  # Tokens given to `settle`.
    kept: list[Kept] = field(default_factory=list[Kept])
    contents: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])  # Of what was read.
    scan_reason: str = ""  # Set when observations no longer suffice: scan, then go on.
    root_gone: bool = False
    progress: Progress | None = None  # Of a large file that is being read.


class Follower:
    def __init__(
        self,
        replica: Replica,
        watch: Watch,
        gather: Gather,
        *,
        verify_interval_s: float = VERIFY_INTERVAL_S,
        is_watching: bool = True,
        ahead_size: float = math.inf,
    ) -> None:
        """`is_watching`: the watch was started. If not, the first scan does that, by its rules.

        Of a group in which known files of more than `ahead_size` bytes were written, these are
        looked at while others still come.
        """
        self._is_watching = is_watching
        self._ahead_size = ahead_size
        self._ahead: dict[str, int] = {}  # Known files that were written, and their sizes before.
        self.replica = replica
        self.watch = watch
        replica.follow_by(watch.move_in)
        self._gather = gather
        self._cookies: dict[str, tuple[int, float]] = {}  # Name → (token, deadline).
        self._met: list[tuple[int, set[str]]] = []  # Tokens, and what is read before they are told.
        self._read_at: float | None = None
        self._settle_at: float | None = None  # When a checkpoint may have settled.
        self._review_at: float | None = None
        self._retry_at: float | None = None
        self._verify_interval_s = verify_interval_s
        self._verify_at = math.inf  # From the first scan on: when everything is looked at again.
        self._verifying: Steps[list[Observation]] | None = None
        self._news = News()  # Taken in, and not told yet.
        self._is_root_gone = False

    def deadline(self) -> float | None:
        """When to call `step` even if the watch stays silent."""
        due = [self.watch.deadline(), self._gather.deadline(), self._review_at, self._verify_at]
        due += [self._retry_at, self._reading_due(), self._settle_at]
        due += [-math.inf] if self._is_ahead_due() else []
        due += [limit for _, limit in self._cookies.values()]
        return min((at for at in due if at is not None), default=None)

    def settle(self, token: int, now: float) -> None:
        """Ask for `token` in `News.settled` once all that happened before this call is told.

        Raises `OSError` if the folder cannot be written.
        """
        self._cookies[self.watch.place_cookie()] = (token, now + SETTLE_MAX_S)

    def hear(self, now: float) -> None:
        """Take in what the watch tells; look at nothing."""
        self._take_in(self.watch.read(), now)

    def step(self, now: float) -> News:
        """Take in what the watch tells; look at the paths whose time has come."""
        self.hear(now)
        news, self._news = self._news, News()
        paths = self._take_all() if news.settled else self._take_due(now)
        if paths and not news.scan_reason:
            news.looked_at = paths
            news.observations = self.replica.observe(paths, news.contents)
        self.replica.forget_ahead()
        self._look_at_settled(now, news)
        self._read_on(now, news)
        self._review(now, news)
        self._withhold(news)
        self._retry(now, news)
        self._verify(now, news)
        if news.root_gone or self._is_root_gone:
            self._look_for_root(news)
        return news

    def _look_for_root(self, news: News) -> None:
        """While the root is elsewhere, nothing in it is told; once it is back, all of it."""
        self._is_root_gone = news.root_gone = (
            root_state(self.replica.folder) is not RootState.PRESENT
        )
        if news.root_gone:
            news.observations, news.scan_reason = [], ""
        else:
            news.scan_reason = "the folder was away"

    def step_plain(self, now: float) -> News | None:
        """As `step`, if there is nothing to look at now or in an instant; None: call `step`.

        For a loop that must not be held up: nothing here waits for a disk.
        """
        seen = self.watch.read_plain()
        if seen is not None:
            self._take_in(seen, now)
        if seen is None or self._has_work(now):
            return None
        news, self._news = self._news, News()
        self._withhold(news)
        return news

    def read_ahead(self) -> None:
        """Read the file that changed alone, if one did, while it waits for others.

        To be followed by `step` at once: if the watch has told nothing then, it need not be read.
        """
        if (path := self._gather.lone) is not None:
            self.replica.read_ahead(path)

    @property
    def is_part(self) -> bool:
        """Whether what was told last is part of a group, the rest of which is still to come."""
        return self._gather.is_part

    def quiet_at(self) -> float | None:
        """When the paths gathered so far have been quiet for long enough."""
        return self._gather.deadline()

    def _has_work(self, now: float) -> bool:
        if self._news.root_gone or self._is_root_gone or self._is_ahead_due():
            return True
        if self._news.settled and self.replica.has_retired:
            return True
        gathered = self.quiet_at()
        if gathered is not None and (self._news.settled or gathered <= now + INSTANT_S):
            return True
        due = [self._review_at, self._retry_at, self._verify_at, self._reading_due()]
        due.append(self._settle_at)
        return any(at is not None and at <= now for at in due)

    def _take_in(self, seen: Seen, now: float) -> None:
        if seen is not NOTHING:
            self._note(seen, now)
        if seen.rescan or self._gather.overflowed:
            self._news.scan_reason = "more changed at once than the watch could tell"
        if self._cookies:
            self._meet_cookies(seen.cookies, now, self._news)

    def _note(self, seen: Seen, now: float) -> None:
        self.replica.forget_ahead()
        self.replica.doubt(seen.written)
        self.replica.note_changed((seen.paths | seen.writing) - seen.closed)
        self.replica.settling.note_closed(seen.closed)
        self._note_ahead(seen.closed)
        self._gather.note(seen.paths, now, whole=seen.is_rename)
        self._gather.note_writing(seen.writing, now)
        if seen.git_busy is not None:
            self._hold(seen.git_busy, now)
        self._news.root_gone |= seen.root_gone

    def _note_ahead(self, closed: Iterable[str]) -> None:
        if self._ahead_size == math.inf:
            return
        for path in closed:
            known = self.replica.tree.get(path)
            if isinstance(known, File):
                self._ahead[path] = known.size

    def _take_all(self) -> frozenset[str]:
        self._ahead.clear()
        return self._gather.take_all()

    def _take_due(self, now: float) -> frozenset[str]:
        """Take what is due: of a large group the next files that were written, or else the rest."""
        if self._is_ahead_due():
            chosen = self._next_ahead()
            for path in chosen:
                del self._ahead[path]
            if taken := self._gather.take_ahead(chosen, now):
                return taken
        taken = self._gather.take(now)
        if taken:
            self._ahead.clear()
        return taken

    def _is_ahead_due(self) -> bool:
        if self._gather.is_part:
            return len(self._ahead) >= AHEAD_MIN
        return bool(self._ahead) and sum(self._ahead.values()) > self._ahead_size

    def _next_ahead(self) -> list[str]:
        """Return the files to be looked at next: few, to be on their way soon."""
        room, chosen = AHEAD_SIZE, list[str]()
        for path, size in islice(self._ahead.items(), AHEAD_MAX):
            room -= size
            if chosen and room < 0:
                break
            chosen.append(path)
        return chosen

    def unread(self) -> list[str]:
        """Return the paths, or some of them, that could not be read when last looked at."""
        problems = self.replica.problems.items()
        unread = (path for path, problem in problems if problem.kind in UNREAD)
        return list(islice(unread, RETRIES_MAX))

    def scan_steps(self, contents: dict[bytes, bytes] | None = None) -> Iterator[None]:
        """Scan the whole folder; afterwards the replica's tree holds what was found.

        `contents` gets some of what is read on the way.
        """
        self._take_all()
        self._verifying = None
        if self._is_watching:
            self.watch.rewatch()
        else:
            self.watch.start()
            self._is_watching = True
        yield from self.replica.scan_steps(contents)
        self._verify_at = -math.inf  # The next step, which knows the time, sets it.

    def apply(
        self, changes: Sequence[Change], contents: Mapping[bytes, bytes], now: float
    ) -> tuple[list[Result], list[Observation]]:
        """Carry out the changes; return also what came to light: copies kept, refusals' causes."""
        results = self.replica.apply(changes, contents)
        kept = [result.kept for result in results if result.kept is not None]
        observations = [Observation(path, self.replica.tree.get(path)) for path in kept]
        self._arm_review(now)
        return results, observations + self.replica.observe(())

    def rename(
        self, source: str, target: str, digest: bytes, now: float
    ) -> tuple[Result, list[Observation]]:
        """Give a directory another name; return also what came to light: what else was in it."""
        result = self.replica.rename(source, target, digest)
        self._arm_review(now)
        return result, self.replica.observe(())

    def _arm_review(self, now: float) -> None:
        """Look again at what was swapped out, when it is time."""
        self._review_at = self.replica.review_due(now)

    def _hold(self, git_busy: bool, now: float) -> None:
        """Keep what git is changing together until it is done."""
        if git_busy:
            self._gather.hold(now)
        else:
            self._gather.release()

    def _reading_due(self) -> float | None:
        if self.replica.reading.delay_s() is None:
            return None
        return -math.inf if self._read_at is None else self._read_at

    def _read_on(self, now: float, news: News) -> None:
        """Read large files on, a bit with each step."""
        due = self._reading_due()
        if due is not None and now >= due:
            observations, news.progress = self.replica.read_on()
            news.observations += observations
        delay_s = None if due is None else self.replica.reading.delay_s()
        self._read_at = None if delay_s is None else now + delay_s

    def _look_at_settled(self, now: float, news: News) -> None:
        if self._settle_at is not None and now >= self._settle_at:
            news.observations += self.replica.look_at_settled()
        delay_s = self.replica.settle_delay_s()
        self._settle_at = None if delay_s is None else now + max(delay_s, INSTANT_S)

    def _withhold(self, news: News) -> None:
        """Keep tokens back until the large files that had changed before them are read."""
        if not news.settled and not self._met:
            return
        paths = self.replica.reading.paths
        self._met += [(token, paths) for token in news.settled]
        news.settled = [token for token, waited in self._met if waited.isdisjoint(paths)]
        self._met = [met for met in self._met if not met[1].isdisjoint(paths)]

    def _meet_cookies(self, cookies: frozenset[str], now: float, news: News) -> None:
        for name in cookies:
            if known := self._cookies.pop(name, None):
                news.settled.append(known[0])
        late = [name for name, (_, limit) in self._cookies.items() if now >= limit]
        for name in late:
            news.scan_reason = "the watch did not tell of its own cookie"
            news.settled.append(self._cookies.pop(name)[0])

    def _retry(self, now: float, news: News) -> None:
        """Look again at what could not be read: a disk that recovers tells nothing."""
        problems = self.replica.problems
        if not problems:
            self._retry_at = None
        elif self._retry_at is None:
            self._retry_at = now + RETRY_INTERVAL_S
        elif now >= self._retry_at:
            self._retry_at = now + RETRY_INTERVAL_S
            news.observations += self.replica.observe(self.unread())

    def _verify(self, now: float, news: News) -> None:
        """Now and then look at everything, a little with each step: no notice is perfect."""
        if now < self._verify_at or news.scan_reason:
            return
        if self._verify_at == -math.inf:
            self._verify_at = now + self._verify_interval_s
            return
        self._verifying = self._verifying or self.replica.verify_steps()
        try:
            next(self._verifying)
        except (StopIteration, OSError) as end:  # A folder that fails as a whole is told elsewhere.
            found = end.value if isinstance(end, StopIteration) else ()
            news.observations += found
            for directory in {parent_of(one.path) for one in found}:
                self.watch.cover(directory)  # Something was mounted there, it may be.
            self._verifying, self._verify_at = None, now + self._verify_interval_s

    def _review(self, now: float, news: News) -> None:
        """Look at what was swapped out; all that was written to it before a cookie is told."""
        at_once = bool(news.settled) and self.replica.has_retired
        if at_once or (self._review_at is not None and now >= self._review_at):
            news.kept = self.replica.review(now, at_once=at_once)
            news.observations += self.replica.observe(())
        self._arm_review(now)  # A scan may have come upon something, too.
