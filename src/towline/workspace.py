"""A project bound to a machine: the only place where the parts meet.

`run_link` is the engine process. It keeps one Line to the machine alive for as long as it runs,
one `Live` for each folder on it, and answers commands on the control socket. What is synced to
where is the engine's to decide, how the machine is reached the Line's; here they are only joined.
"""

from __future__ import annotations

import json
import math
import signal
import sqlite3
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, suppress
from pathlib import Path
from typing import NoReturn, cast

import anyio
from anyio.abc import ByteStream

from towline import __version__
from towline.channels import Channels
from towline.config import Compression, Options
from towline.control_listener import serve_control
from towline.core.deadline import WARNINGS_S, Countdown, Deadline
from towline.core.wire.frames import Priority, ProtocolError
from towline.engine import events, memory
from towline.engine.ancestor import Store, StoreError
from towline.engine.barrier import FlushError
from towline.engine.bell import Bell
from towline.engine.history import CONTENT_MAX, History
from towline.engine.live import FolderRefusedError, Live
from towline.engine.rate import Rate
from towline.engine.remote import Lanes
from towline.engine.safe import together
from towline.enrolment import host_key_changed
from towline.entrance import Entrance
from towline.environment.machine import Asked
from towline.equip import Equipment
from towline.errors import ExitCode, UserError
from towline.folders import open_folder, pairs_of
from towline.following import follow, put_last
from towline.forwards.keep import Forwards
from towline.keep import Keep
from towline.keeping import Keeping
from towline.line.errors import ChannelClosedError, ConnectError, ConnectKind, LineLostError
from towline.line.live import LineState, LiveLine, Phase, open_line
from towline.machines import machine_named
from towline.operations import operations
from towline.places import Binding, places_of
from towline.proof import prove_key
from towline.request import LinkRequest
from towline.sending import Sending

SOFTWARE = f"towline {__version__}"
STATUS_INTERVAL_S = 0.1  # The shortest time between two reports of the status.
LIFE_MIN_S = 1.0  # A machine on which each life ends at once must not keep us busy.
HISTORY_INTERVAL_S = 0.5  # What is written less often costs less, and a save must not feel it.
LARGE_BATCHES = 4  # Some thousand files at once: no work of a person at one file.
MEMORY_INTERVAL_S = 20.0  # Between two times of giving free memory back, while there is work.
TELLING_S = 0.5  # By then the machine has told of what was closed there: milliseconds, if not busy.
LAST_FLUSH_S = 10.0  # What takes longer before the end of the machine is told as not safe.
PATHS_SHOWN = 8
EVENTS_KEPT = 50  # Told again to whoever begins to listen.
COMPRESS_RTT_S = 0.004  # A shorter way is a network faster than the compressor.

Report = Callable[[events.Event | events.Status], None]

_NEW_LIFE = (LineLostError, ChannelClosedError)  # The agent is another one now: begin again.
_FAILURES = (ConnectError, FolderRefusedError, ProtocolError)  # Nothing that waiting would mend.
_BEGINNING = (events.State.CONNECTING, events.State.SCANNING, events.State.FIRST_SYNC)
_EXIT_CODES = {
    ConnectKind.AUTH: ExitCode.REFUSED,
    ConnectKind.HOST_KEY: ExitCode.REFUSED,
}


async def run_link(
    request: LinkRequest, options: Options, entrance: Entrance, report: Report
) -> int:
    """Keep the project live until told to stop; return the exit code. Raises `UserError`."""
    places = places_of(request.workspace_id)
    with ExitStack() as stack:
        try:
            store = Store(places.state)
            stack.callback(store.close)
            workspace = Workspace(request, options, entrance, store, report, stack)
        except StoreError as error:
            raise UserError(str(error), "", ExitCode.CANNOT_WRITE) from None
        return await workspace.run(places.socket)


