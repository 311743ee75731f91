"""One folder on the machine, kept in step: messages in, messages out, disk work in between.

A `Mirror` owns one folder for as long as a Line wants it, and is driven by one thread in small
steps. It decides nothing about what goes where: the laptop does, and a mirror carries out each
change only if its `old` still holds. It knows no sockets and no Line, only two lanes that take
messages while they have room.

All that tells of the state of the folder goes out on the sync lane, in the order in which it
came true; the bulk lane carries content alone. So the laptop can believe the last word it got.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import dropwhile
from typing import Protocol

from towline.agent.ahead import Vanguard
from towline.agent.changes import Changes
from towline.agent.lifetime import boot_id
from towline.agent.roots import Root, RootError
from towline.agent.zstd import find as find_zstd
from towline.core.change import Change, Outcome, Result
from towline.core.delta import Stretch, from_offset, pieces
from towline.core.entry import DIRECTORY, Directory, Entry, File, Unsynced
from towline.core.ignore import Rules
from towline.core.path import join
from towline.core.steps import Steps
from towline.core.wire.frames import ProtocolError
from towline.core.wire.messages import (
    COPY_SIZE,
    HEADER_SIZE,
    PART_SIZE,
    Adopt,
    Applied,
    Apply,
    Begin,
    Begun,
    Copy,
    Ends,
    Fetch,
    Flush,
    Flushed,
    Gone,
    Message,
    Observed,
    Part,
    Refusal,
    Rename,
    Rescan,
    SetRules,
    Settle,
    Settled,
    TreeEnd,
)
from towline.core.wire.records import Row, Want
from towline.core.wire.telling import fitting, header_size_of, rows_of, tree_parts
from towline.disk.observation import Observation
from towline.disk.versions import Basis

OBSERVED_ROWS = 2048  # Rows per message: keeps each far below the limit of a message.
ASKED_MAX = 1024  # Flushes that were not answered: beyond it the oldest was given up long ago.
LOOK_LATE_S = 0.1  # How much later a change here may be told while much arrives.
SOON_S = 0.005  # After a part of a revision the next one is here by then, if it is on its way.
WANTS_MAX = 100_000  # Files asked for and not yet sent: bounds memory.


class Lane(enum.Enum):
    SYNC = "sync"
    BULK = "bulk"


class Outlet(Protocol):
    """Where a mirror's messages go."""

    def room(self, lane: Lane) -> bool:
        """Whether the lane takes a message now."""
        ...

    def send(self, lane: Lane, message: Message) -> None: ...


