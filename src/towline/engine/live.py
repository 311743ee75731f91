"""One folder kept in step with one machine.

A `Live` outlives Lines and machines. For each life of a Line it learns the machine's tree, takes
up the ancestor of that life, has everything reconciled once, and from then on only what changes.
It runs in one loop and owns the three trees. What goes where is decided by `plan`, carried by
`push` and `pull`; connecting is somebody else's.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from towline.core.change import Change, Result
from towline.core.conflict import is_conflict_copy
from towline.core.deadline import Deadline
from towline.core.direction import Direction
from towline.core.entry import Directory, Entry, File, Unsynced
from towline.core.ignore import Rules, Verdict
from towline.core.problem import Problem
from towline.core.safety import count_files
from towline.core.summary import life_of
from towline.core.wire.frames import ProtocolError
from towline.core.wire.messages import (
    Adopt,
    Applied,
    Begin,
    Begun,
    Ends,
    Flush,
    Gone,
    Message,
    Observed,
    Refusal,
    Rescan,
    SetRules,
    Settled,
    TreeEnd,
    TreePart,
)
from towline.core.wire.records import Row
from towline.disk.follow import News
from towline.engine import events
from towline.engine.ancestor import KeptConflict, Store
from towline.engine.barrier import Barrier, Questions
from towline.engine.bell import Bell
from towline.engine.coming import Coming
from towline.engine.draft import Drafts
from towline.engine.flights import Flights
from towline.engine.folder import Folder
from towline.engine.history import History, Record
from towline.engine.known import Known
from towline.engine.landing import Landing
from towline.engine.local import Local
from towline.engine.notices import Notices
from towline.engine.plan import Planner
from towline.engine.pull import Puller
from towline.engine.push import OpenRevision, Pusher
from towline.engine.remote import Lanes, Remote
from towline.engine.safe import Safe
from towline.engine.telling import Telling
from towline.engine.throttle import Throttle
from towline.engine.trees import Trees, check_size

PATHS_SHOWN = 8


class FolderRefusedError(Exception):
    """The machine will not keep this folder in step. The text is for a person."""


@dataclass(slots=True)
class _Life:
    """What is true of one life of a Line."""

    tasks: TaskGroup | None = None
    telling: Telling = field(default_factory=Telling)
    begun_with_rules: bool = False  # The machine knows some: news must follow.
    trees_awaited: int = 0  # That the machine has yet to tell whole, or to tell again.
    agreed: bytes | None = None  # The digest of the tree that the machine may just call by it.
    ready_told: bool = False
    began: float = 0.0
    first_plan: tuple[int, int] = (0, 0)  # Changes, and bytes of content.


class Live:
    """`report` is called in the loop with each event.

    `touched` is called when what `behind` and `state` say may have changed.
    `read_rules` reads what is synced from the project's files; `is_rule_file` says whether a path
    is one of them. `heard_at` is for `engine/safe.py`.
    """

    changes_here = 0  # Of the laptop's copy, whoever made them: what a snapshot goes by.

    def __init__(
        self,
        folder: Folder,
        make_local: Callable[[Callable[[News], None]], Local],
        store: Store,
        *,
        read_rules: Callable[[], Awaitable[Rules]],
        is_rule_file: Callable[[str], bool],
        report: Callable[[events.Event], None],
        touched: Callable[[], None] = lambda: None,
        history: History | None = None,
        wall_clock: Callable[[], float] = time.time,
        heard_at: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self.state = events.State.CONNECTING
        self.machine: Begun | None = None
        self.deadline: Deadline | None = None  # When the machine ends, in Unix time.
        self._store = store
        self._wall_clock = wall_clock
        self._report = report
        self._notices = Notices(store, report)
        self._touched = touched
        self._local = make_local(self._absorb)
        past = Record(history, folder.mirror, lambda: store.revision)
        self.trees = Trees(store, folder.mirror, folder.direction_of, past.agreed, folder.direction)
        self._known = Known(
            self._local,
            self.trees,
            read_rules=read_rules,
            is_rule_file=is_rule_file,
            changed=self._rules_changed,
            scanned=self._scanned,
        )
        self.flights = flights = Flights()
        self._drafts = Drafts(self._is_wanted_there, self._local.read_unread)
        self.pusher = Pusher(self._local, self.trees, self.flights, self._drafts, past.keep)
        coming = Coming(folder.checkpoints, self.trees, flights, self._notices, self._stuck_here)
        self.puller = Puller(
            self._local, self.flights, self._landed_here, coming, self._comes_here, folder.guard
        )
        parts = (self.trees, self.flights, self.pusher, self.puller, store)
        self.planner = Planner(
            *parts, direction_of=folder.direction_of, hosts=self._hosts, wall_clock=wall_clock
        )
        on_its_way = (self.flights, self.planner, self.puller, self._notices)
        self.safe = Safe(*on_its_way, lambda: self._is_known, heard_at, self.trees.blocked_here)
        self._landing = Landing(
            self.trees, self.flights, self.planner, self._notices, self._known.ignores
        )
        self._remote: Remote | None = None
        self._life = _Life()
        self._changed = Bell()  # Something became dirty, or may go now.
        self._landed = Bell()  # Something is no longer on its way.
        self._barrier = Barrier(
            self._local,
            self.flights,
            self.pusher,
            self.planner,
            self._landed,
            is_known=lambda: self._is_known,
            is_connected=lambda: self._remote is not None,
            why_not=self._why_not_there,
        )
        sent = self.pusher.revision_sent
        self._questions = Questions(self._barrier, lambda: sent(store.revision))
        self._sent_before: list[tuple[str, Entry | None]] = []
        self.revision = store.revision  # The last one known to be whole on the machine.

    # -- What others ask ----------------------------------------------------------------------

    @property
    def behind(self) -> tuple[int, int]:
        """How many paths are on their way, and the bytes of content that wait."""
        pushes, push_size = self.pusher.waiting
        return len(self.flights) + pushes, push_size + self.puller.left

    @property
    def held(self) -> str:
        """Why nothing is carried out until a person decides, or the empty text."""
        return self.planner.held

    def conflicts(self) -> list[KeptConflict]:
        """Return the workspace's conflicts that stand. One is settled when its copy is removed."""
        trees = (self.trees.local, self.trees.remote)
        return self._notices.standing(trees if self._is_known else ())

    @property
    def problems(self) -> Mapping[tuple[str, str], Problem]:
        """What cannot be synced for now, by side and path."""
        return self._notices.problems

    @property
    def watching(self) -> str:
        """How changes are noticed, where it is not simply by notification."""
        there = self.machine.watching if self.machine is not None else ""
        return " ".join(filter(None, (self._local.watching, there and f"On the machine: {there}")))

    @property
    def progress(self) -> events.Progress:
        """How much of what the first plan of this life sent is done."""
        files_total, size_total = self._life.first_plan
        files, size = self.behind
        return events.Progress(
            files=max(0, files_total - files),
            files_total=files_total,
            size=max(0, size_total - size),
            size_total=size_total,
        )

    def verdict_on(self, path: str) -> Verdict | None:
        """Say whether `path` is ignored, and by which rule; None while the rules are unknown."""
        return self._known.verdict_on(path)

    def accept(self) -> None:
        self.planner.accept()
        self._changed.ring()

    def refuse(self) -> None:
        self.planner.refuse()
        self._changed.ring()

    async def flush(self, timeout_s: float) -> int:
        """Return a revision that holds every change saved before this call.

        Raises `FlushError`, with the reason, if that cannot be had within `timeout_s` seconds.
        """
        await self._barrier.flush(timeout_s)
        return self.revision

    async def wait_in_step(self) -> None:
        """Return once all that is dirty or on its way now has arrived."""
        await self._barrier.wait_in_step()

    def _why_not_there(self) -> str:
        """Say which change of the laptop cannot go, for what stands in its place there."""
        path = next(self._blocked_there(), None)
        if path is None:
            return ""
        known = {**self.problems, **self._notices.unsettled}
        return f"{known['machine', path]}, on the machine"

    def _blocked_there(self) -> Iterator[str]:
        known = (*self.problems, *self._notices.unsettled)
        return self.trees.blocked_there(path for side, path in known if side == "machine")

    @property
    def _told(self) -> bool:
        """Whether the remote tree is the machine's, by the rules that are in force."""
        return self.machine is not None and self._life.trees_awaited == 0

    @property
    def _is_known(self) -> bool:
        """Whether both trees are known, with nothing that has to be looked at as a whole."""
        return self._told and self._known.is_true

    # -- The laptop's side --------------------------------------------------------------------

    async def follow_folder(self) -> None:
        """Keep the local tree true, for ever, whether there is a Line or not."""
        await self._known.scan()
        await self._local.follow()

    def _absorb(self, news: News) -> None:
        """Take in what happened in the project folder."""
        for observation in news.observations:
            self.trees.local.put(observation.path, observation.entry)
            self._notices.entry("laptop", observation.path, observation.entry)
            self._known.note(observation.path)
        if news.root_gone and not self.trees.is_local_gone:
            self.trees.take_local(None)
            self.flights.note([""])
        elif news.scan_reason:
            self._report(events.Note(f"looking at the whole project again: {news.scan_reason}"))
            self._known.doubt()
        if news.progress is not None:
            self._drafts.note(news.progress)
        for kept in news.kept:
            self._notices.conflict(kept.path, kept.copy, "laptop")
        if news.observations:
            paths = [observation.path for observation in news.observations]
            self._notices.gone("laptop", paths, self.trees.local)
            self.planner.noticed(anyio.current_time())
            self.flights.note(paths)
        if news.observations or news.root_gone or news.scan_reason:
            self.changes_here += 1
            self._changed.ring()
        elif self.planner.is_whole:
            self._changed.ring()
        elif not self._local.reading:
            self._landed.ring()  # Whoever waited for a file to be read knows now: it is the same.

    def _is_wanted_there(self, path: str, basis: bytes) -> bool:
        """Whether the new version of a file, now being read, will go to where `basis` stands."""
        there = self.trees.remote.get(path)
        is_basis = isinstance(there, File) and there.digest == basis
        goes = self.folder.direction_of(path) is not Direction.PULL
        agreed = there == self.trees.ancestor.get(path)
        return self._is_known and not self.held and is_basis and goes and agreed

    def _comes_here(self, path: str) -> bool:
        """Whether a new checkpoint of the machine, of which nothing is told yet, will come here."""
        comes = self.folder.direction_of(path) is not Direction.PUSH and not self._known.ignores(
            path, None
        )
        is_new = self.folder.checkpoints.covers(path) and self.trees.local.get(path) is None
        return self._is_known and not self.held and comes and is_new

    def _stuck_here(self) -> list[str]:
        return self.planner.stuck_on("laptop")

    def _scanned(self) -> None:
        self._notices.gone("laptop", [""], self.trees.local)
        for path, problem in self._local.problems.items():
            self._notices.problem("laptop", Problem(path, problem.kind, problem.detail))
        self.flights.note_all()
        self._changed.ring()

    async def _rules_changed(self, rules: Rules) -> None:
        if self._remote is not None and self._life.begun_with_rules:
            self._life.trees_awaited += 1
            await self._remote.send(SetRules(rules.to_wire()))

    # -- A life of the Line -------------------------------------------------------------------

    async def run_life(self, lanes: Lanes) -> None:
        """Keep both sides in step over these lanes until they end, which raises.

        Raises `FolderRefusedError`, `ProtocolError`, and whatever the lanes raise.
        """
        throttle = Throttle(self.folder.bandwidth)
        run = self._local.run_blocking
        self._remote = remote = Remote(lanes, self.folder.compress, throttle, run)
        try:
            async with anyio.create_task_group() as tasks:
                self._life.tasks = tasks
                tasks.start_soon(self._begin, remote)
                tasks.start_soon(self._take_states, remote)
                tasks.start_soon(self._take_contents, remote)
                tasks.start_soon(self._plan, remote)
                tasks.start_soon(self.pusher.run, remote)
                tasks.start_soon(self._drafts.run, remote)
                tasks.start_soon(self.puller.run, remote)
        finally:
            self._end_life()

    def line_changed(self, *, connected: bool) -> None:
        """The Line has lost its connection, or has another."""
        self.safe.doubt()
        if connected and self.machine and self._remote and self._life.tasks:
            self._life.tasks.start_soon(self._remote.send, self.safe.question)

    async def _begin(self, remote: Remote) -> None:
        while self._known.rules is None:
            await self._changed.wait()
        self.state = events.State.SCANNING
        self._life.began = anyio.current_time()
        self._life.begun_with_rules, self._life.trees_awaited = True, 1
        self._life.agreed = self.trees.agreed
        begin = Begin(
            self.folder.machine_path,
            self.folder.host,
            self.folder.local_life,
            self._store.revision,
            self._known.rules.to_wire(),
            self.folder.name,
            self.folder.lives_s,
            self._life.agreed,
        )
        await remote.send(begin)

    def _end_life(self) -> None:
        self.safe.note()
        self._remote, self.machine = None, None
        self._life = _Life()
        self._sent_before += self.flights.ground()
        self.pusher.begin_life(())
        self._drafts.begin_life()
        self.puller.begin_life()
        self.planner.begin_life()
        self._landed.ring()

    async def _take_states(self, remote: Remote) -> None:
        async for message in remote.states():
            await self._take_state(message, remote)

    async def _take_state(self, message: Message, remote: Remote) -> None:
        match message:
            case Applied():
                self._landed_there(message)
            case Observed():
                self._observed(message)
                await self.puller.look_at_told(self.trees.remote)
            case Gone(path):
                self.puller.give_up(message.digest)
                self.flights.note([path])
                self._changed.ring()
            case Begun():
                self._begun(message)
            case TreePart():
                self._life.telling.add_to_tree(message)
            case TreeEnd():
                await self._tree_told(message, remote)
            case Rescan(reason):
                self.safe.note()
                self._report(events.Note(f"looking at the whole machine folder again: {reason}"))
                self._life.trees_awaited += 1
            case Settled(token):
                self.safe.trust(token)
            case Flush():
                if self._life.tasks is not None:
                    self._questions.take(message, remote, self._life.tasks)
            case Ends(in_ms, why):
                self.deadline = Deadline(self._wall_clock() + in_ms / 1000, why)
                self._touched()
            case Refusal(reason):
                raise FolderRefusedError(reason)
            case _:
                raise ProtocolError(f"{type(message).__name__} is not for the laptop to receive")

    async def _take_contents(self, remote: Remote) -> None:
        async for message in remote.contents():
            await self.puller.take(message)
            if isinstance(message, Adopt):  # It may have been told before that this is gone.
                await self.puller.look_at_told(self.trees.remote)
            self._touched()

    def _begun(self, begun: Begun) -> None:
        if self._known.rules is None or self.machine is not None:
            raise ProtocolError("Begun was not asked for")
        self.machine = begun
        self.safe.begin_life()
        if begun.zstd and self._remote is not None:
            self._remote.use_zstd()
        self.pusher.begin_life(begun.partials)

    def _synced(self, rows: Sequence[Row]) -> Iterator[Row]:
        """Leave out what the laptop does not sync, whatever the machine tells of it."""
        for path, entry in rows:
            if self.trees.holds_here(path, entry) or not self._known.ignores(path, entry):
                yield path, entry

    async def _tree_told(self, end: TreeEnd, remote: Remote) -> None:
        if self.machine is None:
            raise ProtocolError("a tree before Begun")
        while not self._known.is_scanned or self._known.rules is None:
            await self._changed.wait()
        rules = self._known.rules
        if end.as_agreed and not self._is_still_agreed():
            return await remote.send(SetRules(rules.to_wire()))  # Which has it told whole.
        told = self._life.telling.take_tree()
        self.trees.open_ancestor(life_of(self.folder.local_life, self.machine.incarnation), rules)
        if end.as_agreed:
            self.trees.take_agreed(told, rules)
        else:
            self.trees.take_remote(told, rules)
        if end.exists and self.trees.remote.root is None:
            self.trees.remote.put("", Directory({}))
        self.trees.doubt_lately_agreed(self.machine.boot, (path for path, _ in self._sent_before))
        self.trees.recognise(end.carried_out, self._sent_before)
        self._sent_before.clear()
        self._notices.gone("machine", [""], self.trees.remote)
        for problem in end.problems:
            self._notices.problem("machine", problem)
        self._life.trees_awaited = max(0, self._life.trees_awaited - 1)
        if self.state is not events.State.LIVE:
            self.state = events.State.FIRST_SYNC
        self.flights.note_all()
        self._changed.ring()
        return None

    def _is_still_agreed(self) -> bool:
        """Whether nothing was agreed on, or forgotten, since `Begin` named the tree."""
        if self._life.agreed is None:
            raise ProtocolError("a tree that was not named")
        return self._life.agreed == self.trees.agreed

    def _observed(self, observed: Observed) -> None:
        """Take in what happened in the machine's folder, once all of it is told."""
        if parts := self._life.telling.observed(observed):
            for part in parts:
                self._take_observed(part)
            self._changed.ring()

    def _take_observed(self, observed: Observed) -> None:
        self.safe.note()
        remote = self.trees.remote
        blocked = list(self._blocked_there())
        for path in observed.replaced:
            remote.put(path, None)
            self.puller.drop(path)
        for path, entry in self._synced(observed.rows):
            remote.put_shallow(path, entry)
            self._notices.entry("machine", path, entry)
        self._notices.gone("machine", observed.replaced, remote)
        for path in observed.replaced:
            if is_conflict_copy(path) and self.trees.ancestor.get(path) is None:
                self._notices.conflict(path, path, "machine")
        for problem in observed.problems:
            self._notices.problem("machine", problem)
        check_size(len(remote))
        self.flights.note([*observed.replaced, *(path for path, _ in observed.rows)])
        # What was saved there can go now, and whoever waits for it did so before it could.
        free = (path for path in blocked if not isinstance(remote.get(path), Unsynced))
        self.flights.restore(dict.fromkeys(free, 0))
        self.safe.note_told()

    # -- Planning -----------------------------------------------------------------------------

    async def _plan(self, remote: Remote) -> None:
        while True:
            heard = self._changed.rung
            await self._known.refresh()
            if self._told and self._known.is_scanned:
                await self.planner.plan(remote)
                self.puller.look()
                if self.state is events.State.FIRST_SYNC:
                    self._life.first_plan = max(self._life.first_plan, self.behind)
                self._landed.ring()
                self._note_state()
                self._touched()
            await self._wait_for_more(heard)

    async def _wait_for_more(self, heard: int) -> None:
        if self._known.rules is not None and self._known.is_stale:
            return
        deadline = self.planner.deadline() if self._told and self._known.is_scanned else None
        if deadline is None:
            await self._changed.wait(heard)
        else:
            with anyio.move_on_after(deadline - anyio.current_time()):
                await self._changed.wait(heard)

    def _note_state(self) -> None:
        """Tell when the folder becomes held, and when both sides first hold the same."""
        if self.held and self.state is not events.State.HELD:
            self.state = events.State.HELD
            self._report(events.Held(self.held))
        elif not self.held and self.state is not events.State.LIVE and self.behind[0] == 0:
            self._become_live()

    def _become_live(self) -> None:
        self._local.let_go()
        self.state = events.State.LIVE
        if self._life.ready_told:  # It was only held for a while.
            return
        self._life.ready_told = True
        self._report(
            events.Ready(
                revision=self.revision,
                files=count_files(self.trees.ancestor.root),
                size=sum(e.size for _, e in self.trees.ancestor.walk() if isinstance(e, File)),
                seconds=round(anyio.current_time() - self._life.began, 3),
                new_machine=self.machine is not None and self.machine.new,
                machine_path=self.machine.root if self.machine else self.folder.machine_path,
                left_out=self._local.left_out,
                notebook=self.machine.notebook if self.machine else "",
            )
        )

    # -- What became of changes ---------------------------------------------------------------

    def _landed_there(self, applied: Applied) -> None:
        """The machine has answered a group."""
        group, whole = self.pusher.answered(applied.group)
        if group is None:
            raise ProtocolError("an answer to changes that were not sent")
        agreed = self._landing.there(group, applied)
        self.trees.agree(agreed, group.revision)
        if whole is not None:
            self._note_revision(*whole)
        self._after_landing(agreed)

    def _landed_here(self, landed: Sequence[tuple[Change, Result]]) -> None:
        """Changes from the machine were carried out on the laptop."""
        agreed = self._landing.here(landed)
        for change, _ in landed:
            self._known.note(change.path)
        self.trees.agree(agreed)
        paths = [path for path, _ in agreed]
        if paths:
            self.changes_here += 1
            self._report(events.Received(len(paths), tuple(paths[:PATHS_SHOWN])))
        self._after_landing(agreed)

    def _after_landing(self, agreed: Sequence[tuple[str, Entry | None]]) -> None:
        self._notices.gone("machine", [path for path, _ in agreed], self.trees.remote)
        if left := self.trees.left_alone(path for path, entry in agreed if entry is None):
            self.flights.note(left)
        self._landed.ring()
        self._changed.ring()

    def _note_revision(self, number: int, revision: OpenRevision) -> None:
        self.revision = max(self.revision, number)
        ms = round((anyio.current_time() - revision.began) * 1000, 2)
        self._report(events.Revision(number, revision.changes, ms, tuple(revision.paths)))

    # -- What people are told -----------------------------------------------------------------

    def _hosts(self) -> tuple[str, str]:
        return self.folder.host, self.machine.host if self.machine else "machine"
