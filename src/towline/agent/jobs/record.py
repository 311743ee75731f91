"""What is known of a job, as values: what was asked for, who runs it, how it ended.

Each is one file of the job's directory, written beside its place and renamed: it is whole, or not
there. Nothing here looks at processes.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar, cast

REQUEST, RUNNING, ENDED = "job.json", "running.json", "ended.json"
LOG, ORDERS, LOCK, HELD, MANIFEST = "log", "orders", "lock", "code", "code.json"
# Bytes. An environment is some ten thousand; anything larger is no request.
REQUEST_MAX = 1 << 20
# A request with where and when it was taken, should all its characters be escaped.
RECORD_MAX = 8 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """What the laptop asked for, and where and when it was taken."""

    key: str  # Made by the laptop: asked twice with one key, a job begins once.
    argv: tuple[str, ...]
    cwd: str
    name: str = ""
    shell: bool = False  # The one word of `argv` is for a shell to read.
    login: bool = False  # In a login shell, for its environment.
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    tty: tuple[int, int] | None = None  # Rows and columns of a terminal to run in.
    hold: bool = False
    pulled: tuple[tuple[str, str], ...] = ()  # (pattern, direction): what the machine decides.
    on_deadline: str = ""  # Name of a signal, "none", or "": SIGUSR1 to whoever catches it.
    revision: int = 0
    created: float = 0.0  # Unix time.
    host: str = ""
    boot: str = ""  # The id of the boot it was taken in.


@dataclass(frozen=True, slots=True)
class Running:
    supervisor: int  # Process ids.
    pid: int
    started: float
    cwd: str  # Where it really runs: of a held job, in the copy.


@dataclass(frozen=True, slots=True)
class Ended:
    code: int  # As a shell has it: 128 and the signal's number for who was killed.
    ended: float
    cancelled: bool = False
    dropped: int = 0  # Bytes of output that are not in the log.
    reason: str = ""  # Why it could not start, or why output is missing.
    left: tuple[str, ...] = ()  # Paths in the held copy that could not be brought home.


Record = TypeVar("Record", Request, Running, Ended)


def write_record(path: str, record: Request | Running | Ended) -> None:
    """Raises OSError."""
    beside = f"{path}.new"
    with open(beside, "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(asdict(record), file)
    os.replace(beside, path)


def read_record(path: str, kind: type[Record]) -> Record | None:
    """Return what a file holds, None if it is not there or holds something else."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            plain: object = json.loads(file.read(RECORD_MAX))
        known = kind.__dataclass_fields__  # A later version may have written more.
        if isinstance(plain, dict):
            fields = cast("dict[str, Any]", plain).items()
            plain = {name: value for name, value in fields if name in known}
        return record_of(plain, kind)
    except (OSError, ValueError, TypeError):
        return None


def record_of(plain: object, kind: type[Record]) -> Record:
    """Raises ValueError and TypeError for what is no such record."""
    if not isinstance(plain, dict):
        raise ValueError("a record is an object")
    fields = {name: _frozen(value) for name, value in cast("dict[str, Any]", plain).items()}
    return kind(**fields)


def request_of(plain: object) -> Request:
    """Return what a laptop asks for. Raises ValueError and TypeError for what makes no sense."""
    request = record_of(plain, Request)
    texts = (*request.argv, *request.env, *request.env.values(), request.key, request.cwd)
    if not all(type(text) is str and "\0" not in text for text in (*texts, request.name)):
        raise ValueError("a job's words and environment are texts")
    if not request.argv or not request.key or not request.cwd or (request.name or "a").isdigit():
        raise ValueError("a job has a command, a folder and a key, and its name is no number")
    if request.on_deadline not in ("", "none", *signal.Signals.__members__):
        raise ValueError(f"{request.on_deadline} is no signal's name")
    return request


def _frozen(value: object) -> Any:
    if not isinstance(value, list):
        return value
    return tuple(_frozen(item) for item in cast("list[object]", value))
