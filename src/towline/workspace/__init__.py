"""A project bound to a machine: the only place where the parts meet.

`run_link` is the engine process. It keeps one Line to the machine alive for as long as it runs,
one `Live` for each folder on it, and answers commands on the control socket. What is synced to
where is the engine's to decide, how the machine is reached the Line's; here they are only joined.
"""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from towline.channels import Channels
from towline.config import Compression, Options, Pair
from towline.control_listener import serve_control
from towline.engine import events, memory
from towline.engine.ancestor import Store
from towline.engine.bell import Bell
from towline.engine.history import History
from towline.engine.live import Live
from towline.engine_lock import only_engine
from towline.entrance import Entrance
from towline.environment.machine import Asked
from towline.equip import Equipment
from towline.errors import ExitCode, UserError
from towline.folders import open_folder, pairs_of
from towline.forwards.keep import Forwards
from towline.keep import Keep
from towline.keeping import Keeping
from towline.operations import operations
from towline.places import Binding, places_of
from towline.proof import prove_key
from towline.request import LinkRequest
from towline.sending import Sending
from towline.workspace.ending import Ending
from towline.workspace.happenings import Happenings, Report
from towline.workspace.link import Link
from towline.workspace.standing import Standing
from towline.workspace.upkeep import Upkeep, open_history

STATUS_INTERVAL_S = 0.1  # The shortest time between two reports of the status.
COMPRESS_RTT_S = 0.004  # A shorter way is a network faster than the compressor.


