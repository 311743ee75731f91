"""All forwards of an engine, and the operations on them that commands ask for.

    forward {target, listen}   opens one, or returns the one there is: as `forwards`, and {taken}:
                               why it is not at the target's own port, if so
    socks {listen}             the same for a SOCKS server
    reverse {listen, target}   the same for one that listens on the machine and leads here
    forwards                   one reply each: {direction, listen, target, open, failure}
    unforward {which}          closes those with this listener or target, all for null; one reply
                               for each of them

`target` and `listen` are a port, {host, port} or {path}; `listen` may be null. They end with the
engine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import anyio
from anyio.abc import TaskStatus

from towline.control import Json
from towline.engine.bell import Bell
from towline.engine.events import ForwardFailed
from towline.errors import ExitCode, UserError
from towline.forwards.forward import Forward, OpenLine
from towline.forwards.local import Local
from towline.forwards.place import Place, place_from_json
from towline.forwards.reverse import Reverse
from towline.forwards.socks import Socks

FORWARDS_MAX = 64  # Each holds a port of this computer; a person has a handful.

Operation = Callable[[Json], Awaitable[Json] | AsyncIterator[Json]]


class Forwards:
    """`wait_stirred` returns at the next change that may have brought another Line."""

    def __init__(
        self,
        line: OpenLine,
        tell: Callable[[ForwardFailed], None],
        wait_stirred: Callable[[], Awaitable[None]],
    ) -> None:
        self._line = line
        self._wait_stirred = wait_stirred
        self._tell = tell
        self._open: dict[Forward, anyio.CancelScope] = {}
        self._closed = Bell()
        self._tasks = anyio.create_task_group()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Keep them open until cancelled."""
        async with self._tasks:
            task_status.started()
            await anyio.sleep_forever()

    async def end(self) -> None:
        """Close all, while there still is a Line by which the machine learns of it."""
        for scope in self._open.values():
            scope.cancel()
        while self._open:
            await self._closed.wait()

    def operations(self) -> Mapping[str, Operation]:
        return {
            "forward": self._forward,
            "socks": self._socks,
            "reverse": self._reverse,
            "forwards": self._forwards,
            "unforward": self._unforward,
        }

    async def _forward(self, request: Json) -> Json:
        target = place_from_json(request.get("target"))
        if not (target.port or target.path):
            raise UserError("the target is no port", exit_code=ExitCode.USAGE)
        return await self._keep(Local(target, self._line, self._tell), request)

    async def _socks(self, request: Json) -> Json:
        return await self._keep(Socks(self._line, self._tell), request)

    async def _reverse(self, request: Json) -> Json:
        if request.get("listen") is None:
            raise UserError("no port of the machine is named", exit_code=ExitCode.USAGE)
        target = place_from_json(request.get("target"))
        if not (target.port or target.path):
            raise UserError("the target is no port", exit_code=ExitCode.USAGE)
        forward = Reverse(target, self._line, self._tell, self._wait_stirred)
        return await self._keep(forward, request)

    async def _forwards(self, request: Json) -> AsyncIterator[Json]:
        for forward in list(self._open):
            yield forward.as_json()

    async def _unforward(self, request: Json) -> AsyncIterator[Json]:
        which = request.get("which")
        wanted = [forward for forward in self._open if which in (None, *forward.names)]
        if which is not None and not wanted:
            raise UserError(f"no forward {which}", "`towline forward --list` shows those there are")
        for forward in wanted:
            self._open[forward].cancel()
            yield forward.as_json()

    async def _keep(self, forward: Forward, request: Json) -> Json:
        listen = request.get("listen")
        wished = None if listen is None else place_from_json(listen)
        kept = self._same(forward, wished) or await self._begin(forward, wished)
        return {**kept.as_json(), "taken": kept.taken}

    def _same(self, forward: Forward, wished: Place | None) -> Forward | None:
        """A second wish for the same is no second forward."""
        wants_any = wished is None or not (wished.port or wished.path)
        for kept in self._open:
            is_alike = (kept.direction, kept.target) == (forward.direction, forward.target)
            if is_alike and (wants_any or kept.listen == wished):
                return kept
        return None

    async def _begin(self, forward: Forward, wished: Place | None) -> Forward:
        if len(self._open) >= FORWARDS_MAX:
            raise UserError(
                f"{FORWARDS_MAX} forwards are open already", exit_code=ExitCode.TRY_AGAIN
            )
        await forward.begin(wished)
        self._open[forward] = anyio.CancelScope()
        self._tasks.start_soon(self._serve, forward)
        return forward

    async def _serve(self, forward: Forward) -> None:
        try:
            with self._open[forward]:
                await forward.serve()
        finally:
            del self._open[forward]
            self._closed.ring()
