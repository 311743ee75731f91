"""Real kernels, driven as a front end drives them: by messages, through jupyter_client.

A `Kernel` runs cells and returns what came of each. Nothing in the kernel knows that it is tested.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from lab.pythons import find_pythons

ROOT = Path(__file__).parents[2]
COLAB_LOCK = ROOT / "requirements/kernel-colab.txt"
COLAB_PYTHONS = ((3, 13), (3, 12))
READY_S = 60.0
CELL_S = 60.0


@dataclass
class Ran:
    """What came of a cell."""

    status: str = ""
    stdout: str = ""
    stderr: str = ""
    result: str = ""
    error: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def was_run(self) -> bool:
        return "cell NOT run" not in self.error

    @property
    def said(self) -> str:
        return self.stdout + self.stderr + self.error


class Kernel:
    def __init__(self, client: BlockingKernelClient, manager: KernelManager) -> None:
        self.client = client
        self.manager = manager

    def run(self, cell: str, **options: Any) -> Ran:
        """Run a cell to its end, also just after one that failed: a kernel would skip it else."""
        return self.collect(self.send(cell, **{"stop_on_error": False, **options}))

    def value(self, expression: str) -> str:
        """Run an expression; return its value's text. AssertionError if it was not run."""
        ran = self.run(expression)
        assert ran.status == "ok", ran
        return ran.result

    def send(self, cell: str, **options: Any) -> str:
        message: str = self.client.execute(cell, **options)
        return message

    def collect(self, message: str) -> Ran:
        """Wait for the end of a cell that was sent."""
        ran = Ran()
        while True:
            told = self.client.get_iopub_msg(timeout=CELL_S)
            if told["parent_header"].get("msg_id") != message:
                continue
            content = told["content"]
            match told["msg_type"]:
                case "stream" if content["name"] == "stdout":
                    ran.stdout += content["text"]
                case "stream":
                    ran.stderr += content["text"]
                case "clear_output":
                    ran.stdout = ran.stderr = ""
                case "execute_result" | "display_data":
                    ran.result += content["data"]["text/plain"]
                case "error":
                    ran.error = "\n".join(content["traceback"])
                case "status" if content["execution_state"] == "idle":
                    break
        reply = self._reply(message)
        ran.status, ran.metadata = reply["content"]["status"], reply["metadata"]
        return ran

    def _reply(self, message: str) -> dict[str, Any]:
        while True:
            reply: dict[str, Any] = self.client.get_shell_msg(timeout=CELL_S)
            if reply["parent_header"].get("msg_id") == message:
                return reply

    def has(self, *, feature: str) -> bool:
        """Whether the kernel says that it supports a feature of the protocol."""
        message = self.client.kernel_info()
        features: list[str] = self._reply(message)["content"].get("supported_features", [])
        return feature in features

    def create_subshell(self) -> str:
        request = self.client.session.msg("create_subshell_request")
        self.client.control_channel.send(request)
        subshell: str = self.client.get_control_msg(timeout=CELL_S)["content"]["subshell_id"]
        return subshell

    def run_in(self, subshell: str, cell: str) -> Ran:
        content = {
            "code": cell,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
        }
        request = self.client.session.msg("execute_request", content)
        request["header"]["subshell_id"] = subshell
        self.client.shell_channel.send(request)
        return self.collect(request["header"]["msg_id"])

    def heard(self) -> str:
        """Return what has been printed and not been collected yet; `collect` misses it then."""
        text = ""
        while self.client.iopub_channel.msg_ready():
            told = self.client.get_iopub_msg(timeout=CELL_S)
            text += told["content"].get("text", "") if told["msg_type"] == "stream" else ""
        return text

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def restart(self) -> None:
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=READY_S)


@contextmanager
def kernel_in(
    directory: Path,
    environment: Mapping[str, str],
    python: str = sys.executable,
    arguments: Sequence[str] = (),
) -> Generator[Kernel]:
    """A kernel that runs in `directory`, of an interpreter that has ipykernel."""
    config = directory / ".ipython"
    place = directory / f".k{os.urandom(3).hex()}"
    manager = KernelManager(connection_file=f"{place}.json", transport="ipc", ip=str(place))
    argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}", *arguments]
    manager.kernel_spec.argv = argv  # type: ignore[union-attr]
    known = {**environment, "IPYTHONDIR": str(config), "PYTHONWARNINGS": "default"}
    manager.start_kernel(cwd=str(directory), env={**known, "JUPYTER_RUNTIME_DIR": str(config)})
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=READY_S)
        yield Kernel(client, manager)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@dataclass(frozen=True)
class Stack:
    """An interpreter with IPython and ipykernel."""

    name: str
    python: str


def today() -> Stack:
    return Stack("today", sys.executable)


@functools.cache
def colab() -> Stack | str:
    """Colab's pair in an environment of its own, made from the lock; or why there is none."""
    known = {python.version: python.path for python in find_pythons(minimum=(3, 12))}
    path = next((known[version] for version in COLAB_PYTHONS if version in known), None)
    if path is None:
        return "no Python 3.12 or 3.13 on this machine: Colab's kernel is not to be had"
    place = ROOT / ".nox" / f"kernel-colab-{path.name}"
    with _alone(place.parent / f"{place.name}.lock"):
        trouble = _made(path, place)
    return trouble or Stack("colab", str(place / "bin/python"))


@contextmanager
def _alone(lock: Path) -> Generator[None]:
    """One process at a time: a check runs the tests of kernels and of notebooks side by side."""
    lock.parent.mkdir(exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # Until it is closed.
        yield


def _made(path: Path, place: Path) -> str:
    """Make the environment, unless it stands as the lock wants it; return why that failed."""
    stamp = place / "made-from"
    wanted = COLAB_LOCK.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        subprocess.run([path, "-m", "venv", "--clear", place], check=True)
        argv = [place / "bin/python", "-m", "pip", "install", "-q", "--require-hashes"]
        done = subprocess.run([*argv, "-r", COLAB_LOCK], capture_output=True, text=True)
        if done.returncode:
            return f"Colab's kernel could not be installed: {done.stderr.strip()[-300:]}"
        stamp.write_text(wanted)
    return ""


def stack_named(name: str) -> Stack:
    """Return the stack, or skip the test, naming what is missing."""
    found = today() if name == "today" else colab()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def versions(kernel: Kernel) -> dict[str, str]:
    said = kernel.run(
        "import json, IPython, ipykernel; print(json.dumps([IPython.__version__,"
        " ipykernel.__version__]))"
    ).stdout
    ipython, ipykernel = json.loads(said)
    return {"IPython": ipython, "ipykernel": ipykernel}
