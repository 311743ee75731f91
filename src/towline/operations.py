"""What the commands ask of a running engine, operation by operation.

The protocol is in `control`; the engine itself is a `Workspace`. Each operation answers with plain
values and raises `UserError` where the person asked for what cannot be.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Protocol

import anyio

from towline.config import Pair
from towline.core.path import is_below
from towline.engine import events
from towline.engine.barrier import FlushError
from towline.engine.live import Live
from towline.errors import ExitCode, UserError

FLUSH_MAX_S = 3600.0

Json = dict[str, Any]
Operation = Callable[[Json], Awaitable[Json] | AsyncIterator[Json]]


class Engine(Protocol):
    """What operations need of the engine."""

    @property
    def folders(self) -> Sequence[tuple[Pair, Live]]: ...

    def status(self) -> events.Status: ...

    def stop(self, reason: str) -> None: ...


def operations(engine: Engine) -> dict[str, Operation]:
    asked = _Operations(engine)
    return {
        "status": asked.status,
        "flush": asked.flush,
        "stop": asked.stop,
        "conflicts": asked.conflicts,
        "problems": asked.problems,
        "explain": asked.explain,
        "accept": asked.accept,
        "refuse": asked.refuse,
    }


class _Operations:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def status(self, request: Json) -> Json:
        return events.as_json(self._engine.status())

    async def stop(self, request: Json) -> Json:
        self._engine.stop("asked to")  # Who asked is answered nevertheless: that is shielded.
        return {}

    async def flush(self, request: Json) -> Json:
        timeout_s = request.get("timeout_s")
        if not isinstance(timeout_s, int | float) or not 0 <= timeout_s <= FLUSH_MAX_S:
            raise UserError(
                f"timeout_s must be from 0 to {FLUSH_MAX_S:g}", exit_code=ExitCode.USAGE
            )
        began = anyio.current_time()
        revisions: list[int] = []
        failures: list[str] = []

        async def flush(live: Live) -> None:
            try:
                revisions.append(await live.flush(timeout_s))
            except FlushError as error:
                failures.append(str(error))

        async with anyio.create_task_group() as tasks:
            for live in self._lives():
                tasks.start_soon(flush, live)
        if failures:
            status = self._engine.status()
            return {"error": _why_not_flushed(failures[0], status), "since": status.since}
        return {"revision": max(revisions), "ms": round((anyio.current_time() - began) * 1000, 2)}

    async def conflicts(self, request: Json) -> AsyncIterator[Json]:
        for live in self._lives()[:1]:
            for kept in live.conflicts():
                yield {"path": kept.path, "copy": kept.copy, "side": kept.side, "at": kept.at}

    async def problems(self, request: Json) -> AsyncIterator[Json]:
        for live in self._lives():
            for (side, path), problem in sorted(live.problems.items()):
                yield {"path": path, "reason": problem.reason, "side": side}

    async def explain(self, request: Json) -> Json:
        path = request.get("path")
        if not isinstance(path, str):
            raise UserError("explain needs a path", exit_code=ExitCode.USAGE)
        for pair, live in self._engine.folders:
            source = pair.source.strip("/").removeprefix("./")
            if not source or is_below(path, source):
                return {**_explain(live, path[len(source) :].lstrip("/")), "path": path}
        return {"path": path, "synced": False, "reason": "in none of the folders that are synced"}

    async def accept(self, request: Json) -> Json:
        for live in self._held():
            live.accept()
        return {}

    async def refuse(self, request: Json) -> Json:
        for live in self._held():
            live.refuse()
        return {}

    def _lives(self) -> list[Live]:
        return [live for _, live in self._engine.folders]

    def _held(self) -> list[Live]:
        held = [live for live in self._lives() if live.held]
        if not held:
            raise UserError("nothing is held")
        return held


def _why_not_flushed(failure: str, status: events.Status) -> str:
    if status.state is not events.State.DISCONNECTED:
        return failure
    return f"the machine is not connected ({status.reason})"


def _explain(live: Live, path: str) -> Json:
    """Say whether `path`, relative to its folder, is synced, and why."""
    for side in ("laptop", "machine"):
        if problem := live.problems.get((side, path)):
            return {"synced": False, "reason": f"{problem.reason}, on the {side}"}
    verdict = live.verdict_on(path)
    if verdict is not None and verdict.ignored:
        rule = verdict.rule
        found = {"source": rule.origin, "line": rule.line, "pattern": rule.text} if rule else {}
        return {"synced": False, "reason": "ignored", **found}
    direction = live.folder.direction_of(path).value
    there = "" if live.trees.local.get(path) else "; there is nothing at this path"
    return {"synced": True, "reason": f"direction {direction}{there}"}
