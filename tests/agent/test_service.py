"""A program with a page, kept by the agent: a real process, asked as the laptop asks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SOURCE = str(Path(__file__).parents[2] / "src")

PAGE = """\
import http.server, os, socketserver, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
class Server(socketserver.UnixStreamServer):
    def get_request(self): return super().get_request()[0], ("", 0)
print(os.environ["SECRET_FILE"], flush=True)
Server(sys.argv[1], Page).serve_forever()
"""
Ask = Callable[..., dict[str, Any]]
START = {
    "do": "start",
    "argv": [sys.executable, "-c", PAGE, "{socket}"],
    "env": {"SECRET_FILE": "{directory}/secret-token"},
    "cwd": "~",
    "files": {"config/a": "token is {secret:token}"},
    "once": {"kept": "first"},
    "secrets": ["token"],
    "want": ["kept"],
    "ready": "/",
    "timeout_s": 30,
}


@pytest.fixture
def ask(short_path: Path) -> Iterator[Ask]:
    """Ask the verb as a program of its own, in a home of its own."""
    environment = {"HOME": str(short_path), "PATH": os.environ["PATH"], "PYTHONPATH": SOURCE}

    def ask(name: str = "page", **request: Any) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "towline.agent", "service", name],
            input=json.dumps(request).encode() + b"\n",
            capture_output=True,
            env=environment,
        )
        assert done.stdout, done.stderr.decode()
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    yield ask
    ask(do="stop")


def test_it_is_started_once_reused_and_ended(ask: Ask, short_path: Path) -> None:
    first = ask(**START)
    assert first["running"], first
    token = first["secrets"]["token"]
    assert len(token) >= 32
    directory = Path(first["directory"])
    assert (directory / "config/a").read_text() == f"token is {token}"
    assert (directory / "log").read_text() == f"{directory}/secret-token\n"
    assert {path.stat().st_mode & 0o077 for path in [directory, *directory.rglob("*")]} == {0}
    process = (directory / "process").read_text()
    assert ask(**START) == first
    assert (directory / "process").read_text() == process, "it was not started again"
    (directory / "kept").write_text("changed by the person")
    ended = ask(do="stop", want=["kept"])
    assert ended["was_running"]
    assert not ended["running"]
    assert ended["files"] == {"kept": "changed by the person"}
    assert not os.path.exists(first["socket"])
    again = ask(**START)
    assert again["secrets"]["token"] == token
    assert again["files"] == {"kept": "changed by the person"}, "what is there is not replaced"


def test_one_that_does_not_start_tells_its_log(ask: Ask) -> None:
    said = ask(**{**START, "argv": [sys.executable, "-c", "print('no such port'); 1/0"]})
    assert said["error"] == "it did not start"
    assert "no such port" in said["log"]
    assert "ZeroDivisionError" in said["log"]
    assert not ask(do="status")["running"]


def test_one_that_is_deaf_to_the_end_is_killed(ask: Ask) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + PAGE
    assert ask(**{**START, "argv": [sys.executable, "-c", deaf, "{socket}"]})["running"]
    assert not ask(do="stop")["running"]


@pytest.mark.parametrize("name", ["../x", "A", "a/b", "a" * 65])
def test_names_are_names(ask: Ask, name: str) -> None:
    assert ask(name, do="status") == {"error": "not the name of a service"}


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_files_lie_in_its_own_directory(ask: Ask, name: str) -> None:
    said = ask(**{**START, "files": {name: "x"}})
    assert "not in the service's directory" in said["error"]


def test_programs_are_found_as_a_login_finds_them(ask: Ask, short_path: Path) -> None:
    for place in ("near/bin", "login", "own/bin"):
        (short_path / place).mkdir(parents=True)
    for program in ("near/bin/one", "login/one", "login/two", "own/bin/two", "own/bin/three"):
        (short_path / program).write_text("#!/bin/sh\n")
        (short_path / program).chmod(0o755)
    (short_path / ".profile").write_text(f'PATH="{short_path}/login:$PATH"\n')
    names = ["one", "two", "three", "four"]
    said = ask(do="find", programs=names, near=["~/near"], own=["~/own"], modules=["json", "no_x"])
    wanted = ["near/bin/one", "login/two", "own/bin/three"]
    assert [said["programs"][name] for name in names] == [
        *(str(short_path / path) for path in wanted),
        None,
    ]
    assert said["modules"] == {"json": True, "no_x": False}


def test_a_program_that_a_start_up_file_leaves_running_is_not_waited_for(
    ask: Ask, short_path: Path
) -> None:
    (short_path / "login").mkdir()
    (short_path / ".profile").write_text(f'PATH="{short_path}/login:$PATH"\nsleep 30 &\n')
    began = time.monotonic()
    assert f"{short_path}/login" in ask(do="find")["path"]
    assert time.monotonic() - began < 9