class Mirror:
    """`open_root` gives the folder a `Begin` names, or raises `RootError` with the reason.

    All that changes in the folder, by whatever hand, is noted in `changes`. `notebook` is the line
    that loads the extension in a notebook here.
    """

    def __init__(
        self,
        outlet: Outlet,
        open_root: Callable[[Begin], Root],
        changes: Changes,
        notebook: str = "",
    ) -> None:
        self._outlet = outlet
        self._open_root = open_root
        self._changes = changes
        self._notebook = notebook
        self.lives_s = 0  # The machine, as the laptop says.
        self.name = ""  # Of the workspace, as the laptop has it.
        self.laptop = ""
        self._root: Root | None = None
        self._outbox: deque[Message] = deque()  # For the sync lane, while it has no room.
        self._telling: Iterator[Message | None] | None = None  # A scan, then the tree it found.
        self._wants: deque[Want] = deque()
        self._large_want: Want | None = None  # Of which nothing is sent yet.
        self._sending: Generator[Message | None, None, None] | None = None  # A large file.
        self._vanguard: Vanguard | None = None  # Of a checkpoint that nobody has asked for yet.
        self._goes_ahead = True  # Not after one that nobody asked for, until some are.
        self._asked: dict[int, str] = {}  # Flushes under way → what could not be done meanwhile.
        self._revisions: set[int] = set()  # Those applied beyond the whole ones.
        self.revision = 0  # The highest one of which no part is missing, nor of any before.
        self.flushed: list[Flushed] = []  # Answers from the laptop, for whoever asked.
        self.settled: list[int] = []  # Tokens of `settle`: all that happened before it is noted.
        self._partly: set[int] = set()  # Revisions of which something is applied, not all.
        self._is_refused = False
        self._looked_at = -math.inf
        self._looks_at = -math.inf  # Not before; the watch is not waited for until then.
        self._more_until = -math.inf  # Until then, more of a revision is awaited.
        self.is_over = False  # The folder is gone: whoever wants one has to begin anew.

    @property
    def root(self) -> Root | None:
        return self._root

    def takes(self) -> bool:
        """Whether a further message may be given to `receive`. If not, leave it in the Line."""
        return self._telling is None and not self._outbox

    @property
    def watched(self) -> Root | None:
        """The folder whose watch the next `step` reads: none while there is no room for news."""
        return self._root if self.takes() and self._looks_at <= self._looked_at else None

    def receive(self, message: Message, now: float) -> None:
        """Carry out what the laptop asks. Raises `ProtocolError` if it may not ask that."""
        if isinstance(message, Begin):
            return self._begin(message, now)
        root = self._root
        if root is None and self._is_refused:  # What was sent before the refusal was known.
            return None
        if root is None:
            raise ProtocolError(f"{type(message).__name__} before Begin")
        match message:
            case Apply():
                self._apply(root, message, now)
            case Rename():
                self._rename(root, message, now)
            case Part() | Copy() | Adopt():
                self._stage(root, message)
            case Fetch():
                self._fetch(message)
            case SetRules():
                root.set_rules(_rules(message.rules))
                self._telling = self._tell_tree(root)
            case Settle():
                self._settle(root, message.token, now)
            case Flushed():
                reason = self._asked.pop(message.token, "")
                self.flushed.append(replace(message, reason=message.reason or reason))
            case _:
                raise ProtocolError(f"{type(message).__name__} is not for the machine to receive")
        return None

    def flush(self, token: int, timeout_s: float) -> None:
        """Ask the laptop for everything saved before now; the answer comes in `flushed`."""
        self._asked[token] = ""
        while len(self._asked) > ASKED_MAX:
            del self._asked[next(iter(self._asked))]
        self._send(Flush(token, timeout_s))

    def tell_end(self, left_s: float, why: str) -> None:
        """Tell the laptop when the machine ends."""
        if self._root is not None:
            self._send(Ends(round(left_s * 1000), why))

    def settle(self, token: int, now: float) -> None:
        """Note all that was changed here before now; `token` comes in `settled` once it is."""
        if self._root is None:
            self.settled.append(token)
            return
        try:
            self._root.follower.settle(-token, now)  # The laptop's own tokens are positive.
        except OSError:
            self._changes.note_all()
            self.settled.append(token)

    def holds(self, path: str) -> bool:
        """Whether what happens to the file at this absolute path is noted."""
        root = self._root
        if root is None or not path.startswith(f"{root.path}/"):
            return False
        return isinstance(root.replica.tree.get(path[len(str(root.path)) + 1 :]), File)

    @property
    def is_whole(self) -> bool:
        """Whether no revision is half applied: its other half may still be on its way."""
        return not self._partly

    def deadline(self) -> float | None:
        """When to call `step` even if nothing arrives and nothing is seen."""
        if self._root is None or not self.takes():
            return None
        return self._looks_at if self.watched is None else self._root.follower.deadline()

    def step(self, now: float, *, busy: bool = False) -> bool:
        """Do the next bit of work. True: there is more that need not wait.

        While `busy`, with more to carry out at once, or soon, the folder is looked at now and then
        only: most of what the watch tells then is our own doing.
        """
        while self._outbox and self._outlet.room(Lane.SYNC):
            self._outlet.send(Lane.SYNC, self._outbox.popleft())
        if self._outbox or self._root is None:
            return False
        if self._telling is not None:
            return self._go_on_telling()
        late = self._looked_at + LOOK_LATE_S
        self._looks_at = late if busy else min(late, self._more_until)
        if now >= self._looks_at:
            self._looked_at = now
            self._look(self._root, now)
        return self._supply(self._root)

    def _begin(self, begin: Begin, now: float) -> None:
        if self._root is not None:
            raise ProtocolError("second Begin")
        try:
            root = self._open_root(begin)
        except RootError as error:
            self._is_refused = True
            return self._send(Refusal(str(error)))
        self._root = root
        self.name, self.laptop, self.lives_s = begin.name, begin.host, begin.lives_s
        self.revision = begin.revision
        self._send(
            Begun(
                root=str(root.path),
                host=root.host,
                incarnation=root.incarnation.id,
                new=root.incarnation.new,
                partials=tuple(sorted(root.replica.stage.partials().items())),
                watching=root.watching,
                notebook=self._notebook,
                boot=boot_id(),
                zstd=find_zstd() is not None,
            )
        )
        self._telling = self._tell_tree(root, begin.agreed)
        return None

    def _tell_tree(self, root: Root, agreed: bytes | None = None) -> Iterator[Message | None]:
        """Scan, unless the root is known to be as its replica has it; then tell the tree.

        Where it is the one that was agreed on, only what cannot be synced is told of it.
        """
        if not root.is_known:
            self._changes.note_all()  # What a scan finds is told to nobody path by path.
        yield from root.ensure_scanned()
        as_agreed = yield from root.holds_steps(agreed)
        rows = root.replica.tree.walk()
        yield from tree_parts(filter(_is_unsynced, rows) if as_agreed else rows)
        problems = fitting(root.replica.problems.values(), lambda at: header_size_of(at.path, at))
        standing = root.carried_out.rows(root.replica.tree)
        carried_out = fitting(standing, lambda row: header_size_of(*row))
        yield TreeEnd(root.exists, problems, carried_out, as_agreed)

    def _go_on_telling(self) -> bool:
        try:
            for message in self._telling or ():
                if message is not None:
                    self._send(message)
                return not self._outbox
        except OSError as error:  # The folder as a whole cannot be read.
            self._send(Refusal(f"{error.filename}: {error.strerror}"))
        self._telling = None
        return True

    def _apply(self, root: Root, apply: Apply, now: float) -> None:
        results, observations = root.follower.apply(apply.changes, apply.contents, now)
        root.carried_out.note(apply.changes, results)
        # Also what failed: half-way through, say, where the disk is full.
        self._changes.note(f"{root.path}/{result.path}" for result in results)
        self._partly.add(apply.revision)
        self._more_until = -math.inf if apply.last else now + SOON_S
        self._answer(root, apply.group, results, observations)
        if apply.last:
            self._partly.discard(apply.revision)
            self._revisions.add(apply.revision)
            self._count_revisions()

    def _rename(self, root: Root, rename: Rename, now: float) -> None:
        source, target = rename.source, rename.target
        result, observations = root.follower.rename(source, target, rename.digest, now)
        both = (Change(target, None, DIRECTORY), Change(source, DIRECTORY, None))
        root.carried_out.note(both, (result, replace(result, path=source)))
        moved = Observation(target, root.replica.tree.get(target))
        self._note(root, (Observation(source, None), moved))
        self._answer(root, rename.group, [result], observations)

    def _answer(
        self,
        root: Root,
        group: int,
        results: Sequence[Result],
        observations: Sequence[Observation],
    ) -> None:
        others = list(dropwhile(_is_plain, results))
        self._send(Applied(group, len(results) - len(others), tuple(others)))
        failed = next((result for result in others if result.outcome is not Outcome.DONE), None)
        if failed is not None:
            for token, reason in self._asked.items():
                self._asked[token] = reason or f"{failed.path}: {_why(failed)}"
        self._note(root, observations)
        for message in _observed(observations):
            self._send(message)

    def _count_revisions(self) -> None:
        while self.revision + 1 in self._revisions:
            self.revision += 1
            self._revisions.discard(self.revision)

    def _stage(self, root: Root, message: Part | Copy | Adopt) -> None:
        """Keep a stretch; if it cannot be kept, the change that needs it will say so."""
        replica = root.replica
        try:
            match message:
                case Part(digest, size, offset, data):
                    if offset <= replica.stage.held(digest):  # Else what came before is not here.
                        replica.stage.write(digest, offset, data, size)
                case Copy(digest, size, offset, length, path, basis, source):
                    stretch = Stretch(offset, length, source)
                    replica.versions.stage_copy(digest, size, Basis(path, basis), stretch)
                case Adopt(draft, digest, size):
                    replica.stage.rename(draft, digest, size)
        except ValueError as error:
            raise ProtocolError(f"a part of a content: {error}") from None

    def _fetch(self, fetch: Fetch) -> None:
        if len(self._wants) + len(fetch.wants) > WANTS_MAX:
            raise ProtocolError(f"more than {WANTS_MAX} files asked for at once")
        for want in fetch.wants:
            if want.file.size > PART_SIZE:
                self._fetch_large(want)
            else:
                self._wants.append(want)

    def _fetch_large(self, want: Want) -> None:
        """The laptop asks for one at a time: what it asked for before is there, or given up."""
        self._goes_ahead, self._large_want = True, None
        if self._vanguard is not None and self._vanguard.takes(want):
            return
        if self._vanguard is None or self._vanguard.is_in_vain(want):
            self._vanguard = self._sending = None
        self._large_want = want

    def _settle(self, root: Root, token: int, now: float) -> None:
        try:
            root.follower.settle(token, now)
        except OSError:  # A full or read-only disk: only a scan can tell what is there.
            self._rescan(root, "the cookie could not be written")
            self._send(Settled(token))

    def _look(self, root: Root, now: float) -> None:
        news = root.follower.step(now)
        if news.root_gone or (news.scan_reason and not root.exists):
            self.is_over = True
            self._changes.note_all()
        elif news.scan_reason:
            self._rescan(root, news.scan_reason)
        else:
            self._note(root, news.observations, news.looked_at)
            if self._vanguard is not None:
                self._vanguard.learn(news.observations)
            for message in _observed(news.observations):
                self._send(message)
        for token in news.settled:
            if token < 0:
                self.settled.append(-token)
            else:
                self._send(Settled(token))

    def _note(
        self, root: Root, observations: Sequence[Observation], looked_at: Iterable[str] = ()
    ) -> None:
        """Note what is something else now, and `looked_at`, be it as it was.

        It may have been something else for a moment, and a kernel have read that.
        """
        root.carried_out.note_seen(observations)
        self._changes.note(f"{root.path}/{path}" for path in looked_at)
        for observation in observations:
            self._changes.note(
                f"{root.path}/{path}" for path in _files_in(observation.path, observation.entry)
            )

    def _rescan(self, root: Root, reason: str) -> None:
        root.note_lost()
        self._changes.note_all()
        self._send(Rescan(reason))
        self._telling = self._tell_tree(root)

    def _supply(self, root: Root) -> bool:
        """Send the next stretch of what was asked for, if there is room."""
        if not self._outlet.room(Lane.BULK):
            return False
        if self._wants:  # A large file holds no small one up.
            self._send_stretch(filter(None, self._stretches(root, self._wants.popleft())))
        elif self._sending is not None:
            if not self._send_stretch(self._sending):
                self._sending = None
        elif self._large_want is not None:
            self._sending, self._large_want = self._stretches(root, self._large_want), None
        elif vanguard := self._next_vanguard(root):
            self._vanguard, self._sending = vanguard, self._ahead(root, vanguard)
        return bool(self._wants or self._sending or self._large_want)

    def _next_vanguard(self, root: Root) -> Vanguard | None:
        """Return the start of a checkpoint that is being read."""
        path = root.replica.new_checkpoint() if self._goes_ahead else None
        return None if path is None else Vanguard(root.replica, path)

    def _ahead(self, root: Root, vanguard: Vanguard) -> Generator[Message | None, None, None]:
        """Yield the start of a checkpoint, and the rest once that is asked for."""
        yield from vanguard.steps()
        self._goes_ahead = vanguard.want is not None
        if vanguard.want is not None:
            yield from self._stretches(root, replace(vanguard.want, offset=vanguard.at, basis=None))
        self._vanguard = None

    def _send_stretch(self, stretches: Iterator[Message | None]) -> bool:
        """Send what comes next of a content, if that is known yet; False at its end."""
        try:
            message = next(stretches)
        except StopIteration:
            return False
        if message is not None:
            self._outlet.send(Lane.BULK, message)
        return True

    def _stretches(self, root: Root, want: Want) -> Generator[Message | None, None, None]:
        """Yield a content as copies of what the laptop has and parts for the rest, step by step."""
        file, stretches = want.file, None
        if want.basis is not None:
            versions = root.replica.versions
            stretches = yield from versions.delta_steps(want.path, file, want.basis)
        at = want.offset
        for stretch in from_offset(stretches or [Stretch(0, file.size, None)], want.offset):
            for piece in pieces(stretch, COPY_SIZE, PART_SIZE):
                message = yield from self._stretch_steps(root, want, piece)
                if message is None:
                    return self._send_gone(root, want)
                yield message
                at += piece.size
        if at == want.offset:  # All of it is there already.
            yield Part(file.digest, file.size, file.size, b"")
        return None

    def _stretch_steps(self, root: Root, want: Want, piece: Stretch) -> Steps[Message | None]:
        """Return one stretch as a message; None if the file is not what is wanted any more."""
        path, file = want.path, want.file
        if piece.source is not None and want.basis is not None:
            at = piece.offset, piece.size
            return Copy(file.digest, file.size, *at, path, want.basis, piece.source)
        data = yield from root.replica.outgoing.part_steps(path, file, piece.offset, piece.size)
        if data is None or len(data) < piece.size:
            return None
        return Part(file.digest, file.size, piece.offset, data)

    def _send_gone(self, root: Root, want: Want) -> None:
        """Tell what is there now, then that the other is gone: in that order."""
        observations = root.replica.observe([want.path])
        self._note(root, observations)
        for message in _observed(observations):
            self._send(message)
        self._send(Gone(want.path, want.file.digest))

    def _send(self, message: Message) -> None:
        """Send on the sync lane, after all that was sent there before."""
        if not self._outbox and self._outlet.room(Lane.SYNC):
            self._outlet.send(Lane.SYNC, message)
        else:
            self._outbox.append(message)


