"""An agent with the echo service, as a process of its own in the foreground."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from towline.agent.place import Place, ensure_place

SERVE = """
import sys
sys.path.insert(0, sys.argv[1])
from echo import EchoService
from towline.agent.daemon import serve
from towline.agent.place import ensure_place
serve(ensure_place("project"), EchoService, bundle="b1", ready=lambda: print("ready", flush=True))
"""


@dataclass
class Agent:
    place: Place
    process: subprocess.Popen[str]

    def wait_ended(self) -> int:
        return self.process.wait(10)


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home folder whose path is short enough for sockets."""
    home = Path(tempfile.mkdtemp(prefix="towline-"))
    monkeypatch.setenv("HOME", str(home))
    yield home
    shutil.rmtree(home)


@pytest.fixture
def agent(home: Path) -> Iterator[Agent]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOME": str(home)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield Agent(ensure_place("project"), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
