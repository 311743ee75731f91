"""A program with a page, kept running here for the laptop: found, started, asked after, ended.

It outlives the agent, ssh and the laptop. What program that is, and what it is told, the laptop
decides: here is only how it is kept. It listens on a unix socket in a directory that only its owner
can enter; its secrets are made here, and lie in files.

`service NAME` reads one line of JSON with the key `do`, and answers with one line:

    find {programs, modules, near, own}   {programs: {NAME: PATH}, python, modules, path, home}
    start {argv, env, cwd, files, once, secrets, ready, timeout_s, want}
                                          as `status`, or {error, log}
    status {want}                         {running, socket, directory, secrets, files}
    stop {want}                           as `status`, with {was_running}

In argv, env and files `{directory}`, `{socket}` and `{secret:NAME}` stand for what they are.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from tempfile import NamedTemporaryFile
from typing import Any

from towline.agent.place import ensure_place

Json = dict[str, Any]

NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
BASE = "~/.local/share/towline/services"
LOG_TAIL = 4000  # Bytes of its log that are told when it does not start.
LOOK_S = 0.02  # Between two looks at another program: nothing tells that it listens, or is gone.
STOP_S = 10.0  # To end by itself; JupyterLab ends its kernels first.
SHELL_S = 10.0  # For the person's own start-up files.
FILE_MAX = 1 << 20  # Bytes of a file that the laptop keeps.


def main(name: str) -> int:
    """Carry out the request on standard input; print the answer, return the exit status."""
    if not NAME.fullmatch(name):
        answer: Json = {"error": "not the name of a service"}
    else:
        try:
            answer = _answer(name, json.loads(sys.stdin.readline()))
        except (OSError, ValueError, KeyError, TypeError) as error:
            answer = {"error": str(error) or type(error).__name__}
    print(json.dumps(answer))  # noqa: T201
    return 1 if "error" in answer else 0


def _answer(name: str, request: Json) -> Json:
    if request["do"] == "find":
        return find(request)
    service = Service(name)
    with service.locked():
        match request["do"]:
            case "start":
                return service.start(request)
            case "stop":
                return service.stop(request)
            case _:
                return service.status(request)


# Finding


def find(request: Json) -> Json:
    """Say where programs are for the person's own shells, and what their Python can import.

    `near` are environments that go before, `own` after all others.
    """
    near = [_bin(folder) for folder in request.get("near", ())]
    own = [_bin(folder) for folder in request.get("own", ())]
    path = os.pathsep.join([*near, _shell_path(), os.environ.get("PATH", os.defpath), *own])
    python = shutil.which("python3", path=path) or shutil.which("python", path=path)
    modules = list(request.get("modules", ()))
    return {
        "programs": {name: shutil.which(name, path=path) for name in request.get("programs", ())},
        "python": python,
        "modules": _importable(python, modules) if python else dict.fromkeys(modules, False),
        "path": path,
        "home": os.path.expanduser("~"),
    }


def _bin(folder: str) -> str:
    return os.path.join(os.path.expanduser(folder), "bin")


def _shell_path() -> str:
    """Return PATH as an interactive login has it: conda and its like are set there."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    try:
        # By a file: a pipe ends only with all that the start-up files leave running.
        with NamedTemporaryFile() as told:
            subprocess.run(
                [shell, "-lic", f"printf %s \"$PATH\" >>'{told.name}'"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=SHELL_S,
                start_new_session=True,
            )
            return told.read().decode(errors="surrogateescape")
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _importable(python: str, modules: list[str]) -> dict[str, bool]:
    source = (
        "import importlib.util, json, sys\n"
        "print(json.dumps([importlib.util.find_spec(name) is not None for name in sys.argv[1:]]))"
    )
    with suppress(OSError, ValueError):
        done = subprocess.run(
            [python, "-c", source, *modules], stdin=subprocess.DEVNULL, capture_output=True
        )
        return dict(zip(modules, json.loads(done.stdout), strict=True))
    return dict.fromkeys(modules, False)


# Keeping


class Service:
    """One program, by its name: its directory, its socket, and what is known of its process."""

    def __init__(self, name: str) -> None:
        self.directory = os.path.join(os.path.expanduser(BASE), name)
        place = ensure_place(f"service {name}")
        self.socket = f"{place.directory}/{place.name}.http"
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        os.chmod(self.directory, 0o700)

    @contextmanager
    def locked(self) -> Generator[None]:
        """One at a time: two laptops, or two terminals, would start two."""
        with open(self._at("lock"), "a", opener=_private) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def start(self, request: Json) -> Json:
        if not self._process().is_running:
            made = {name: self._secret(name) for name in request.get("secrets", ())}
            self._write_files(request.get("once", {}), made, again=False)
            self._write_files(request.get("files", {}), made, again=True)
            process = self._spawn(request, made)
            if not self._wait_ready(process, request["ready"], request["timeout_s"]):
                process.end()
                return {"error": "it did not start", "log": self._log_tail()}
        return self.status(request)

    def status(self, request: Json) -> Json:
        names = [name for name in sorted(os.listdir(self.directory)) if name.startswith("secret-")]
        return {
            "running": self._process().is_running,
            "socket": self.socket,
            "directory": self.directory,
            "secrets": {name.partition("-")[2]: _read(self._at(name)) for name in names},
            "files": {name: _read(self._at(name)) for name in request.get("want", ())},
        }

    def stop(self, request: Json) -> Json:
        process = self._process()
        was_running = process.is_running
        process.end()
        with suppress(FileNotFoundError):
            os.unlink(self.socket)
        return {**self.status(request), "was_running": was_running}

    # -- Its files ----------------------------------------------------------------------------

    def _at(self, name: str) -> str:
        """Return the path of a file of ours. Raises ValueError if it lies elsewhere."""
        path = os.path.normpath(os.path.join(self.directory, name))
        if not path.startswith(self.directory + os.sep):
            raise ValueError(f"{name}: not in the service's directory")
        return path

    def _secret(self, name: str) -> str:
        """Return a secret, made the first time: a page that is open stays valid."""
        path = self._at(f"secret-{name}")
        if not os.path.exists(path):
            _write(path, secrets.token_urlsafe(24))
        return _read(path) or ""

    def _write_files(self, files: Mapping[str, str], made: Mapping[str, str], again: bool) -> None:
        for name, text in files.items():
            path = self._at(name)
            if again or not os.path.exists(path):
                os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
                _write(path, self._filled(text, made))

    def _filled(self, text: str, made: Mapping[str, str]) -> str:
        known = {"{directory}": self.directory, "{socket}": self.socket}
        known |= {f"{{secret:{name}}}": secret for name, secret in made.items()}
        for placeholder, value in known.items():
            text = text.replace(placeholder, value)
        return text

    def _log_tail(self) -> str:
        with open(self._at("log"), "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_TAIL))
            return log.read().decode(errors="replace")

    # -- Its process --------------------------------------------------------------------------

    def _process(self) -> _Process:
        known = _read(self._at("process"))
        return _Process(*json.loads(known)) if known else _Process(0, "")

    def _spawn(self, request: Json, made: Mapping[str, str]) -> _Process:
        with suppress(FileNotFoundError):
            os.unlink(self.socket)
        given = {name: self._filled(text, made) for name, text in request["env"].items()}
        with open(self._at("log"), "wb", opener=_private) as log:
            started = subprocess.Popen(
                [self._filled(word, {}) for word in request["argv"]],  # Never a secret in argv.
                cwd=os.path.expanduser(request["cwd"]),
                env={**os.environ, **given},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=0o077,
            )
        process = _Process(started.pid, _birth(started.pid))
        _write(self._at("process"), json.dumps([process.pid, process.birth]))
        return process

    def _wait_ready(self, process: _Process, page: str, timeout_s: float) -> bool:
        ends_at = time.monotonic() + timeout_s
        while not _answers(self.socket, page):
            if not process.is_running or time.monotonic() > ends_at:
                return False
            time.sleep(LOOK_S)
        return True


class _Process:
    """A process, known by its number and its birth: a number is given again one day."""

    def __init__(self, pid: int, birth: str) -> None:
        self.pid = pid
        self.birth = birth

    @property
    def is_running(self) -> bool:
        return bool(self.birth) and _birth(self.pid) == self.birth

    def end(self) -> None:
        """End it and its group: asked first, then not asked."""
        ends_at = time.monotonic() + STOP_S
        with suppress(ProcessLookupError, PermissionError):
            if self.is_running:
                os.kill(self.pid, signal.SIGTERM)
                while self.is_running and time.monotonic() < ends_at:
                    time.sleep(LOOK_S)
                os.killpg(self.pid, signal.SIGKILL)
            while self.is_running:
                time.sleep(LOOK_S)


def _birth(pid: int) -> str:
    """Return what tells a process from a later one of its number; empty if it is gone."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # If it is our own child it must not look alive.
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except OSError:
        if os.path.exists("/proc/self/stat"):
            return ""
    asked = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True)
    state, _, birth = asked.stdout.decode(errors="replace").strip().partition(" ")
    return "" if state.startswith("Z") else birth.strip()


def _answers(path: str, page: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5.0)
        try:
            connection.connect(path)
            connection.sendall(f"GET {page} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            return connection.recv(8).startswith(b"HTTP/1.")
        except OSError:
            return False


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write(path: str, text: str) -> None:
    beside = f"{path}.{os.getpid()}"
    with open(beside, "w", encoding="utf-8", opener=_private) as file:
        file.write(text)
    os.replace(beside, path)


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(FILE_MAX)
    except (FileNotFoundError, NotADirectoryError):
        return None