def _files_in(path: str, entry: Entry | None) -> Iterator[str]:
    """Yield the path, and those of all that is in it."""
    yield path
    if isinstance(entry, Directory):
        for name, child in entry.children.items():
            yield from _files_in(join(path, name), child)


def _is_unsynced(row: Row) -> bool:
    return isinstance(row[1], Unsynced)


def _is_plain(result: Result) -> bool:
    return result.outcome is Outcome.DONE and result.kept is None


def _why(failed: Result) -> str:
    return failed.problem.reason if failed.problem else "it was changed here at the same time"


def _rules(wire: object) -> Rules:
    try:
        return Rules.from_wire(wire)
    except ValueError as error:
        raise ProtocolError(f"rules: {error}") from None


def _observed(observations: Iterable[Observation]) -> Iterator[Observed]:
    """Yield the observations as messages of bounded size, all but the last with more to follow."""
    parts = list(_parts_of(observations))
    for part in parts[:-1]:
        yield replace(part, more=True)
    yield from parts[-1:]


def _parts_of(observations: Iterable[Observation]) -> Iterator[Observed]:
    """Yield what fits one message: first what is replaced, then row by row what is in it."""
    replaced: list[str] = []
    rows: list[Row] = []
    size = 0
    for observation in observations:
        replaced.append(observation.path)
        for row in rows_of(observation.path, observation.entry):
            rows.append(row)
            size += 2 * header_size_of(*row)  # Its path may stand among those replaced, too.
            if len(rows) >= OBSERVED_ROWS or size >= HEADER_SIZE:
                yield Observed(tuple(replaced), tuple(rows))
                replaced, rows, size = [], [], 0
    if replaced or rows:
        yield Observed(tuple(replaced), tuple(rows))
