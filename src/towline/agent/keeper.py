"""Snapshots that the machine makes by itself, for the time that the laptop is away.

By the machine's own restic, into the repository that the laptop made. Password and keys are in this
process's memory and in restic's environment, nowhere else. It adds only: old snapshots are
forgotten from the laptop. What goes wrong once it goes on by itself, nobody hears: it tries again.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

from towline.agent.courier import CALL_MAX, HOST, CourierError, open_way, read_call
from towline.agent.detached import alone, end, tell
from towline.core.ignore import Rules
from towline.disk.extent import exclude_lines
from towline.disk.sources import read_sources
from towline.disk.watch import Watch, open_watch

NAME = "keep"
LOOK_S = 5.0  # For a folder that is not there, or cannot be watched now.
PARTLY_READ = 3  # restic's exit code for a snapshot without some files.
ELSEWHERE = (
    "RESTIC_REPOSITORY_FILE", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND", "RESTIC_HOST",
)  # fmt: skip
"""What the machine's own variables may say of a repository of its own: not of this one."""
USUAL_PLACES = "/usr/local/bin:/usr/bin:~/.local/bin"


@dataclass(frozen=True)
class Call:
    """What the laptop asks for. `way` is a call of `courier` where the repository is on a server
    reached by ssh, else None. `environment` holds the password."""

    root: str
    arguments: tuple[str, ...]  # Of `restic backup`.
    environment: Mapping[str, str]
    interval_s: float
    ignore: tuple[str, ...]
    way: Mapping[str, Any] | None = None


def main(workspace: str) -> int:
    """Make snapshots as the line on standard input asks, until ended."""
    try:
        return _keep(_read(sys.stdin.buffer.readline()), workspace)
    except CourierError as error:
        tell(error=str(error))
        return 1


def stop(workspace: str) -> int:
    return end(workspace, NAME)


def _read(line: bytes) -> Call:
    try:
        plain: dict[str, Any] = json.loads(line[:CALL_MAX])
        for name in ("arguments", "ignore"):
            plain[name] = tuple(cast("list[str]", plain[name]))
        return Call(**plain)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CourierError(f"the call is not understood: {error}") from None


def _keep(call: Call, workspace: str) -> int:
    restic = _restic()
    with alone(workspace, NAME) as life, ExitStack() as stack:
        if life is None:
            return 0
        life.detach()
        options, environment = stack.enter_context(_way(call, workspace))
        argv = [restic, "backup", ".", *options, *call.arguments]
        kept = {key: value for key, value in environment.items() if key not in ELSEWHERE}
        keeper = Keeper(call, argv, {**kept, **call.environment})
        keeper.snapshot()  # What is wrong shows now, while somebody listens.
        life.settle()
        keeper.run()
    return 0


def _restic() -> str:
    path = os.pathsep.join((os.environ.get("PATH", ""), os.path.expanduser(USUAL_PLACES)))
    found = shutil.which("restic", path=path)
    if found is None:
        raise CourierError("there is no restic on the machine: apt install restic, there")
    return found


@contextmanager
def _way(call: Call, workspace: str) -> Generator[tuple[list[str], dict[str, str]], None, None]:
    """Yield how restic gets to the repository: options and environment."""
    if call.way is None:
        yield [], dict(os.environ)
        return
    way = read_call(json.dumps(call.way).encode())
    with open_way(way, workspace, "repository") as (config, environment):
        yield ["-o", f"sftp.command=ssh -F '{config}' {HOST} -s sftp"], environment


class Keeper:
    """Watches, and makes a snapshot after each interval in which something changed."""

    def __init__(self, call: Call, argv: list[str], environment: dict[str, str]) -> None:
        self._call = call
        self._argv = argv
        self._environment = environment
        self._root = Path(os.path.expanduser(call.root))
        self._changed = False
        self._made = 0.0

    def run(self) -> NoReturn:
        while True:
            with suppress(OSError, CourierError):
                self._follow()
            time.sleep(LOOK_S)

    def _follow(self) -> None:
        """Watch the folder for as long as it is the same one."""
        rules = self._rules()
        with closing(open_watch(self._root, lambda path: rules.ignores(path, True))) as watch:
            watch.start()
            self._changed = True  # What happened before the watch began, nobody saw.
            while self._wait(watch):
                if self._changed and time.monotonic() >= self._made + self._call.interval_s:
                    try:
                        self.snapshot()
                    except CourierError:
                        self._changed = True  # Again after the next interval.

    def _wait(self, watch: Watch) -> bool:
        """Wait for something to do; return whether the folder is still there."""
        now = time.monotonic()
        deadlines = [at for at in (watch.deadline(),) if at is not None]
        if self._changed:
            deadlines.append(self._made + self._call.interval_s)
        wait_s = max(0.0, min(deadlines) - now) if deadlines else None
        select.select([watch.fileno()], [], [], wait_s)
        seen = watch.read()
        if seen.rescan:
            watch.rewatch()
        self._changed = self._changed or seen.rescan or bool(seen.paths | seen.writing)
        return not seen.root_gone

    def snapshot(self) -> None:
        """Make one. Raises CourierError."""
        self._made = time.monotonic()
        self._changed = False
        try:
            done = self._backup()
        except OSError as error:  # A full disk, no more processes, no folder.
            raise CourierError(f"restic: {error.strerror or error}") from None
        if done.returncode not in (0, PARTLY_READ):
            reason = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise CourierError(f"restic: {reason[-1] if reason else done.returncode}")

    def _backup(self) -> subprocess.CompletedProcess[bytes]:
        with tempfile.NamedTemporaryFile("w", suffix=".exclude", encoding="utf-8") as file:
            file.write("\n".join(exclude_lines(self._root, self._rules())) + "\n")
            file.flush()
            return subprocess.run(
                ["nice", "-n", "10", *self._argv, "--exclude-file", file.name],
                cwd=self._root,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=False,
            )

    def _rules(self) -> Rules:
        try:
            return Rules(read_sources(self._root, self._call.ignore))
        except ValueError as error:  # There are too many.
            raise CourierError(str(error)) from None
