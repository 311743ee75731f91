"""The whole loop on one computer: a machine made for it, the real commands, the real `ssh`.

It plays step after step and tells what each one took; showing that is the caller's. Nothing of
the person's is used or touched: keys, ssh configuration, state and both homes lie in one folder
that is gone at the end.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio

from towline.errors import ExitCode, UserError

# Below it lie sockets, whose addresses are short: see `towline.places` and `towline.agent.place`.
PARENT_SIZE_MAX = 24  # Bytes.
PREFIX = "towline-demo-"


@dataclass(frozen=True, slots=True)
class Step:
    """One step, played. `ms` is what it measured; where it failed `detail` says at what."""

    number: int
    name: str
    title: str
    ms: float
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class End:
    ok: bool
    steps: int
    seconds: float


Tell = Callable[[Step | End], None]


async def run_demo(tell: Tell) -> int:
    """Play all steps; return the exit code. Ends at the first that fails. Raises `UserError`."""
    _check_possible()
    interrupted = False

    async def cancel_on_signal(scope: anyio.CancelScope) -> None:
        nonlocal interrupted
        wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        with anyio.open_signal_receiver(*wanted) as signals:
            async for _ in signals:
                interrupted = True
                scope.cancel()

    code = ExitCode.FAILED
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancel_on_signal, tasks.cancel_scope)
        code = await _play_all(tell)
        tasks.cancel_scope.cancel()
    return ExitCode.INTERRUPTED if interrupted else code


async def _play_all(tell: Tell) -> ExitCode:
    from towline.demo.engine import UnexpectedError
    from towline.demo.scene import Scene
    from towline.demo.steps import STEPS

    began = time.perf_counter()
    played = 0
    ok = True
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_parent()))
    try:
        async with AsyncExitStack() as stack:
            scene = Scene(directory, stack)
            for played, (name, title, play) in enumerate(STEPS, 1):
                step_began = time.perf_counter()
                try:
                    ms, detail = await play(scene)
                except UnexpectedError as error:
                    ok, ms, detail = False, (time.perf_counter() - step_began) * 1000, str(error)
                tell(Step(played, name, title, round(ms, 2), ok, detail))
                if not ok:
                    break
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    tell(End(ok, played, round(time.perf_counter() - began, 2)))
    return ExitCode.OK if ok else ExitCode.FAILED


def _check_possible() -> None:
    """Raises `UserError` where there can be no demo."""
    if sys.platform == "win32":
        raise UserError("the demo's machine does not run on Windows", "", ExitCode.UNAVAILABLE)
    if shutil.which("ssh") is None:
        raise UserError(
            "there is no ssh program here",
            hint="install OpenSSH's client; towline uses it for every connection",
            exit_code=ExitCode.UNAVAILABLE,
        )


def _parent() -> str:
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) <= PARENT_SIZE_MAX else "/tmp"  # noqa: S108 - mkdtemp.
