"""Running restic: one call from its start to its end, whatever becomes of us meanwhile.

It runs apart from the terminal, and in the background at a low priority. What is cancelled is asked
to end, so that it takes its lock with it. What its words mean is `report`'s.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, Process

from towline.errors import ExitCode, UserError
from towline.snapshots.report import Version, version_of

PROGRAM = "restic"
OLDEST = (0, 14)  # The first with compression and the size of packs as options.
STDERR_MAX = 64 << 10  # Bytes kept, the last ones.
LINE_MAX = 1 << 20  # Bytes. A line holds some paths; what is longer is none of restic's.
END_S = 10.0  # For restic to remove its lock, which is one request to the server.

_GENTLE = (("nice", "-n", "10"), ("ionice", "-c", "3"))
OnLine = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    stderr: str


def program() -> str:
    """Return the restic of this computer. Raises UserError if there is none."""
    found = shutil.which(os.environ.get("TOWLINE_RESTIC") or PROGRAM)
    if found is None:
        raise UserError(
            "snapshots need restic, and it is not installed",
            "apt install restic, brew install restic, or scoop install restic",
            ExitCode.UNAVAILABLE,
        )
    return found


async def version(restic: str) -> Version:
    """Return its version. Raises UserError if it is too old, or no restic."""
    lines: list[str] = []
    await run([restic, "version"], os.environ, on_line=lines.append)
    found = version_of("\n".join(lines))
    if found is None:
        raise UserError(f"{restic} is not restic: it has no version", exit_code=ExitCode.CONFIG)
    if not found.is_at_least(*OLDEST):
        number = ".".join(map(str, found.number))
        raise UserError(
            f"{restic} is version {number}; snapshots need {OLDEST[0]}.{OLDEST[1]}",
            "a newer one is a single file: https://restic.net",
            ExitCode.CONFIG,
        )
    return found


async def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    on_line: OnLine = lambda _: None,
    on_error: OnLine = lambda _: None,
    cwd: Path | None = None,
    gentle: bool = False,
) -> Done:
    """Run a command to its end; `on_line` gets each line of its standard output, `on_error` of
    its standard error, of which the end is returned, too.

    Cancelled, it asks the command to end, and waits for that.
    """
    process = await _start([*_prefix(gentle), *argv], environment, cwd)
    stderr = bytearray()
    failure: Exception | None = None
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_collect, process.stderr, stderr, on_error)
            try:
                await _lines(process.stdout, on_line)
            except Exception as error:  # Of `on_line`: as it is, and not as a group.
                failure = error
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        await process.wait()
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
    assert process.returncode is not None
    return Done(process.returncode, stderr.decode("utf-8", "replace"))


async def _start(argv: Sequence[str], environment: Mapping[str, str], cwd: Path | None) -> Process:
    """Start it whole or not at all: half started, it would be nobody's to end."""
    with anyio.CancelScope(shield=True):
        return await anyio.open_process(
            argv, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, start_new_session=True
        )
    raise AssertionError("unreachable")


def _prefix(gentle: bool) -> list[str]:
    if not gentle or sys.platform == "win32":
        return []
    return [word for words in _GENTLE if shutil.which(words[0]) for word in words]


async def _lines(stream: ByteReceiveStream | None, on_line: OnLine) -> None:
    assert stream is not None
    rest = bytearray()
    async for part in stream:
        rest += part
        *whole, last = rest.split(b"\n")
        for line in whole:
            on_line(line.decode("utf-8", "surrogateescape"))
        rest = bytearray(last[-LINE_MAX:])
    if rest:
        on_line(rest.decode("utf-8", "surrogateescape"))


async def _collect(stream: ByteReceiveStream | None, into: bytearray, on_line: OnLine) -> None:
    def take(line: str) -> None:
        into.extend(line.encode("utf-8", "surrogateescape") + b"\n")
        del into[:-STDERR_MAX]
        on_line(line)

    await _lines(stream, take)


async def _end(process: Process) -> None:
    """End what still runs: gently, for a lock that is left makes others wait."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGINT)
        with anyio.move_on_after(END_S):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
    await process.aclose()
