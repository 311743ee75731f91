"""From what is dirty to what is sent: reconcile, make sure it is no accident, hand it on.

A planner owns what stands between a dirty path and a change on its way: the hold on a plan that
looks like an accident, the pen for deletions from the machine, the paths that failed and will be
tried again. It does the steps that need nothing from either side, and sends the rest by way of
its pusher and puller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio

from towline.core.change import Change, changes_between
from towline.core.conflict import copy_name
from towline.core.direction import Direction
from towline.core.entry import DIRECTORY, Directory, Entry, File, Symlink, shallow
from towline.core.path import parents_of
from towline.core.problem import Problem, ProblemKind
from towline.core.reconcile import Step, Verdict, syncable
from towline.core.rename import Rename, renames_among
from towline.core.safety import why_hold
from towline.engine.ancestor import Store
from towline.engine.flights import Flights
from towline.engine.order import code_first
from towline.engine.pen import Pen
from towline.engine.pull import Puller
from towline.engine.push import Pusher, rename_as_change, size_again
from towline.engine.remote import Remote
from towline.engine.trees import Trees

RETRY_S = 5.0  # How often what failed is tried again, though nothing has changed.
RETRY_SIZE = 1 << 20  # Bytes to send for that, each time: 2 % of a 100 Mbit/s line.
RETRY_RATE = 4 << 20  # Bytes a second, a third of that line, where a single one needs more;
RETRY_MAX_S = 60.0  # but no try comes later than this after the last.
REFUSALS_MAX = 8  # In a row: the path changes faster than it can be synced, for now.


@dataclass(frozen=True, slots=True)
class Stuck:
    """A path whose change failed. It is tried again now and then, and when it changes."""

    change: Change
    problem: Problem
    side: str
    moment: int


class Planner:
    def __init__(
        self,
        trees: Trees,
        flights: Flights,
        pusher: Pusher,
        puller: Puller,
        store: Store,
        *,
        direction_of: Callable[[str], Direction],
        hosts: Callable[[], tuple[str, str]],
        wall_clock: Callable[[], float],
    ) -> None:
        self.held = ""
        self.stuck: dict[str, Stuck] = {}
        self._trees = trees
        self._flights = flights
        self._pusher = pusher
        self._puller = puller
        self._store = store
        self._direction_of = direction_of
        self._hosts = hosts
        self._wall_clock = wall_clock
        self._growing: int | None = None  # The revision of a group that goes on.
        self._accepted = False
        self._noticed_at: float | None = None
        self._planning: int | None = None  # The oldest moment of what is being planned and sent.
        self._refusals: Counter[str] = Counter()
        self._pen = Pen()
        self._retry_at = 0.0
        self._is_retrying = False  # This plan is to try again what failed.

    def begin_life(self) -> None:
        """The next plan is a first one: it sees all deletions at once and needs no pen."""
        self._planning = None
        self._growing = None
        self._pen.clear()
        self._refusals.clear()
        self.stuck.clear()

    def stuck_on(self, side: str) -> list[str]:
        """Return the paths whose change failed there and waits to be tried again."""
        return [path for path, stuck in self.stuck.items() if stuck.side == side]

    def deadline(self) -> float | None:
        """When to plan even if nothing becomes dirty, by the loop's clock."""
        penned = self._pen.deadline()
        due = [] if penned is None else [penned]
        if self.stuck or self._flights.dirty:
            due.append(self._retry_at)
        return min(due, default=None)

    def is_done(self, moment: int) -> bool:
        """Whether nothing noted up to `moment` has been taken up but not sent yet."""
        return self._planning is None or self._planning > moment

    @property
    def is_whole(self) -> bool:
        """Whether a group that was sent in parts has come to its end, which `plan` is to learn."""
        return self._growing is not None and not self._pusher.awaits_more

    async def plan(self, remote: Remote) -> None:
        """Take what is dirty and free to go, and set it going."""
        is_whole = self.is_whole
        await self._plan(remote)
        if is_whole and self._growing is not None:
            self._pusher.end_revision(self._growing)
            self._growing = None
        self._pen.look(anyio.current_time(), self._to_come)

    async def _plan(self, remote: Remote) -> None:
        self._take_back(anyio.current_time())
        began, self._noticed_at = self._noticed_at or anyio.current_time(), None
        chained, since = self._take_chained()
        dirty = self._flights.take_free()
        steps = list(self._trees.steps(dirty))
        if not self._flights.dirty and not dirty:  # What was held went otherwise: behind a save.
            self.held, self._accepted = "", False
        if not dirty and not chained:
            return
        self._planning = min([since, *dirty.values()])
        if dirty and (reason := "" if self._accepted else self._why_hold(steps)):
            self.held = reason
            self._flights.restore(dirty)
            self._flights.note(self._pen.empty())  # One decision is on all of them.
        elif dirty:
            await self._set_going(remote, dirty, steps, began)
        if chained:
            await self._push(remote, chained, since, began)
        self._planning = None

    async def _set_going(
        self, remote: Remote, dirty: Mapping[str, int], steps: Sequence[Step], began: float
    ) -> None:
        at_once = self._accepted or "" in dirty
        self.held, self._accepted = "", False
        moment = min(dirty.values(), default=self._flights.moment)
        blocked = dict.fromkeys(s.path for s in steps if self._flights.blocks(s.path))
        self._flights.restore(dict.fromkeys(blocked, moment))
        steps = [step for step in steps if step.path not in blocked]
        if (dropped := self._pusher.drop(step.path for step in steps)) is not None:
            moment = min(moment, dropped)
            self._planning = moment if self._planning is None else min(moment, self._planning)
        renames, steps = self._take_renames(steps)
        pushes, pulls = self._carry_out(steps, at_once)
        self._pen.forget(dirty)
        self._let_go(dirty, [*pushes, *pulls])
        if not self._is_hopeless(pulls):
            self._puller.queue(pulls, moment)
        if renames or not self._is_hopeless(pushes):
            rest = pushes if renames else self._grow(pushes, moment, began)
            await self._push(remote, rest, moment, began, renames)

    def noticed(self, now: float) -> None:
        """Something was noticed on the laptop: the next revision is as old as the first of it."""
        self._noticed_at = self._noticed_at or now

    def accept(self) -> None:
        """Carry out the plan that is held."""
        self._accepted = True

    def refuse(self) -> None:
        """Undo the deletions of the plan that is held: the other side's files come back."""
        doomed = [step.path for step in self._held_steps() if step.entry is None]
        self._trees.forget(doomed)
        self._flights.note(doomed)
        self._accepted = True  # What is left of the plan deletes nothing.

    def failed(self, change: Change, problem: Problem, side: str, moment: int) -> None:
        if not self.stuck:
            self._retry_at = anyio.current_time() + RETRY_S
        if (known := self.stuck.get(change.path)) is not None:
            moment = min(moment, known.moment)  # Who waits for that moment waits in vain still.
        self.stuck[change.path] = Stuck(change, problem, side, moment)
        if side == "machine":
            self._pusher.failed(change, problem)

    def refused(self, path: str, side: str, moment: int) -> None:
        """A change did not fit what was there. Plan it anew, unless that goes on and on."""
        self._refusals[path] += 1
        if self._refusals[path] > REFUSALS_MAX:
            del self._refusals[path]
            problem = Problem(path, ProblemKind.CHANGING)
            self.failed(Change(path, None, None), problem, side, moment)
        else:
            self._flights.restore({path: moment})

    @property
    def is_smooth(self) -> bool:
        """Whether nothing was refused or has failed: nobody has to be told of a success."""
        return not self._refusals and not self.stuck

    def succeeded(self, path: str) -> None:
        self._refusals.pop(path, None)
        if self.stuck.pop(path, None) is not None:
            self._retry_at = 0.0  # What was in its way may have been in that of others.

    def _let_go(self, planned: Iterable[str], changes: Iterable[Change]) -> None:
        """Forget what was stuck and needs no change any more."""
        retried = {path for path in planned if path in self.stuck}
        for path in retried.difference(change.path for change in changes):
            del self.stuck[path]

    def _held_steps(self) -> list[Step]:
        return list(self._trees.steps(self._flights.dirty))

    def _why_hold(self, steps: Sequence[Step]) -> str:
        trees = self._trees
        if trees.is_local_gone:
            return "the folder on the laptop is not where it was"
        return why_hold(steps, trees.ancestor.root, trees.local.root, trees.remote.root) or ""

    def _take_back(self, now: float) -> None:
        """Make dirty again what has waited long enough: penned deletions, failed changes."""
        if ripe := self._pen.ripen(now):
            self._flights.note(ripe)
        self._is_retrying = self._accepted  # What a person has decided on is not put off.
        if now >= self._retry_at:
            self._is_retrying = True
            paths, size = self._next_to_retry()
            self._retry_at = now + min(max(RETRY_S, size / RETRY_RATE), RETRY_MAX_S)
            self._flights.note(paths)

    def _next_to_retry(self) -> tuple[list[str], int]:
        """Return what has waited longest, and how many bytes it takes: of all but the first, few.

        What is in the way may stay there for days, and be in the way of very much.
        """
        chosen: list[str] = []
        size = 0
        for path, stuck in self.stuck.items():
            more = size_again(stuck.change, stuck.problem)
            if chosen and size + more > RETRY_SIZE:
                break
            chosen.append(path)
            size += more
        for path in chosen:  # Also one that is held up has had its turn.
            self.stuck[path] = self.stuck.pop(path)
        return chosen, size

    def _take_chained(self) -> tuple[list[Change], int]:
        """Return the saves of files whose last save is still on its way: they follow it.

        Also return the oldest moment of them.
        """
        chained: list[Change] = []
        for path in [path for path in self._flights.dirty if self._flights.is_hot(path)]:
            flight = self._flights.get(path)
            entry = self._trees.local.get(path)
            if flight is None or not isinstance(entry, File | Symlink):
                continue
            if not isinstance(flight.newest, File | Symlink) or flight.newest == entry:
                continue
            if self._direction_of(path) is Direction.PULL:
                continue
            chained.append(Change(path, flight.newest, entry))
        if not self._pusher.is_small(chained):  # By the other lane they would not follow, but wait.
            return [], self._flights.moment
        moments = [self._flights.clean(change.path) for change in chained]
        return chained, min(moments, default=self._flights.moment)

    def _is_hopeless(self, changes: Sequence[Change]) -> bool:
        """Whether all that is to be done on a side failed before and waits to be tried again.

        But for the directories it needs: one may be gone again at once, where that side has in it
        only what is ignored. The two would go on then as fast as the network does.
        """
        if not self.stuck:
            return False
        files = [change for change in changes if change.new != DIRECTORY]
        needed = {parent for change in files for parent in parents_of(change.path)}
        return (
            bool(files)
            and not self._is_retrying
            and all(change.new != DIRECTORY or change.path in needed for change in changes)
            and all(
                (stuck := self.stuck.get(change.path)) is not None and stuck.change == change
                for change in files
            )
        )

    def _take_renames(self, steps: Sequence[Step]) -> tuple[list[Rename], list[Step]]:
        """Take out what only has another name. What was refused as a rename goes file by file."""
        able = [step for step in steps if not self._refusals[step.path]]
        renames = renames_among(able, self._trees.remote.get)
        taken = {path for rename in renames for path in (rename.source, rename.target)}
        return renames, [step for step in steps if step.path not in taken]

    def _carry_out(self, steps: Iterable[Step], at_once: bool) -> tuple[list[Change], list[Change]]:
        """Do what needs neither side; return the changes to push and those to pull."""
        agreed: list[tuple[str, Entry | None]] = []
        pushes: list[Change] = []
        pulls: list[Change] = []
        steps = list(steps)
        to_come = self._to_come_by(steps)
        for step in steps:
            match step.verdict:
                case Verdict.AGREE:
                    agreed.append((step.path, step.entry))
                case Verdict.PUSH:
                    pushes += changes_between(
                        step.path, self._trees.remote.get(step.path), step.entry
                    )
                case Verdict.PULL if step.entry is None and not self._may_delete(
                    step.path, at_once, to_come
                ):
                    continue
                case Verdict.PULL:
                    pulls += changes_between(
                        step.path, self._trees.local.get(step.path), step.entry
                    )
                case Verdict.CONFLICT:
                    self._keep_both(step.path, pushes, pulls)
        self._trees.agree(agreed)
        if left := self._trees.left_alone(path for path, entry in agreed if entry is None):
            self._flights.note(left)
        return pushes, pulls

    def _to_come_by(self, steps: Sequence[Step]) -> set[bytes]:
        """Return the digests of what the laptop is to get: by this plan, or besides."""
        if not any(step.verdict is Verdict.PULL and step.entry is None for step in steps):
            return set()
        return self._to_come() | self._brought_by(steps)

    def _to_come(self) -> set[bytes]:
        """Return the digests of what the laptop is to get by earlier plans, and by later ones.

        Later: what is held up, and what the machine is to keep under another name before it comes.
        """
        stuck = (stuck.change.new for stuck in self.stuck.values() if stuck.side == "laptop")
        kept = self._pusher.moved_aside()
        held_up = self._brought_by(self._held_steps())
        return self._puller.to_come().union(held_up, *map(_digests_in, (*stuck, *kept)))

    def _brought_by(self, steps: Iterable[Step]) -> set[bytes]:
        """Return the digests of what these steps bring from the machine, be it as another file."""
        paths = (step.path for step in steps if step.verdict in (Verdict.PULL, Verdict.CONFLICT))
        return {digest for path in paths for digest in _digests_in(self._trees.remote.get(path))}

    def _may_delete(self, path: str, at_once: bool, to_come: set[bytes]) -> bool:
        """Whether a deletion from the machine may go now; if not, it waits in the pen."""
        if last := to_come & _digests_in(self._trees.local.get(path)):
            self._pen.put_behind(path, last)
            return False
        if at_once or self._pen.is_ripe(path):
            return True
        self._pen.put(path, anyio.current_time())
        return False

    def _keep_both(self, path: str, pushes: list[Change], pulls: list[Change]) -> None:
        """Let one side's version have the name; the other's lives on beside it, on both."""
        local, remote = self._trees.local.get(path), self._trees.remote.get(path)
        laptop, machine = self._hosts()
        if self._direction_of(path) is Direction.PULL:
            loser, winner, host, changes = local, remote, laptop, pulls
        else:
            loser, winner, host, changes = remote, local, machine, pushes
        copy = copy_name(path, host, datetime.fromtimestamp(self._wall_clock(), UTC))
        changes.append(Change(path, shallow(loser), shallow(winner), keep=copy))
        if isinstance(winner, Directory):
            changes += changes_between(path, DIRECTORY, syncable(winner))

    def _grow(self, changes: Sequence[Change], moment: int, began: float) -> Sequence[Change]:
        """Queue the next part of a group that goes on; return what it is not to wait for.

        It was too large to go at once before its end was known.
        """
        if self._growing is None and not self._pusher.awaits_more:
            return changes
        part, large = self._pusher.without_large(changes)
        if part:
            if self._growing is None:
                self._growing = self._store.next_revision()
                self._pusher.open_revision(self._growing, began, (), grows=True)
            self._pusher.grow_revision(self._growing, part, moment)
        return large

    async def _push(
        self,
        remote: Remote,
        changes: Sequence[Change],
        moment: int,
        began: float,
        renames: Sequence[Rename] = (),
    ) -> None:
        """Send what can go at once, as a whole, and queue the rest, in a revision of its own.

        So no save waits for a large file that was noticed together with it.
        """
        at_once, rest = self._pusher.apart(changes)
        if at_once or renames:
            shown = [*map(rename_as_change, renames), *at_once]
            revision = self._open_revision(shown, began)
            for rename in renames:
                await self._pusher.send_rename(remote, rename, revision, moment)
            await self._pusher.send_small(remote, at_once, revision, moment)
        if rest:
            revision = self._open_revision(rest, began)
            self._pusher.queue(code_first(rest), revision, moment)

    def _open_revision(self, changes: Sequence[Change], began: float) -> int:
        revision = self._store.next_revision()
        self._pusher.open_revision(revision, began, changes)
        return revision


def _digests_in(entry: Entry | None) -> set[bytes]:
    if isinstance(entry, Directory):
        return {digest for child in entry.children.values() for digest in _digests_in(child)}
    return {entry.digest} if isinstance(entry, File) else set()
