"""A home per test, the real command line in this process and in its own, a small real engine."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from towline.cli.main import main
from towline.places import Binding, Workspaces

HERE = Path(__file__).parent


@dataclass
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _own_home(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `link` begins while it loads an engine comes to nothing: these ones connect nowhere."""
    monkeypatch.setenv("TOWLINE_SSH", str(homes / "no-ssh"))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder, which is the current directory."""
    folder = tmp_path / "demo"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def engine_module(monkeypatch: pytest.MonkeyPatch):
    """The engine of `engine.py`, in the place of `towline.workspace`."""
    spec = importlib.util.spec_from_file_location("towline.workspace", HERE / "engine.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "towline.workspace", module)
    return module


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run `towline …` in this process, to its exit code."""

    def run(*arguments: str) -> Ended:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capfd.readouterr()
        return Ended(ended.value.code, out, err)

    return run


@pytest.fixture
def environment() -> dict[str, str]:
    """For real processes: this home, and the engine of `engine.py`."""
    return {**os.environ, "PYTHONPATH": str(HERE / "sitedir")}


def _interruptible() -> None:
    """What is started in the background of a script ignores SIGINT, and passes that on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(environment: dict[str, str], project: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start `python -m towline …`; what still runs at the end is killed."""
    started: list[subprocess.Popen] = []

    def start(*arguments: str, **options) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-m", "towline", *arguments],
            env=environment,
            cwd=project,
            text=True,
            stdin=subprocess.DEVNULL,
            preexec_fn=_interruptible,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            **options,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def finish(start: Callable[..., subprocess.Popen]) -> Callable[..., Ended]:
    """Run `python -m towline …` to its end."""

    def finish(*arguments: str) -> Ended:
        process = start(*arguments)
        out, err = process.communicate(timeout=60)
        return Ended(process.returncode, out, err)

    return finish


@pytest.fixture
def linked(project: Path, engine_module) -> Iterator[Binding]:
    """The project, linked to `live` by an engine in this process."""
    from towline.cli.link import request_for
    from towline.control import is_running

    binding = Workspaces().ensure(project, "live")
    told: list[object] = []
    with start_blocking_portal() as portal:
        given = (request_for(binding), None, None, told.append)
        engine = portal.start_task_soon(engine_module.run_link, *given)
        while not (is_running(binding) or engine.done()):
            pass
        yield binding
        portal.start_task_soon(_stop, binding).result()
        engine.result(timeout=10)


async def _stop(binding: Binding) -> None:
    import anyio.to_thread

    from towline.cli.stop import ensure_stopped

    await anyio.to_thread.run_sync(ensure_stopped, binding)