class Workspace:
    def __init__(
        self,
        request: LinkRequest,
        options: Options,
        entrance: Entrance,
        store: Store,
        report: Report,
        stack: ExitStack,
    ) -> None:
        self._request = request
        self._options = options
        self._entrance = entrance
        self._store = store
        self._tell = report
        self._line: LiveLine | None = None
        self._recent: deque[events.Event] = deque(maxlen=EVENTS_KEPT)
        self._event_count = 0
        self._last_paths: tuple[str, ...] = ()  # Of what arrived last, either way.
        self._ready: list[events.Ready] = []  # Of the folders that are, until all are.
        self._happened = Bell()
        self._touched = Bell()
        self._stop = anyio.Event()
        self._stop_reason = ""
        self._exit_code = ExitCode.OK
        self._failure: UserError | None = None
        self._was_connected = False
        self._away_since: float | None = None
        self._reason = ""  # Why the machine is away.
        self._new_life = False
        self._life = 0  # How many lives of the line began.
        self._state = events.State.CONNECTING
        self._since = time.time()
        self._rate = Rate()
        self._sources = [request.project / pair.source for pair in pairs_of(request, options)]
        self._history = self._open_history(stack)
        self.folders = [
            (
                pair,
                open_folder(
                    number,
                    pair,
                    request,
                    options,
                    store,
                    stack,
                    history=self._history,
                    compress=self._compresses,
                    report=self._report_of_folder,
                    touched=self._touched.ring,
                    heard_at=self._heard_at,
                ),
            )
            for number, pair in enumerate(pairs_of(request, options))
        ]
        self._lives = [live for _, live in self.folders]
        self._keeping = self._open_keeping()
        self._forwards = Forwards(lambda: self._line, self._report, self._touched.wait)

    # -- The engine process -------------------------------------------------------------------

    async def run(self, control: Path) -> int:
        memory.keep_blocks()
        async with anyio.create_task_group() as tasks:
            streams = {"channel": Channels(lambda: self._line)}
            await tasks.start(self._forwards.run)
            asked = {**operations(self), **self._forwards.operations()}
            await tasks.start(serve_control, control, asked, streams)
            tasks.start_soon(self._stop_on_signal)
            tasks.start_soon(self._tell_status)
            for live in self._lives:
                tasks.start_soon(self._follow, live)
            tasks.start_soon(self._keep_linked)
            tasks.start_soon(self._write_history)
            tasks.start_soon(self._give_memory_back)
            tasks.start_soon(self._count_down)
            if not self._request.once:
                tasks.start_soon(self._equip)
                tasks.start_soon(self._prove_key)
            if self._keeping is not None:
                tasks.start_soon(self._keeping.run)
            if self._options.keep.mirror is not None and not self._request.once:
                tasks.start_soon(self._sending().run)
            if self._request.once:
                tasks.start_soon(self._leave_when_in_step)
            await self._stop.wait()
            await self._forwards.end()
            tasks.cancel_scope.cancel()
        for live in self._lives:
            live.trees.remember_agreed()
        self._set_state(events.State.STOPPED)
        self._report(events.Stopped(self._stop_reason))
        self._tell(self.status())
        if self._failure is not None:
            raise self._failure
        return self._exit_code

    def _open_history(self, stack: ExitStack) -> History | None:
        """The past is a convenience: a disk that cannot take it ends nothing."""
        try:
            history = History(places_of(self._request.workspace_id).history, self._read_source)
        except sqlite3.Error:
            return None
        stack.callback(history.close)
        return history

    def _open_keeping(self) -> Keeping | None:
        """Snapshots, where a place for them is configured; not for a single sync."""
        if self._options.keep.to is None or self._request.once:
            return None
        return Keeping(
            Keep(self._request.project, self._options),
            self._options.keep.interval,
            changes=lambda: sum(live.changes_here for live in self._lives),
            is_quiet=lambda: self._present_state() not in _BEGINNING,
            report=self._report,
        )

    def _read_source(self, mirror: int, path: str) -> bytes | None:
        try:
            with open(self._sources[mirror] / path, "rb") as file:
                return file.read(CONTENT_MAX + 1)
        except OSError:
            return None

    async def _write_history(self) -> None:
        """Write down what was agreed on, a little at a time, and not while a first sync is on.

        Nor while many saves are on their way, if they are there soon: both need a processor.
        """
        history = self._history
        while history is not None:
            with anyio.move_on_after(HISTORY_INTERVAL_S):
                while any(live.behind[0] for live in self._lives):
                    await self._touched.wait()
            written = 0
            while self._is_live() and (news := history.take()) is not None:
                await anyio.to_thread.run_sync(history.write, news)
                await anyio.sleep(HISTORY_INTERVAL_S)
                written += 1
            if written >= LARGE_BATCHES:  # A first sync is over, with all that it needed.
                await self._give_back()
            await self._touched.wait()

    async def _give_memory_back(self) -> None:
        """Give back what the work of a while has left. An idle engine is not woken for it."""
        while True:
            await self._touched.wait()
            await anyio.sleep(MEMORY_INTERVAL_S)
            await self._give_back()

    async def _give_back(self) -> None:
        memory.free_cycles()  # In the loop's thread: what is freed there may belong to the loop.
        await anyio.to_thread.run_sync(memory.give_back)

    async def _count_down(self) -> None:
        """Warn before the machine ends, have all sent while there is time, and say what is safe."""
        countdown = Countdown()
        while True:
            if countdown.set(self._deadline()):
                self._touched.ring()
            now = time.time()
            if countdown.deadline is not None and countdown.due(now):
                await self._warn(countdown.deadline)
            next_at = countdown.next_at()
            with anyio.move_on_after(math.inf if next_at is None else next_at - time.time()):
                await self._touched.wait()

    async def _warn(self, deadline: Deadline) -> None:
        if 0 < deadline.at - time.time() <= WARNINGS_S[-1]:
            for live in self._lives:
                with suppress(FlushError):  # Whatever did not get there is told by the status.
                    await live.flush(min(LAST_FLUSH_S, max(0.0, deadline.at - time.time())))
        safety = together([live.safe.now() for live in self._lives])
        paths = tuple(path for live in self._lives for path in live.safe.missing())[:PATHS_SHOWN]
        left_s = round(max(0.0, deadline.at - time.time()), 1)
        told = events.DeadlineNear(left_s, deadline.why, safety.at, safety.behind, paths)
        self._report(told)

    def _deadline(self) -> Deadline | None:
        """The earliest that the machine knows of."""
        known = [live.deadline for live in self._lives if live.deadline is not None]
        return min(known, key=lambda deadline: deadline.at, default=None)

    def _sending(self) -> Sending:
        return Sending(
            self._request.name,
            by_itself=self._options.keep.mirror_key is not None,
            wait_live=self._wait_live,
            report=self._report,
        )

    def _is_live(self) -> bool:
        return all(live.state is events.State.LIVE for live in self._lives)

    async def _equip(self) -> None:
        """Beside sync, and for a project that lives in one folder there."""
        if len(self.folders) != 1 or self.folders[0][0].source:
            return
        asked_for = self._request
        binding = Binding(
            asked_for.workspace_id,
            asked_for.name,
            asked_for.project,
            asked_for.destination,
            asked_for.ssh,
            asked_for.machine_path,
        )
        asked = Asked(binding, self.folders[0][0].destination, self._options)
        await Equipment(
            asked, wait_life=self._wait_life, wait_live=self._wait_live, report=self._report
        ).run()

    async def _wait_life(self, after: int) -> int:
        """Return the number of the line's life once it is connected, later than another one."""
        while self._life <= after or not self._is_connected():
            await self._touched.wait()
        return self._life

    def _is_connected(self) -> bool:
        return self._line is not None and self._line.state.phase is Phase.CONNECTED

    async def _wait_live(self) -> None:
        while not self._is_live():
            await self._touched.wait()

    async def _follow(self, live: Live) -> None:
        try:
            await live.follow_folder()
        except OSError as error:
            where = error.filename or self._request.project
            self._fail(UserError(f"{where} cannot be read: {error.strerror}"))

    async def _prove_key(self) -> None:
        """By a ticket another key has let us in: see whether our own would, once all is there."""
        if self._request.ticket:
            while self._present_state() in _BEGINNING:
                await self._touched.wait()
            await prove_key(self._request.destination, self._note)

    def stop(self, reason: str, exit_code: ExitCode = ExitCode.OK) -> None:
        self._stop_reason, self._exit_code = reason, exit_code
        self._stop.set()

    def _fail(self, error: UserError) -> None:
        self._failure = error
        self.stop(error.message, error.exit_code)

    async def _stop_on_signal(self) -> None:
        wanted = [signal.SIGTERM] if sys.platform == "win32" else [signal.SIGTERM, signal.SIGHUP]
        with anyio.open_signal_receiver(*wanted) as signals:
            async for number in signals:
                self.stop(f"ended by {signal.Signals(number).name}")

    async def _leave_when_in_step(self) -> None:
        """`--once`: both sides hold the same, or a person must decide first."""
        while any(live.state is not events.State.LIVE for live in self._lives):
            if held := next((live.held for live in self._lives if live.held), ""):
                return self.stop(f"held: {held}", ExitCode.HELD)
            await self._touched.wait()
        for live in self._lives:
            await live.wait_in_step()
        stuck = any(live.planner.stuck for live in self._lives)
        return self.stop("in step", ExitCode.FAILED if stuck else ExitCode.OK)

    # -- The Line -----------------------------------------------------------------------------

    async def _keep_linked(self) -> None:
        """One life of the Line after the other: each ends when the agent forgot the last."""
        while True:
            began = anyio.current_time()
            try:
                await self._live_once()
            except (*_NEW_LIFE, *_FAILURES, BaseExceptionGroup) as error:
                reason = _first(error)
            finally:
                self._line = None
            if isinstance(reason, _FAILURES):
                return self._fail(self._as_user_error(reason))
            if not isinstance(reason, _NEW_LIFE):
                raise reason
            self._new_life = True
            self._report(events.Note(f"a new life of the agent begins: {reason}"))
            await anyio.sleep_until(began + LIFE_MIN_S)

    async def _live_once(self) -> NoReturn:
        self._ready.clear()
        async with open_line(self._connect, software=SOFTWARE, on_state=self._note_line) as line:
            self._line = line
            self._life += 1
            await line.wait_begun()
            await self._live_on(line)

    async def _live_on(self, line: LiveLine) -> NoReturn:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow, line, self._request.destination, self._note)
            for live in self._lives:
                lanes = Lanes(
                    sync=line.open_channel(_greeting(live, "sync"), Priority.SYNC),
                    bulk=line.open_channel(_greeting(live, "bulk"), Priority.BULK),
                )
                tasks.start_soon(live.run_life, lanes)
        raise LineLostError("the line was given up")

    def _connect(self, attended: bool) -> AbstractAsyncContextManager[ByteStream]:
        asks = attended and not self._was_connected and sys.stdin.isatty()
        return self._entrance.connect(attended=asks)

    def _note_line(self, state: LineState) -> None:
        """Tell of the Line's comings and goings."""
        if state.phase is Phase.CONNECTED:
            self._note_connected()
        elif state.phase is Phase.DISCONNECTED:
            self._note_away(str(state.error or "the connection was lost"))
            if state.error is not None and state.error.kind is ConnectKind.HOST_KEY:
                self._try_other_way()
        elif state.error is not None and not self._was_connected:
            self._fail(self._as_user_error(state.error))
        self._touched.ring()

    def _try_other_way(self) -> None:
        """Somebody else answers where the machine did; soon, for waiting would not help."""
        if put_last(self._request.destination) and self._line is not None:
            self._line.reconnect_now()

    def _as_user_error(self, error: Exception) -> UserError:
        """A machine that came by a ticket has one host key, and no other is ever right."""
        if isinstance(error, ConnectError) and error.kind is ConnectKind.HOST_KEY:
            machine = machine_named(self._request.destination)
            if machine is not None:
                put_last(machine.name)
                return host_key_changed(machine.name)
        return _as_user_error(error)

    def _note_connected(self) -> None:
        if self._away_since is not None:
            gap_s = round(anyio.current_time() - self._away_since, 3)
            self._report(events.Resumed(gap_s, self._new_life))
        self._was_connected, self._away_since, self._new_life = True, None, False

    def _note_away(self, reason: str) -> None:
        if self._away_since is None:
            self._away_since = anyio.current_time()
            self._reason = reason
            self._report(events.Disconnected(reason))

    def _compresses(self) -> bool:
        if self._options.compression is not Compression.AUTO:
            return self._options.compression is not Compression.NONE
        if self._line is None:
            return False
        rtt_s = self._line.statistics().rtt_min_s
        return rtt_s is None or rtt_s >= COMPRESS_RTT_S  # Yet to be measured: a moment, if short.

    # -- Telling ------------------------------------------------------------------------------

    def _report_of_folder(self, event: events.Event) -> None:
        """Pass on what a folder tells; the workspace is ready when all its folders are."""
        if not isinstance(event, events.Ready):
            return self._report(event)
        self._ready.append(event)
        if len(self._ready) == len(self.folders):
            ready, self._ready = events.all_ready(self._ready), []
            self._report(ready)
        return None

    def _note(self, sentence: str) -> None:
        self._report(events.Note(sentence))

    def _report(self, event: events.Event) -> None:
        self._recent.append(event)
        self._event_count += 1
        if isinstance(event, events.Revision | events.Received):
            self._last_paths = event.paths
        self._tell(event)
        self._happened.ring()
        self._touched.ring()

    async def happenings(self) -> AsyncIterator[events.Event]:
        """Yield the last few events, then each as it happens."""
        told = max(0, self._event_count - EVENTS_KEPT)
        while True:
            fresh = list(self._recent)[len(self._recent) - (self._event_count - told) :]
            told = self._event_count
            for event in fresh:
                yield event
            if told == self._event_count:
                await self._happened.wait()

    async def _tell_status(self) -> None:
        while True:
            self._tell(self.status())
            await self._touched.wait()
            await anyio.sleep(STATUS_INTERVAL_S)

    def _set_state(self, state: events.State) -> None:
        if state is not self._state:
            self._state, self._since = state, time.time()

    def status(self) -> events.Status:
        if self._state is not events.State.STOPPED:
            self._set_state(self._present_state())
        line = self._line.statistics() if self._line else None
        behind = [live.behind for live in self._lives]
        safety = together([live.safe.now() for live in self._lives])
        deadline = self._deadline()
        return events.Status(
            workspace=self._request.name,
            project=str(self._request.project),
            destination=self._request.destination,
            machine_path=self._lives[0].machine.root if self._lives[0].machine else "",
            state=self._state,
            since=self._since,
            reason=self._reason_now(),
            revision=max(live.revision for live in self._lives),
            rtt_ms=round(line.rtt_s * 1000, 3) if line and line.rtt_s is not None else None,
            behind_files=sum(files for files, _ in behind),
            behind_size=sum(size for _, size in behind),
            conflicts=len(self._lives[0].conflicts()),
            problems=sum(len(live.problems) for live in self._lives),
            watching=" ".join(filter(None, (live.watching for live in self._lives))),
            progress=self._progress(),
            last_paths=self._last_paths,
            notebook=self._lives[0].machine.notebook if self._lives[0].machine else "",
            safe_at=safety.at,
            safe_behind=safety.behind,
            safe_in_s=self._safe_in_s(safety.behind),
            being_written=safety.being_written,
            deadline=deadline.at if deadline else None,
            deadline_why=deadline.why if deadline else "",
            kept_at=self._keeping.at if self._keeping else None,
            keeping=self._keeping.says if self._keeping else "",
        )

    def _heard_at(self) -> float:
        """When the machine said what it last said, in Unix time: of all before that it has told."""
        line = self._line.statistics() if self._line else None
        if line is None or line.heard_at is None:
            return 0.0
        ago_s = anyio.current_time() - line.heard_at
        return time.time() - ago_s - (line.rtt_s or 0.0) - TELLING_S

    def _safe_in_s(self, behind: int) -> float | None:
        """How long it takes for the rest to come, at the rate of the last few seconds."""
        self._rate.add(anyio.current_time(), sum(live.safe.received for live in self._lives))
        rate = self._rate.per_second
        return round(behind / rate, 1) if behind and rate else None

    def _present_state(self) -> events.State:
        """The least advanced state of any folder; being away goes before all."""
        if self._away_since is not None:
            return events.State.DISCONNECTED
        order = list(events.State)
        held = [live.state for live in self._lives if live.state is events.State.HELD]
        return held[0] if held else min((live.state for live in self._lives), key=order.index)

    def _reason_now(self) -> str:
        if self._state is events.State.DISCONNECTED:
            return self._reason
        if self._state is events.State.STOPPED:
            return self._stop_reason
        return next((live.held for live in self._lives if live.held), "")

    def _progress(self) -> events.Progress | None:
        if self._state is not events.State.FIRST_SYNC:
            return None
        parts = [live.progress for live in self._lives]
        return events.Progress(
            files=sum(part.files for part in parts),
            files_total=sum(part.files_total for part in parts),
            size=sum(part.size for part in parts),
            size_total=sum(part.size_total for part in parts),
        )


def _greeting(live: Live, lane: str) -> bytes:
    return json.dumps({"mirror": live.folder.mirror, "lane": lane}).encode()


def _first(error: BaseException) -> BaseException:
    """Return the first of the exceptions that several tasks may have raised at once."""
    if isinstance(error, BaseExceptionGroup):
        several = cast("tuple[BaseException, ...]", error.exceptions)  # pyright: ignore[reportUnknownMemberType]
        return _first(several[0])
    return error


def _as_user_error(error: Exception) -> UserError:
    if isinstance(error, ProtocolError):
        return UserError(str(error), "", ExitCode.BAD_DATA)
    if not isinstance(error, ConnectError):
        return UserError(str(error), "", ExitCode.REFUSED)
    code = _EXIT_CODES.get(error.kind, ExitCode.UNAVAILABLE)
    return UserError(error.message, error.hint, code)
