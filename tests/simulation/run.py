"""One world from its seed to its end.

Here the simulated disk, clock and chance are put where the code asks the system itself, and limits
are made small in half of the worlds, so that a few files meet all of them.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterator, MutableSequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest import mock

import anyio
import trio
from trio._core._wakeup_socketpair import WakeupSocketpair

from tests.simulation.clock import Idle
from tests.simulation.folder import SimulatedFolder
from tests.simulation.power import UNSYNCED_S
from tests.simulation.world import SMALL_LIMITS, CountingMirror, Report, World
from towline.agent import ahead as agent_ahead
from towline.agent import mirror, roots, serve
from towline.core import delta, digest
from towline.core.wire import line as wire_line
from towline.core.wire import telling
from towline.disk import displaced, look, reading, signatures, sources, stage, versions
from towline.disk.replica import Replica
from towline.engine import ahead, ancestor, draft, plan, pull, push

_SMALL: tuple[tuple[Any, str, Any], ...] = (
    (plan, "RETRY_SIZE", 4096),
    (push, "HOT_SIZE_MAX", 4096),
    (push, "HOT_CHANGES_MAX", 6),
    (push, "BATCH_SIZE", 2048),
    (push, "BATCH_CHANGES", 3),
    (push, "LARGE_SIZE", 2048),
    (push, "PART_SIZE", 1024),
    (pull, "BATCH_SIZE", 8192),
    (pull, "BATCH_CHANGES", 3),
    (pull, "PART_SIZE", 1024),
    *((module, "PART_SIZE", 1024) for module in (mirror, draft)),
    (draft, "SENT_MAX", 4096),
    (draft, "TAIL_MAX", 2048),
    (agent_ahead, "PART_SIZE", 1024),
    (agent_ahead, "BLOCK", 256),
    *((module, "AHEAD_MAX", 30_000) for module in (agent_ahead, ahead)),
    (ahead, "PART_SIZE", 1024),
    (draft, "TAIL_STEP", 512),
    (mirror, "OBSERVED_ROWS", 4),
    (telling, "ROWS_MAX", 5),
    (stage, "MEMORY_ITEM_MAX", 512),
    (look, "PIECE", 512),
    (look, "SMALL_MAX", 1500),  # As LARGE: what is larger is read in steps.
    (displaced, "PIECE", 512),
    *((module, "BLOCK", 256) for module in (digest, delta, look, signatures, stage, versions)),
    *((module, "LARGE", 1500) for module in (look, stage)),
    *((module, "COPY_SIZE", 2048) for module in (push, mirror, draft)),
    (reading, "PIECES", 2),
    (reading, "PIECES_MARKED", 3),
    (versions, "STEP_BLOCKS", 2),
)


@contextmanager
def _patched(world: World) -> Iterator[None]:
    """Bring the simulated disk, clock and chance to where the code asks the system itself."""
    side, random = world.remote, world._branch()
    with ExitStack() as stack:

        def patch(target: Any, name: str, new: Any) -> None:
            stack.enter_context(mock.patch.object(target, name, new))

        patch(roots, "Folder", lambda path: SimulatedFolder(path, side))
        patch(
            roots,
            "Replica",
            lambda *args, **kwargs: Replica(*args, **kwargs, now_ns=side.now_ns),
        )
        patch(serve, "Mirror", lambda *rest: CountingMirror(world, *rest))
        patch(roots, "socket", SimpleNamespace(gethostname=lambda: "machine"))
        patch(mirror, "boot_id", lambda: f"boot {world.boots}")
        patch(ancestor, "UNSYNCED_S", UNSYNCED_S)
        patch(sources, "_excludes_file", lambda root: root / ".towline" / "no-such-file")
        idle = Idle(world.clock)
        patch(trio._core._run, "TheIOManager", lambda: idle)
        patch(WakeupSocketpair, "wakeup_thread_and_signal_safe", lambda _: idle.wake())
        patch(os, "urandom", random.randbytes)
        if world.limits is SMALL_LIMITS:
            for target, name, value in _SMALL:
                patch(target, name, value)
            patch(
                serve,
                "Line",
                lambda *args, **kwargs: wire_line.Line(*args, **kwargs, limits=SMALL_LIMITS),
            )
        yield


class _Order(Random):
    """The order in which trio runs tasks: most often there is but one, and nothing to draw."""

    def shuffle(self, x: MutableSequence[Any]) -> None:
        if len(x) > 1:
            super().shuffle(x)


def _take_place(seed: int) -> Path:
    """Make the directory of a world, with a name that is the same each time.

    The name travels, compressed: another one would move the byte at which a transport is cut. Only
    while the same seed runs elsewhere it has to be another.
    """
    base = Path("/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir())  # noqa: S108
    place = base / f"towline-sim-{seed:08d}"
    try:
        place.mkdir()
    except FileExistsError:
        if _is_alive(place / "pid"):
            place = Path(tempfile.mkdtemp(prefix="towline-sim-", dir=base))
        else:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
    (place / "pid").write_text(str(os.getpid()))
    return place


def _is_alive(file: Path) -> bool:
    try:
        return Path("/proc", file.read_text() or "self").exists()
    except OSError:
        return False


def simulate(seed: int) -> Report:
    """Run the world of a seed to its end."""
    report = Report(seed)
    place = _take_place(seed)
    trio._core._run._r = _Order(seed)
    trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    try:
        world = World(seed, place, report)
        with _patched(world):
            anyio.run(
                world.run,
                backend="trio",
                backend_options={"clock": world.clock},
            )
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        import traceback

        report.violations.append("".join(traceback.format_exception(error)))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if not math.isfinite(report.virtual_s):
        report.violations.append("time ran away")
    return report
