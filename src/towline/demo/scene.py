"""Where the demo plays: a laptop's folders and a machine, in one folder; and how to look at both.

What is opened here is closed in the reverse order, whatever happens.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import anyio

from towline.agent.ask import NoAgentError, ask_on, connect_to
from towline.demo.engine import WAIT_S, Engine, UnexpectedError, open_engine
from towline.demo.sample import make_sample
from towline.machine.embedded import Machine, embedded_machine

LOOK_S = 0.0005  # Between two looks at a file: what is measured is not much finer than this.
AGENT_S = 2.0  # For an agent to answer that it stops.
NAME = "machine"

PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", "PYTHONPATH")


class Scene:
    """Opened bit by bit by the steps; closed as a whole by the stack's owner."""

    engine: Engine
    machine: Machine
    agent_pid: int

    def __init__(self, directory: Path, stack: AsyncExitStack) -> None:
        self.directory = directory
        self.project = directory / "sample"
        self._stack = stack

    @property
    def there(self) -> Path:
        """The project's folder on the machine."""
        return self.machine.home / self.project.name

    # -- Opening ------------------------------------------------------------------------------

    async def open_machine(self) -> None:
        directory = self.directory / NAME
        directory.mkdir()
        self._stack.callback(end_agents, directory / "home")
        self.machine = await self._stack.enter_async_context(
            embedded_machine(directory, name=NAME, environment=_passed_on())
        )

    async def open_engine(self) -> None:
        make_sample(self.project)
        places = {
            "HOME": self.directory / "home",
            "XDG_STATE_HOME": self.directory / "state",
            "XDG_CONFIG_HOME": self.directory / "config",
            "XDG_CACHE_HOME": self.directory / "cache",
            "XDG_RUNTIME_DIR": self.directory / "run",
            "TMPDIR": self.directory / "tmp",
        }
        for place in places.values():
            place.mkdir(mode=0o700)
        environment = {**_passed_on(), **{name: str(place) for name, place in places.items()}}
        arguments = ("-F", str(self.machine.ssh_config), NAME)
        self.engine = await self._stack.enter_async_context(
            open_engine(arguments, environment, self.project)
        )

    async def close(self) -> None:
        """Let go of everything but the folder."""
        await self._stack.aclose()

    # -- On the machine -----------------------------------------------------------------------

    def ssh(self, command: str) -> list[str]:
        """Return what runs a command of the shell there, as a person would."""
        return ["ssh", "-F", str(self.machine.ssh_config), NAME, command]

    async def run_there(self, command: str) -> str:
        """Return what the command prints. Raises if it fails."""
        done = await anyio.run_process(
            self.ssh(command), stdin=subprocess.DEVNULL, check=False, env=_passed_on()
        )
        if done.returncode:
            raise UnexpectedError(f"{command!r} to work there", done.stderr.decode().strip())
        return done.stdout.decode().strip()

    async def ask_agent(self, verb: str) -> str:
        """Return the agent's answer to one of its commands, given on the machine."""
        records = self.directory / "state/towline/workspaces"
        workspace = next(records.glob("*.json")).stem
        return await self.run_there(f"python3 -I -S .cache/towline/agent-*.pyz {verb} {workspace}")


# Looking


async def wait_until(
    holds: Callable[[], bool], expected: str, seen: Callable[[], object], look_s: float = LOOK_S
) -> None:
    """Look again and again until it holds. Raises `UnexpectedError` if it does not in time."""
    ends_at = time.perf_counter() + WAIT_S
    while not holds():
        if time.perf_counter() >= ends_at:
            raise UnexpectedError(f"{expected} within {WAIT_S:g} s", str(seen()))
        await anyio.sleep(look_s)


async def wait_text(path: Path, text: str) -> None:
    """Return once a file holds exactly this."""
    await wait_until(
        lambda: read_text(path) == text,
        f"{path.name} to hold {text!r}",
        lambda: repr(read_text(path)),
    )


def read_text(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


# Processes


def is_gone(process: int) -> bool:
    """Whether a process has ended; one that only waits for its parent to notice has."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    try:
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return False


def end_agents(home: Path) -> None:
    """End what was started on the machine and detached itself, as agents do."""
    for socket_file in (home / ".cache/towline/run").glob("*.sock"):
        with suppress(NoAgentError, OSError), connect_to(str(socket_file), AGENT_S) as agent:
            ask_on(agent, {"verb": "stop"}, AGENT_S)
            while agent.recv(4096):
                pass
    while left := list(processes_of(home)):  # One that was just about to start has no socket yet.
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def processes_of(home: Path) -> Iterator[int]:
    """Yield what has `home` as its HOME, where the system tells."""
    mark = f"HOME={home}".encode()
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (directory / "environ").read_bytes().split(b"\0"):
                yield int(directory.name)


def _passed_on() -> dict[str, str]:
    """Return what of the person's environment both sides may see.

    Its programs, with the Python that runs this before all others: it is new enough, for one.
    """
    programs = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {"PATH": os.pathsep.join(programs), **passed_on}
