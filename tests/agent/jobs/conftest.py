"""A home in which jobs run for real; what still runs at the end is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from towline.agent.jobs.shelf import Job, Shelf

WORKSPACE = "0123456789abcdef"
MAIN = "import sys; sys.path.insert(0, sys.argv.pop(1)); from towline.agent.__main__ import main;"
SOURCE = Path(__file__).parents[3] / "src"


class Jobs:
    """Verbs as the laptop runs them: each a process of its own."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "proj"
        self.folder.mkdir()
        self.environment = {"HOME": str(home), "PATH": os.environ["PATH"], "SHELL": "/bin/sh"}

    def run(
        self, *words: str, given: bytes = b"", cwd: str = "/"
    ) -> subprocess.CompletedProcess[bytes]:
        argv = [sys.executable, "-I", "-S", "-c", f"{MAIN} sys.exit(main(sys.argv[1:]))"]
        return subprocess.run(
            [*argv, str(SOURCE), "job", *words],
            input=given,
            capture_output=True,
            env=self.environment,
            cwd=cwd,
            timeout=60,
        )

    def start(self, *argv: str, key: str = "key", **more: Any) -> Job:
        asked = {"key": key, "argv": argv, "cwd": str(self.folder), **more}
        done = self.run("start", WORKSPACE, given=json.dumps(asked).encode())
        assert done.returncode == 0, done.stderr
        return Job(json.loads(done.stdout)["directory"])

    def sh(self, line: str, **more: Any) -> Job:
        """Start what a shell reads."""
        return self.start(line, **{"shell": True, **more})

    def wait(self, job: Job) -> dict[str, Any]:
        done = self.run("wait", WORKSPACE, str(job.number))
        end: dict[str, Any] = json.loads(done.stderr)["end"]
        return end

    def log(self, job: Job) -> bytes:
        return Path(job.file("log")).read_bytes()


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    yield Jobs(tmp_path)
    for job in Shelf(WORKSPACE).jobs():
        if (running := job.running) and job.is_supervised():
            with suppress(ProcessLookupError):
                os.kill(running.supervisor, signal.SIGKILL)
