"""An engine in a process of its own: started, followed until it is live, then left alone.

The request travels in a private file, whole; the process list shows nothing of it. Whatever goes
wrong before the engine is live is told here, by the command that started it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from towline.cli.output import say
from towline.control import ask, error_from_json, is_running
from towline.engine.events import State
from towline.errors import ExitCode, UserError
from towline.logfile import open_log
from towline.places import Workspaces, places_of, write_private
from towline.request import LinkRequest
from towline.ui.display import Display
from towline.ui.from_json import event_from_json, status_from_json

# -P: a project's own json.py must not be what towline imports.
THIS_PROGRAM = (sys.executable, "-P", "-m", "towline")
ARRIVED = {State.LIVE, State.HELD}  # There is nothing more to wait for; it goes on alone.
STOP_TIMEOUT_S = 10.0  # For an engine told to stop while it starts; then it is killed.


def run_in_background(request: LinkRequest, display: Display) -> int:
    """Start the engine, return once it is live. Raises UserError with what it failed at."""
    binding = Workspaces().by_id(request.workspace_id)
    if is_running(binding):
        say(f"{request.name}: linked already, by process {ask(binding, 'who')['pid']}")
        return ExitCode.OK
    engine = start_engine(request)
    with display:
        wait_live(engine, display)
    say(f"{request.name}: goes on in the background (process {engine.pid}); `towline stop` ends it")
    return ExitCode.OK


def start_engine(request: LinkRequest) -> subprocess.Popen[str]:
    """Start the engine detached: it outlives this command, its terminal and its login."""
    places = places_of(request.workspace_id)
    request_file = places.socket.with_suffix(".request")
    write_private(request_file, json.dumps(request.to_json()))
    log = open_log(places.log)
    try:
        return subprocess.Popen(  # This very program.
            [*THIS_PROGRAM, "link", "--json", "--request", str(request_file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=request.project,
            text=True,
            start_new_session=True,
            creationflags=_creation_flags(),
        )
    except OSError as error:
        request_file.unlink(missing_ok=True)
        raise UserError(
            f"no engine can be started in {request.project}: {error.strerror}",
            exit_code=ExitCode.CONFIG,
        ) from None
    finally:
        os.close(log)


def read_request(path: Path) -> LinkRequest:
    """Take the request from its file, which is gone then. Raises UserError."""
    try:
        request = LinkRequest.from_json(json.loads(path.read_text("utf-8")))
        path.unlink()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} holds no request: {error}", exit_code=ExitCode.USAGE) from error
    return request


def wait_live(engine: subprocess.Popen[str], display: Display) -> None:
    """Show what the engine tells until it is live or waits for the person.

    Ctrl-C stops the engine, too. Raises UserError if it ends before.
    """
    try:
        for plain in _told(engine):
            if plain.get("event") == "error":
                engine.wait()
                raise error_from_json(plain)
            if _show(plain, display) in ARRIVED:
                return
    except KeyboardInterrupt:
        _stop(engine)
        say("stopped; nothing runs in the background")
        raise
    code = engine.wait()
    if code:
        raise UserError(
            f"the engine ended before it was live (exit code {code})",
            hint="`towline log` shows what happened",
        )


def _told(engine: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert engine.stdout is not None
    with engine.stdout:
        for line in engine.stdout:
            yield json.loads(line)


def _show(plain: dict[str, Any], display: Display) -> State | None:
    """Show an event or a status; return the state if it is one."""
    if "status" in plain:
        status = status_from_json(plain["status"])
        if status is not None:
            display(status)
            return status.state
    event = event_from_json(plain)
    if event is not None:
        display(event)
    return None


def _stop(engine: subprocess.Popen[str]) -> None:
    engine.terminate()
    try:
        engine.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        engine.kill()
        engine.wait()


def _creation_flags() -> int:
    if sys.platform != "win32":
        return 0
    return subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
