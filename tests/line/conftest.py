"""A machine without ssh: the login shell of this computer, with a home folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from anyio.abc import ByteStream

from towline.line.bootstrap import Bootstrap
from towline.line.bundle import Bundle, agent_sources, pack
from towline.line.live import LiveLine, open_line
from towline.line.ssh import open_agent

ECHO = Path(__file__).parents[1] / "agent/echo.py"


def echo_bundle(more: str = "") -> Bundle:
    """Return a bundle whose service is the echo; with `more` it is another version."""
    serve = ECHO.read_bytes() + more.encode()
    return pack({**agent_sources(), "towline/agent/serve.py": serve})


class Shell:
    """Stands for a machine: what runs in it has `home` as its home folder."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
        self.before = ""  # What its login files do before the command runs.
        self.program = "/bin/sh"
        self.unasked = False  # Whether the bundle follows the command without being asked for.

    @property
    def cache(self) -> Path:
        return self.home / ".cache/towline"

    @asynccontextmanager
    async def connect(
        self, bootstrap: Bootstrap, attended: bool = False
    ) -> AsyncIterator[ByteStream]:
        words = [f"{name}={value}" for name, value in self.environment.items()]
        command = [self.program, "-c", self.before + bootstrap.command(unasked=self.unasked)]
        arguments = ["/usr/bin/env", "-i", *words, *command]
        async with open_agent(arguments, bootstrap, attended=attended) as stream:
            yield stream

    @asynccontextmanager
    async def link(self, bootstrap: Bootstrap) -> AsyncIterator[LiveLine]:
        def connect(attended: bool) -> object:
            return self.connect(bootstrap, attended)

        async with open_line(connect, software="test 1") as live:  # type: ignore[arg-type]
            yield live

    def processes(self) -> list[int]:
        ours = f"HOME={self.home}".encode()
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with suppress(OSError):
                if ours in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found.append(int(name))
        return found


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def shell() -> Iterator[Shell]:
    # Not pytest's own directory, whose paths are too long for a socket.
    home = Path(tempfile.mkdtemp(prefix="towline-"))
    shell = Shell(home)
    yield shell
    while processes := shell.processes():
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return echo_bundle()


@pytest.fixture
def bootstrap(bundle: Bundle) -> Bootstrap:
    return Bootstrap(bundle, "project")
