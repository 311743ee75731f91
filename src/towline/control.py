"""The local control socket: how commands talk to the engine process of a workspace.

This is the commands' end, `ask` and `follow`, and the protocol. A request is one
line of JSON on a connection of its own: `{"op": …, …}`. The answer is one line or more of
`{"reply": {…}}`, then `{"end": true}`, or `{"error": {message, hint, exit_code}}`.
On Windows the file at the socket's path names a port on loopback and a token instead.

The operations, and what each reply holds:

    status               as_json(Status)
    flush {timeout_s}    {revision, ms}, or {error, since} if it could not be done in time
    stop                 {} once the engine has begun to stop
    conflicts            one reply each: {path, copy, side}
    problems             one reply each: {path, reason, side}
    explain {path}       {path, synced, reason}, and where it has one {source, line, pattern}
    accept, refuse       {} once the held plan is carried out or dropped; {error} if none is held
    events               one reply each: as_json(event); the last few, then live
    channel {greeting, bulk}   {}, and from then on the bytes of a channel of the Line that greets
                         the machine so, both ways, without an end but that of the channel; `bulk`
                         lets all else go first
    forward, forwards, unforward   see `forwards.keep`

`who` ({pid, version}) is answered by `control_listener`, the engine's end. That is a module of its
own because it needs an event loop, and a command must start without loading one.
"""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Iterator
from typing import Any

from towline.errors import ExitCode, UserError
from towline.places import Binding

LINE_MAX = 64 << 10  # Bytes. Bounds what one side makes the other hold; lists go one item a line.
ANSWER_TIMEOUT_S = 10.0  # An engine that is alive answers at once, but for `flush`.
FLUSH_MARGIN_S = 5.0  # The engine keeps the time of a flush; this covers its answer's way.

Json = dict[str, Any]


def ask(binding: Binding, op: str, *, wait_s: float = ANSWER_TIMEOUT_S, **args: Any) -> Json:
    """Return the engine's first reply; an empty one if there was none. Raises UserError."""
    nothing: Json = {}
    return next(follow(binding, op, wait_s=wait_s, **args), nothing)


def flush(binding: Binding, timeout_s: float) -> Json:
    """Ask for `flush` and wait for it as long as the engine may take."""
    return ask(binding, "flush", wait_s=timeout_s + FLUSH_MARGIN_S, timeout_s=timeout_s)


def is_running(binding: Binding) -> bool:
    try:
        ask(binding, "who")
    except UserError as error:
        return error.exit_code != ExitCode.UNAVAILABLE
    return True


def follow(
    binding: Binding, op: str, *, wait_s: float | None = None, **args: Any
) -> Iterator[Json]:
    """Yield the engine's replies as they come.

    Raises UserError: none is running, it does not answer within `wait_s`, it went away in the
    middle, or what it answered was an error.
    """
    connection, token = _connect(binding)
    with connection, connection.makefile("rb") as replies:
        connection.settimeout(wait_s)
        try:
            connection.sendall(line_of({**args, "op": op, **token}))
            while reply := _next_reply(replies.readline(LINE_MAX + 1), binding):
                yield reply["reply"]
        except TimeoutError:
            raise _silent(binding) from None
        except ConnectionError:
            raise _gone(binding) from None


def open_stream(binding: Binding, op: str, **args: Any) -> socket.socket:
    """Return a connection on which, after the engine's one reply, plain bytes come and go.

    Raises UserError, as `follow` does.
    """
    connection, token = _connect(binding)
    try:
        connection.sendall(line_of({**args, "op": op, **token}))
        if _next_reply(_read_line(connection), binding) is None:
            raise _gone(binding)
    except (TimeoutError, ConnectionError):
        connection.close()
        raise _gone(binding) from None
    except BaseException:
        connection.close()
        raise
    return connection


def _read_line(connection: socket.socket) -> bytes:
    """Byte by byte, for what follows the line is not ours to take."""
    line = bytearray()
    while not line.endswith(b"\n") and len(line) <= LINE_MAX and (byte := connection.recv(1)):
        line += byte
    return bytes(line)


def _next_reply(line: bytes, binding: Binding) -> Json | None:
    """Return a reply, or None at the end."""
    if not line.endswith(b"\n"):
        raise _gone(binding)
    reply: Json = json.loads(line)
    if "error" in reply:
        raise error_from_json(reply["error"])
    return None if "end" in reply else reply


def _connect(binding: Binding) -> tuple[socket.socket, Json]:
    """Return a connection to the engine, and what every request on it must carry."""
    path = binding.places.socket
    try:
        if stat.S_ISSOCK(path.stat().st_mode):
            return _open_unix(str(path)), {}
        address = json.loads(path.read_text("utf-8"))
        return (
            socket.create_connection(("127.0.0.1", address["port"]), timeout=ANSWER_TIMEOUT_S),
            {"token": address["token"]},
        )
    except (FileNotFoundError, ConnectionError, ValueError, KeyError):
        raise not_linked(binding) from None
    except (BlockingIOError, TimeoutError):  # More wait at its door than the system lets wait.
        raise _silent(binding) from None
    except OSError as error:
        raise UserError(
            f"the engine of {binding.name} cannot be asked: {error.strerror}",
            hint="`towline doctor` shows permissions",
            exit_code=ExitCode.REFUSED,
        ) from None


def _open_unix(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(ANSWER_TIMEOUT_S)
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def not_linked(binding: Binding) -> UserError:
    return UserError(
        f"towline is not linked here: no engine runs for {binding.name}",
        hint=f"run `towline link` in {binding.project}",
        exit_code=ExitCode.UNAVAILABLE,
    )


def _silent(binding: Binding) -> UserError:
    return UserError(
        f"the engine of {binding.name} does not answer",
        hint="`towline log` shows what it did last; `towline links` shows its process",
        exit_code=ExitCode.TRY_AGAIN,
    )


def _gone(binding: Binding) -> UserError:
    return UserError(
        f"the engine of {binding.name} stopped before it had answered",
        hint="`towline log` shows why; run `towline link` to go on",
        exit_code=ExitCode.UNAVAILABLE,
    )


def error_json(error: UserError) -> Json:
    return {"message": error.message, "hint": error.hint, "exit_code": int(error.exit_code)}


def error_from_json(plain: Json) -> UserError:
    """Return the error another process told. A code this version does not know is FAILED."""
    known = {int(code) for code in ExitCode}
    code = plain["exit_code"]
    return UserError(
        plain["message"],
        hint=plain["hint"],
        exit_code=ExitCode(code) if code in known else ExitCode.FAILED,
    )


def line_of(value: Json) -> bytes:
    return json.dumps(value).encode() + b"\n"
