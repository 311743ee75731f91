"""An engine without sync, behind the real control socket: it does what its destination is called.

`live` gets live and stays; `once` gets live and leaves; `held` waits for the person; `away` cannot
be reached; `crash` is a bug; `slow` never gets live.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

import anyio

from towline.control_listener import serve_control
from towline.engine.events import (
    ConflictKept,
    Event,
    LeftOut,
    ProblemFound,
    Progress,
    Ready,
    Revision,
    State,
    Status,
    Stopped,
    as_json,
)
from towline.engine_lock import only_engine
from towline.errors import ExitCode, UserError
from towline.places import places_of
from towline.request import LinkRequest

READY = Ready(
    revision=1,
    files=12,
    size=3_400_000,
    seconds=1.25,
    new_machine=True,
    machine_path="~/demo",
    left_out=(LeftOut("data/big.bin", 1_200_000_000, "is larger than 100 MB"),),
)
CONFLICT = ConflictKept("a.py", "a.conflict-machine.py", "machine")
PROBLEM = ProblemFound("s.sock", "is neither a file, a directory nor a link", "laptop")
EXPLAINED = {
    "a.py": {"synced": True, "reason": "no rule is against it"},
    "b.log": {"synced": False, "reason": "ignored", "source": ".gitignore", "line": 3,
              "pattern": "*.log"},
}  # fmt: skip


async def run_link(
    request: LinkRequest,
    _options: object,
    _entrance: object,
    report: Callable[[Event | Status], None],
) -> int:
    host = request.destination
    if host == "crash":
        raise RuntimeError("a bug")
    if host == "away":
        raise UserError("away cannot be reached", hint="is it on?", exit_code=ExitCode.UNAVAILABLE)
    engine = Engine(request, report)
    places = places_of(request.workspace_id)
    with only_engine(places):
        async with anyio.create_task_group() as tasks:
            await tasks.start(serve_control, places.socket, engine.dispatch)
            engine.begin()
            if not request.once:
                await engine.stopping.wait()
            tasks.cancel_scope.cancel()
    report(Stopped("asked to"))
    return 0


class Engine:
    def __init__(self, request: LinkRequest, report: Callable[[Event | Status], None]) -> None:
        self.request = request
        self.report = report
        self.stopping = anyio.Event()
        self.dispatch = {
            "status": self.status,
            "flush": self.flush,
            "stop": self.stop,
            "conflicts": self.conflicts,
            "problems": self.problems,
            "explain": self.explain,
            "accept": self.accept,
            "refuse": self.refuse,
            "fail": self.fail,
            "long": self.long,
        }

    def begin(self) -> None:
        self.report(self.at(State.CONNECTING))
        self.report(self.at(State.FIRST_SYNC, Progress(3, 12, 1_000_000, 3_400_000)))
        if self.request.destination == "slow":
            return
        if self.request.destination == "held":
            self.report(self.at(State.HELD))
            return
        self.report(READY)
        self.report(self.at(State.LIVE))
        self.report(Revision(2, 1, 48.0, ("a.py",)))

    def at(self, state: State, progress: Progress | None = None) -> Status:
        return Status(
            workspace=self.request.name,
            project=str(self.request.project),
            destination=self.request.destination,
            machine_path="~/demo",
            state=state,
            since=1000.0,
            revision=2,
            rtt_ms=41.0,
            conflicts=1,
            progress=progress,
        )

    async def status(self, request: dict) -> dict:
        return as_json(self.at(State.LIVE))

    async def flush(self, request: dict) -> dict:
        if request["timeout_s"] == 0:
            return {"error": "disconnected", "since": 1000.0}
        return {"revision": 2, "ms": 41.5}

    async def stop(self, request: dict) -> dict:
        self.stopping.set()
        return {}

    async def conflicts(self, request: dict) -> AsyncIterator[dict]:
        yield {"path": CONFLICT.path, "copy": CONFLICT.copy, "side": CONFLICT.side}

    async def problems(self, request: dict) -> AsyncIterator[dict]:
        yield {"path": PROBLEM.path, "reason": PROBLEM.reason, "side": PROBLEM.side}

    async def explain(self, request: dict) -> dict:
        return {"path": request["path"], **EXPLAINED[request["path"]]}

    async def accept(self, request: dict) -> dict:
        return {}

    async def refuse(self, request: dict) -> dict:
        return {"error": "nothing is held"}

    async def fail(self, request: dict) -> dict:
        raise ZeroDivisionError(f"at {time.monotonic():.0f}")

    async def long(self, request: dict) -> dict:
        return {"text": "x" * (1 << 17)}
