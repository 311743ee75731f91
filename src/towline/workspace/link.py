"""The way to the machine: one Line after the other, for as long as the engine runs.

Each has its life, which ends when the agent forgot it; the folders begin again in the next. How a
machine is reached is the Line's affair, what is synced the folders'. Nothing is shown here.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NoReturn, cast

import anyio
from anyio.abc import ByteStream

from towline import __version__
from towline.core.wire.frames import Priority, ProtocolError
from towline.engine import events
from towline.engine.bell import Bell
from towline.engine.live import FolderRefusedError, Live
from towline.engine.remote import Lanes
from towline.enrolment import host_key_changed
from towline.entrance import Entrance
from towline.errors import ExitCode, UserError
from towline.following import follow, put_last
from towline.line.errors import ChannelClosedError, ConnectError, ConnectKind, LineLostError
from towline.line.live import LineState, LiveLine, Phase, open_line
from towline.machines import machine_named
from towline.workspace.happenings import Happenings

SOFTWARE = f"towline {__version__}"
LIFE_MIN_S = 1.0  # A machine on which each life ends at once must not keep us busy.
TELLING_S = 0.5  # By then the machine has told of what was closed there: milliseconds, if not busy.

_NEW_LIFE = (LineLostError, ChannelClosedError)  # The agent is another one now: begin again.
_FAILURES = (ConnectError, FolderRefusedError, ProtocolError)  # Nothing that waiting would mend.
_EXIT_CODES = {
    ConnectKind.AUTH: ExitCode.REFUSED,
    ConnectKind.HOST_KEY: ExitCode.REFUSED,
}


class Link:
    """`fail` is called with what waiting would not mend; `touched` rings when the Line changes."""

    def __init__(
        self,
        destination: str,
        entrance: Entrance,
        happenings: Happenings,
        touched: Bell,
        fail: Callable[[UserError], None],
    ) -> None:
        self.line: LiveLine | None = None
        self.life = 0  # How many of the Line's began.
        self.away_since: float | None = None  # By the loop's clock.
        self.reason = ""  # Why the machine is, or was last, away.
        self._destination = destination
        self._entrance = entrance
        self._happenings = happenings
        self._touched = touched
        self._fail = fail
        self._was_connected = False
        self._is_new_life = False
        self._lives: Sequence[Live] = ()

    @property
    def rtt_s(self) -> float | None:
        return self.line.statistics().rtt_s if self.line else None

    @property
    def rtt_min_s(self) -> float | None:
        return self.line.rtt_min_s if self.line else None

    def heard_at(self) -> float:
        """When the machine said what it last said, in Unix time: of all before that it has told."""
        line = self.line.statistics() if self.line else None
        if line is None or line.heard_at is None:
            return 0.0
        ago_s = anyio.current_time() - line.heard_at
        return time.time() - ago_s - (line.rtt_s or 0.0) - TELLING_S

    async def wait_life(self, after: int) -> int:
        """Return the number of the line's life once it is connected, later than another one."""
        while self.life <= after or not self._is_connected():
            await self._touched.wait()
        return self.life

    async def run(self, lives: Sequence[Live]) -> None:
        """Keep the folders linked, life after life, until that fails for good."""
        self._lives = lives
        while True:
            began = anyio.current_time()
            try:
                await self._live_once(lives)
            except (*_NEW_LIFE, *_FAILURES, BaseExceptionGroup) as error:
                reason = _first(error)
            finally:
                self.line = None
            if isinstance(reason, _FAILURES):
                return self._fail(self._as_user_error(reason))
            if not isinstance(reason, _NEW_LIFE):
                raise reason
            self._is_new_life = True
            self._happenings.note(f"a new life of the agent begins: {reason}")
            await anyio.sleep_until(began + LIFE_MIN_S)

    async def _live_once(self, lives: Sequence[Live]) -> NoReturn:
        async with open_line(self._connect, software=SOFTWARE, on_state=self._note_line) as line:
            self.line = line
            self.life += 1
            await line.wait_begun()
            await self._live_on(line, lives)

    async def _live_on(self, line: LiveLine, lives: Sequence[Live]) -> NoReturn:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow, line, self._destination, self._happenings.note)
            for live in lives:
                lanes = Lanes(
                    sync=line.open_channel(_greeting(live, "sync"), Priority.SYNC),
                    bulk=line.open_channel(_greeting(live, "bulk"), Priority.BULK),
                )
                tasks.start_soon(live.run_life, lanes)
        raise LineLostError("the line was given up")

    def _connect(self, attended: bool) -> AbstractAsyncContextManager[ByteStream]:
        asks = attended and not self._was_connected and sys.stdin.isatty()
        return self._entrance.connect(attended=asks)

    def _is_connected(self) -> bool:
        return self.line is not None and self.line.state.phase is Phase.CONNECTED

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
        for live in self._lives:
            live.line_changed(connected=self._is_connected())
        self._touched.ring()

    def _note_connected(self) -> None:
        if self.away_since is not None:
            gap_s = round(anyio.current_time() - self.away_since, 3)
            self._happenings.report(events.Resumed(gap_s, self._is_new_life))
        self._was_connected, self.away_since, self._is_new_life = True, None, False

    def _note_away(self, reason: str) -> None:
        if self.away_since is None:
            self.away_since = anyio.current_time()
            self.reason = reason
            self._happenings.report(events.Disconnected(reason))

    def _try_other_way(self) -> None:
        """Somebody else answers where the machine did; soon, for waiting would not help."""
        if put_last(self._destination) and self.line is not None:
            self.line.reconnect_now()

    def _as_user_error(self, error: Exception) -> UserError:
        """A machine that came by a ticket has one host key, and no other is ever right."""
        if isinstance(error, ConnectError) and error.kind is ConnectKind.HOST_KEY:
            machine = machine_named(self._destination)
            if machine is not None:
                put_last(machine.name)
                return host_key_changed(machine.name)
        return _as_user_error(error)


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