async def run_link(
    request: LinkRequest, options: Options, entrance: Entrance, report: Report
) -> int:
    """Keep the project live until told to stop; return the exit code. Raises `UserError`."""
    places = places_of(request.workspace_id)
    with ExitStack() as stack:
        stack.enter_context(only_engine(places))  # Until all that follows is closed.
        store = Store(places.state, tell=lambda text: report(events.Note(text)))
        stack.callback(store.close)
        workspace = Workspace(request, options, entrance, store, report, stack)
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
        self._tell = report
        self._stop = anyio.Event()
        self._stop_reason = ""
        self._exit_code = ExitCode.OK
        self._failure: UserError | None = None
        self._ready: dict[int, list[events.Ready]] = {}  # Of the folders that are, by life.
        self._touched = Bell()  # Something is different now.
        self._happenings = Happenings(report, self._touched)
        self._report, self._note = self._happenings.report, self._happenings.note
        self._link = Link(
            request.destination, entrance, self._happenings, self._touched, self._fail
        )
        sources = [request.project / pair.source for pair in pairs_of(request, options)]
        history = open_history(places_of(request.workspace_id).history, sources, stack)
        self.folders = self._open_folders(store, history, stack)
        self._lives = [live for _, live in self.folders]
        self._ending = Ending(self._lives, self._report, self._touched)
        self._keeping = self._open_keeping()
        self._standing = Standing(
            request, self._lives, self._link, self._ending, self._happenings, self._keeping
        )
        self._upkeep = Upkeep(
            self._lives, history, is_live=self._standing.is_live, touched=self._touched
        )
        self._forwards = Forwards(lambda: self._link.line, self._report, self._touched.wait)

    # -- What it is made of -------------------------------------------------------------------

    def _open_folders(
        self, store: Store, history: History | None, stack: ExitStack
    ) -> list[tuple[Pair, Live]]:
        return [
            (
                pair,
                open_folder(
                    number,
                    pair,
                    self._request,
                    self._options,
                    store,
                    stack,
                    history=history,
                    compress=self._compresses,
                    report=self._report_of_folder,
                    touched=self._touched.ring,
                    heard_at=self._link.heard_at,
                ),
            )
            for number, pair in enumerate(pairs_of(self._request, self._options))
        ]

    def _open_keeping(self) -> Keeping | None:
        """Snapshots, where a place for them is configured; not for a single sync."""
        if self._options.keep.to is None or self._request.once:
            return None
        return Keeping(
            Keep(self._request.project, self._options),
            self._options.keep.interval,
            changes=lambda: sum(live.changes_here for live in self._lives),
            is_quiet=lambda: not self._standing.is_beginning(),
            report=self._report,
        )

    def _sending(self) -> Sending:
        return Sending(
            self._request.name,
            by_itself=self._options.keep.mirror_key is not None,
            wait_live=self._wait_live,
            report=self._report,
        )

    def _compresses(self) -> bool:
        if self._options.compression is not Compression.AUTO:
            return self._options.compression is not Compression.NONE
        rtt_s = self._link.rtt_min_s
        return rtt_s is None or rtt_s >= COMPRESS_RTT_S  # Yet to be measured: a moment, if short.

    # -- The engine process -------------------------------------------------------------------

    async def run(self, control: Path) -> int:
        memory.keep_blocks()
        async with anyio.create_task_group() as tasks:
            streams = {"channel": Channels(lambda: self._link.line)}
            await tasks.start(self._forwards.run)
            asked = {**operations(self), **self._forwards.operations()}
            await tasks.start(serve_control, control, asked, streams)
            self._start(tasks)
            await self._stop.wait()
            await self._forwards.end()
            tasks.cancel_scope.cancel()
        for live in self._lives:
            live.trees.remember_agreed()
        self._standing.stop(self._stop_reason)
        self._report(events.Stopped(self._stop_reason))
        self._tell(self.status())
        if self._failure is not None:
            raise self._failure
        return self._exit_code

    def _start(self, tasks: TaskGroup) -> None:
        """Start all that goes on until the end."""
        tasks.start_soon(self._stop_on_signal)
        tasks.start_soon(self._tell_status)
        for live in self._lives:
            tasks.start_soon(self._follow, live)
        tasks.start_soon(self._link.run, self._lives)
        tasks.start_soon(self._upkeep.run)
        tasks.start_soon(self._ending.run)
        if self._request.once:
            tasks.start_soon(self._leave_when_in_step)
        else:
            tasks.start_soon(self._equip)
            tasks.start_soon(self._prove_key)
        if self._keeping is not None:
            tasks.start_soon(self._keeping.run)
        if self._options.keep.mirror is not None and not self._request.once:
            tasks.start_soon(self._sending().run)

    async def _follow(self, live: Live) -> None:
        try:
            await live.follow_folder()
        except OSError as error:
            where = error.filename or self._request.project
            self._fail(UserError(f"{where} cannot be read: {error.strerror}"))
        except UserError as error:
            self._fail(error)

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
            asked, wait_life=self._link.wait_life, wait_live=self._wait_live, report=self._report
        ).run()

    async def _prove_key(self) -> None:
        """By a ticket another key has let us in: see whether our own would, once all is there."""
        if self._request.ticket:
            while self._standing.is_beginning():
                await self._touched.wait()
            await prove_key(self._request.destination, self._note)

    async def _wait_live(self) -> None:
        while not self._standing.is_live():
            await self._touched.wait()

    # -- Its end ------------------------------------------------------------------------------

    def stop(self, reason: str, exit_code: ExitCode = ExitCode.OK) -> None:
        self._stop_reason, self._exit_code = reason, exit_code
        self._stop.set()

    def _fail(self, error: UserError) -> None:
        self._failure = error
        self.stop(error.message, error.exit_code)

    async def _stop_on_signal(self) -> None:
        wanted = [signal.SIGTERM]
        if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            wanted.append(signal.SIGHUP)  # `nohup` has it ignored, and means it.
        with anyio.open_signal_receiver(*wanted) as signals:
            async for number in signals:
                self.stop(f"ended by {signal.Signals(number).name}")

    async def _leave_when_in_step(self) -> None:
        """`--once`: both sides hold the same, or a person must decide first."""
        while not self._standing.is_live():
            if held := next((live.held for live in self._lives if live.held), ""):
                return self.stop(f"held: {held}", ExitCode.HELD)
            await self._touched.wait()
        for live in self._lives:
            await live.wait_in_step()
        stuck = any(live.planner.stuck for live in self._lives)
        return self.stop("in step", ExitCode.FAILED if stuck else ExitCode.OK)

    # -- Telling ------------------------------------------------------------------------------

    def status(self) -> events.Status:
        return self._standing.now()

    async def _tell_status(self) -> None:
        while True:
            self._tell(self.status())
            await self._touched.wait()
            await anyio.sleep(STATUS_INTERVAL_S)

    def _report_of_folder(self, event: events.Event) -> None:
        """Pass on what a folder tells; the workspace is ready when all its folders are."""
        if not isinstance(event, events.Ready):
            return self._report(event)
        ready = self._ready.setdefault(self._link.life, [])
        ready.append(event)
        if len(ready) == len(self.folders):
            self._report(events.all_ready(ready))
        return None
