"""The engine's end of the control socket: takes requests, hands them to `dispatch`, answers.

Which engine is the only one of its workspace, `engine_lock` says. What a socket of an engine long
dead leaves behind is replaced. What the operations mean is not known here; the protocol stands in
`towline.control`.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import cast

import anyio
from anyio.abc import ByteStream, Listener, SocketAttribute, SocketStream, TaskGroup, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream

from towline import __version__
from towline.control import LINE_MAX, Json, error_json, line_of
from towline.errors import ExitCode, UserError
from towline.line.accept import accept_all
from towline.line.unix import UnixStream, listen_unix
from towline.places import write_private

REQUEST_TIMEOUT_S = 5.0  # Who connects and says nothing for so long is let go.
LAST_WORD_TIMEOUT_S = 1.0  # An answer that is ready is sent, also while the engine ends.
CONNECTIONS_MAX = 64  # Bounds memory and file descriptors; a person has a few, a script some.

Dispatch = Mapping[str, Callable[[Json], Awaitable[Json] | AsyncIterator[Json]]]
Streams = Mapping[str, Callable[[Json, Callable[[], Awaitable[ByteStream]]], Awaitable[None]]]
"""Operations after whose reply the connection is theirs: they say when by taking it."""

CUT_SHORT = (anyio.EndOfStream, anyio.IncompleteRead)
GONE = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError)  # Whoever asked.

logger = logging.getLogger(__name__)


async def serve_control(
    path: Path,
    dispatch: Dispatch,
    streams: Streams | None = None,
    *,
    on_loopback: bool = sys.platform == "win32",
    task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Answer requests at `path`, a workspace's socket, until cancelled.

    `started` once it can be asked. Only the workspace's engine (`only_engine`) may: what is found
    at `path` is of one that is dead.

    An operation returns one reply, or yields several. It may raise UserError, which the command
    shows as its own.
    """
    with _cleared(path):
        listener, token = await (_listen_loopback(path) if on_loopback else _listen_unix(path))
        door = _Door({**dispatch, "who": _who}, streams or {}, token)
        async with listener:
            task_status.started()
            await accept_all(listener, door.answer)


@contextmanager
def _cleared(path: Path) -> Generator[None]:
    path.unlink(missing_ok=True)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


class _Door:
    """Answers connections, each a request, a bounded number at a time."""

    def __init__(self, dispatch: Dispatch, streams: Streams, token: str | None) -> None:
        self._dispatch = dispatch
        self._streams = streams
        self._token = token
        self._connections = 0

    async def answer(self, stream: ByteStream) -> None:
        self._connections += 1
        try:
            async with stream, anyio.create_task_group() as tasks:
                with suppress(*GONE):
                    await self._answer(stream, tasks)
                tasks.cancel_scope.cancel()
        finally:
            self._connections -= 1

    async def _answer(self, stream: ByteStream, tasks: TaskGroup) -> None:
        try:
            if self._connections > CONNECTIONS_MAX:
                raise UserError(
                    "the engine is asked too much at once", exit_code=ExitCode.TRY_AGAIN
                )
            request = await self._request(stream)
            if (streaming := self._streams.get(str(request.get("op")))) is not None:
                self._connections -= 1  # It asks nothing more, and may stay for days.
                try:
                    return await streaming(request, partial(_hand_over, stream))
                finally:
                    self._connections += 1
            tasks.start_soon(_cancel_at_hangup, stream, tasks.cancel_scope)
            await self._reply(stream, request)
        except UserError as error:
            await stream.send(line_of({"error": error_json(error)}))

    async def _request(self, stream: ByteStream) -> Json:
        """Return a request that may be answered. Raises UserError."""
        try:
            with anyio.fail_after(REQUEST_TIMEOUT_S):
                line = await BufferedByteReceiveStream(stream).receive_until(b"\n", LINE_MAX)
            parsed = json.loads(line)
        except (TimeoutError, ValueError, RecursionError, *CUT_SHORT) as error:
            raise _unfit("the request is not a line of JSON") from error
        except anyio.DelimiterNotFound as error:
            raise _unfit(f"the request is longer than {LINE_MAX} bytes") from error
        if not isinstance(parsed, dict):
            raise _unfit("the request is not an object")
        request = cast(Json, parsed)
        if self._token is not None and request.pop("token", None) != self._token:
            raise UserError("the request does not carry the token", exit_code=ExitCode.REFUSED)
        return request

    async def _reply(self, stream: ByteStream, request: Json) -> None:
        op = request.pop("op", None)
        operation = self._dispatch.get(op) if isinstance(op, str) else None
        if operation is None:
            raise UserError(
                f"the engine does not know {op!r}",
                hint=f"it is version {__version__}: `towline stop`, then `towline link` again",
                exit_code=ExitCode.USAGE,
            )
        try:
            await _send_all(stream, op, operation(request))
        except (UserError, *GONE):
            raise
        except Exception as error:  # A bug; the engine has more to do than answer questions.
            logger.exception("control operation %r failed", op)
            raise UserError(
                f"the engine failed at {op!r}: {error!r}", hint="see `towline log`"
            ) from error


async def _hand_over(stream: ByteStream) -> ByteStream:
    """Tell who asked that the bytes begin. Nothing of theirs was read yet: they wait for this."""
    await stream.send(line_of({"reply": {}}))
    return stream


async def _send_all(
    stream: ByteStream, op: str, replies: Awaitable[Json] | AsyncIterator[Json]
) -> None:
    if inspect.isawaitable(replies):
        answer = _reply_line(op, await replies) + line_of({"end": True})
        with anyio.move_on_after(LAST_WORD_TIMEOUT_S, shield=True):  # `stop` ends the engine.
            await stream.send(answer)
        return
    async for reply in replies:
        await stream.send(_reply_line(op, reply))
    await stream.send(line_of({"end": True}))


def _reply_line(op: str, reply: Json) -> bytes:
    line = line_of({"reply": reply})
    if len(line) > LINE_MAX:
        raise UserError(f"the answer to {op!r} is longer than {LINE_MAX} bytes")
    return line


async def _cancel_at_hangup(stream: ByteStream, scope: anyio.CancelScope) -> None:
    """Nothing more is expected from who asked, so whatever comes is the end."""
    try:
        await stream.receive(1)
    except (anyio.EndOfStream, *GONE):
        pass
    scope.cancel()


async def _listen_unix(path: Path) -> tuple[Listener[UnixStream], str | None]:
    return await listen_unix(str(path)), None


async def _listen_loopback(path: Path) -> tuple[Listener[SocketStream], str | None]:
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    token = os.urandom(16).hex()
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django's.
    write_private(path, json.dumps({"port": port, "token": token}))
    return listener, token


async def _who(request: Json) -> Json:
    return {"pid": os.getpid(), "version": __version__}


def _unfit(message: str) -> UserError:
    return UserError(message, exit_code=ExitCode.USAGE)
