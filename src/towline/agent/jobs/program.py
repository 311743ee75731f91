"""The command of a job, as a process: its environment, its shell, its terminal if it has one.

Its output is one pipe (or terminal) for both kinds, so that their order is kept.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pwd
import shlex
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress

from towline.agent.jobs.record import Request
from towline.agent.place import ensure_place

INPUT_MAX = 1 << 20  # Bytes typed and not read yet; beyond it they drop, as in a terminal.
PIPE_SIZE = 1 << 20  # Bytes between the command and its log: it waits less often.
SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "fish")  # They know `-l -c`.

_PR_SET_PDEATHSIG = 1


class Program:
    """A process in a group of its own. `output` is -1 once it is closed."""

    def __init__(self, pid: int, output: int, *, is_terminal: bool) -> None:
        self.pid = pid
        self.output = output
        self._is_terminal = is_terminal
        self._incoming = bytearray()
        os.set_blocking(output, False)

    @property
    def has_to_write(self) -> bool:
        return bool(self._incoming)

    def put(self, data: bytes) -> None:
        if self._is_terminal and len(self._incoming) + len(data) <= INPUT_MAX:
            self._incoming += data

    def write(self) -> None:
        if self._incoming and self.output >= 0:
            with suppress(OSError):
                del self._incoming[: os.write(self.output, self._incoming)]

    def resize(self, rows: int, columns: int) -> None:
        if self._is_terminal and self.output >= 0:
            set_size(self.output, rows, columns)

    def close_output(self) -> None:
        os.close(self.output)
        self.output = -1
        self._incoming.clear()


def start(request: Request, workspace: str, number: int, cwd: str) -> Program:
    """Raises OSError if there is no such program or folder, or no place of ours."""
    argv = command(request)
    environment = _environment(request, workspace, number, cwd)
    if request.tty:
        ours, theirs = os.openpty()
        set_size(ours, *request.tty)
    else:
        ours, theirs = os.pipe()
        _widen(ours)
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=environment,
            stdin=theirs if request.tty else subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal if request.tty else _as_usual,  # One thread: nothing is held.
        )
    except (OSError, subprocess.SubprocessError) as error:
        os.close(ours)
        raise error if isinstance(error, OSError) else OSError(str(error)) from None
    finally:
        os.close(theirs)
    process.returncode = 0  # We wait for all our children ourselves.
    return Program(process.pid, ours, is_terminal=request.tty is not None)


def command(request: Request) -> Sequence[str]:
    """Return what is run for a request: the words, or a shell that reads or runs them."""
    shell = request.env.get("SHELL") or os.environ.get("SHELL", "")
    # In a container one may have a number only.
    with suppress(KeyError):
        shell = shell or pwd.getpwuid(os.getuid()).pw_shell
    if os.path.basename(shell) not in SHELLS or not os.access(shell, os.X_OK):
        shell = "/bin/sh"
    line = request.argv[0] if request.shell else f"exec {shlex.join(request.argv)}"
    if request.login:
        return [shell, "-l", "-c", line]
    return [shell, "-c", line] if request.shell else request.argv


def set_size(terminal: int, rows: int, columns: int) -> None:
    with suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def own_variables(request: Request, number: int, deadline: str) -> dict[str, str]:
    """Return what towline itself tells a job. `deadline`: the file that says when it all ends."""
    return {
        "TOWLINE_JOB": str(number),
        "TOWLINE_JOB_NAME": request.name,
        "TOWLINE_REVISION": str(request.revision),
        "TOWLINE_DEADLINE_FILE": deadline,
    }


def _environment(request: Request, workspace: str, number: int, cwd: str) -> Mapping[str, str]:
    environment = {
        **os.environ,
        **own_variables(request, number, ensure_place(workspace).deadline),
        "PWD": cwd,
        "PYTHONUNBUFFERED": "1",  # Into a pipe Python would write in blocks, minutes late.
    }
    if request.tty:
        environment["TERM"] = "xterm-256color"
    if request.hold:  # Also before what is installed in place, which would be the live code.
        sources = [cwd, f"{cwd}/src", environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, sources))
    return {**environment, **request.env}


def _as_usual() -> None:
    """Undo what the agent's life asked for; end with the supervisor, should that be killed."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _take_terminal() -> None:
    _as_usual()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _widen(pipe: int) -> None:
    if sys.platform == "linux":
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
