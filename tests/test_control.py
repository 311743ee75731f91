"""The control socket: requests, replies and limits."""

from __future__ import annotations

import errno
import functools
import json
import os
import socket
import stat
import threading
from contextlib import ExitStack, suppress

import anyio
import anyio.to_thread
import pytest

from towline.control import LINE_MAX, ask, flush, follow, is_running, open_stream
from towline.control_listener import serve_control
from towline.errors import ExitCode, UserError
from towline.places import Workspaces

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param


@pytest.fixture
def binding(homes, tmp_path):
    return Workspaces().ensure(tmp_path, "box")


async def echo(request):
    return request


async def count(request):
    for number in range(request["to"]):
        yield {"number": number}


async def deny(request):
    raise UserError("no", hint="never", exit_code=ExitCode.REFUSED)


async def fail(request):
    raise ZeroDivisionError


async def large(request):
    return {"text": "x" * LINE_MAX}


async def forever(request):
    yield {"begun": True}
    await anyio.sleep_forever()


DISPATCH = {
    "echo": echo, "count": count, "deny": deny, "fail": fail, "large": large, "forever": forever,
    "flush": echo,
}  # fmt: skip


@pytest.fixture(params=[False, True], ids=["unix", "loopback"])
async def served(request, binding):
    async with anyio.create_task_group() as tasks:
        serve = functools.partial(serve_control, on_loopback=request.param)
        await tasks.start(serve, binding.places.socket, DISPATCH)
        yield binding
        tasks.cancel_scope.cancel()
    assert not binding.places.socket.exists()


async def asked(binding, op, **args):
    return await anyio.to_thread.run_sync(functools.partial(ask, binding, op, **args))


async def test_an_operation_gets_its_arguments_and_its_reply_comes_back(served):
    assert await asked(served, "echo", path="a b", n=[1]) == {"path": "a b", "n": [1]}


async def test_an_operation_may_reply_many_times(served):
    replies = await anyio.to_thread.run_sync(lambda: list(follow(served, "count", to=300)))
    assert replies == [{"number": number} for number in range(300)]


async def test_an_operation_may_reply_not_at_all(served):
    assert await asked(served, "count", to=0) == {}


async def test_a_flush_carries_its_time_limit(served):
    reply = await anyio.to_thread.run_sync(flush, served, 2.5)
    assert reply == {"timeout_s": 2.5}


async def test_who_tells_the_process(served):
    assert (await asked(served, "who"))["pid"] == os.getpid()


async def test_the_persons_error_arrives_whole(served):
    with pytest.raises(UserError, match=r"^no$") as raised:
        await asked(served, "deny")
    assert (raised.value.hint, raised.value.exit_code) == ("never", ExitCode.REFUSED)


@pytest.mark.parametrize(
    ("op", "message"),
    [
        ("nonsense", "does not know 'nonsense'"),
        ("fail", r"failed at 'fail': ZeroDivisionError\(\)"),
        ("large", "longer than 65536 bytes"),
    ],
)
async def test_what_goes_wrong_is_told_and_the_engine_goes_on(op, message, served):
    with pytest.raises(UserError, match=message):
        await asked(served, op)
    assert await asked(served, "echo", n=1) == {"n": 1}


async def test_who_does_not_read_on_is_let_go(served):
    def one():
        replies = follow(served, "forever")
        first = next(replies)
        replies.close()
        return first

    for _ in range(70):  # More than are served at once.
        assert await anyio.to_thread.run_sync(one) == {"begun": True}


def raw(binding, content: bytes) -> dict:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(binding.places.socket))
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        return json.loads(connection.makefile("rb").readline())["error"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{]\n", "not a line of JSON"),
        (b"", "not a line of JSON"),
        (b"[1]\n", "not an object"),
        (b"\xff\n", "not a line of JSON"),
        (b"[" * 60_000 + b"\n", "not a line of JSON"),
        (b"x" * (LINE_MAX + 1), "longer than 65536 bytes"),
        (b'{"op": []}\n', "does not know"),
        (b"{}\n", "does not know None"),
    ],
)
async def test_a_request_that_is_none_is_refused(content, message, binding):
    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_control, binding.places.socket, DISPATCH)
        told = await anyio.to_thread.run_sync(raw, binding, content)
        assert message in told["message"]
        assert told["exit_code"] == ExitCode.USAGE
        tasks.cancel_scope.cancel()


async def test_without_the_token_nothing_is_answered_on_loopback(binding):
    async with anyio.create_task_group() as tasks:
        serve = functools.partial(serve_control, on_loopback=True)
        path = binding.places.socket
        await tasks.start(serve, path, DISPATCH)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.write_text(json.dumps({**json.loads(path.read_text()), "token": "wrong"}))
        with pytest.raises(UserError, match="token"):
            await asked(binding, "echo")
        tasks.cancel_scope.cancel()


async def test_the_socket_is_for_this_user_only(binding):
    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_control, binding.places.socket, DISPATCH)
        assert stat.S_IMODE(binding.places.socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(binding.places.socket.parent.stat().st_mode) == 0o700
        tasks.cancel_scope.cancel()


async def test_an_answer_that_is_ready_is_sent_although_the_engine_ends(binding):
    stopping, answers = anyio.Event(), []

    async def stop(request):
        stopping.set()
        return {"stopping": True}

    async def keep_answer():
        answers.append(await asked(binding, "stop"))

    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_control, binding.places.socket, {"stop": stop})
        async with anyio.create_task_group() as asking:
            asking.start_soon(keep_answer)
            await stopping.wait()
            tasks.cancel_scope.cancel()
    assert answers == [{"stopping": True}]


def test_without_an_engine_it_says_what_to_run(binding):
    assert not is_running(binding)
    with pytest.raises(UserError, match="towline is not linked here") as raised:
        ask(binding, "status")
    assert raised.value.exit_code == ExitCode.UNAVAILABLE
    assert raised.value.hint == f"run `towline link` in {binding.project}"


async def test_what_a_killed_engine_left_is_replaced(binding):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(binding.places.socket))
    assert not is_running(binding)
    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_control, binding.places.socket, DISPATCH)
        assert await asked(binding, "echo", n=1) == {"n": 1}
        tasks.cancel_scope.cancel()


def silent_engine(binding, listening: threading.Event, done: threading.Event) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(binding.places.socket))
        listener.listen()
        listening.set()
        connection, _ = listener.accept()
        with connection:
            done.wait()


def test_an_engine_that_hangs_does_not_hang_the_command(binding):
    listening, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=silent_engine, args=(binding, listening, done))
    thread.start()
    try:
        listening.wait()
        with pytest.raises(UserError, match="does not answer") as raised:
            ask(binding, "status", wait_s=0.05)
        assert raised.value.exit_code == ExitCode.TRY_AGAIN
    finally:
        done.set()
        thread.join()


def test_an_engine_that_has_too_many_waiting_at_its_door_does_not_answer(binding):
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(binding.places.socket))
        listener.listen(0)
        with suppress(BlockingIOError):
            while True:
                waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
                waiting.setblocking(False)
                waiting.connect(str(binding.places.socket))
        for asks in (ask, open_stream):
            with pytest.raises(UserError, match="does not answer") as raised:
                asks(binding, "status")
            assert raised.value.exit_code == ExitCode.TRY_AGAIN
        assert is_running(binding)


def test_a_socket_that_may_not_be_used_is_said(binding, monkeypatch):
    def refuse(path: str) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(binding.places.socket))
        monkeypatch.setattr("towline.control._open_unix", refuse)
        with pytest.raises(UserError, match="cannot be asked: Permission denied"):
            ask(binding, "status")


def test_an_engine_that_dies_in_the_middle_is_no_empty_answer(binding):
    listening, done = threading.Event(), threading.Event()
    done.set()
    thread = threading.Thread(target=silent_engine, args=(binding, listening, done))
    thread.start()
    listening.wait()
    with pytest.raises(UserError, match="stopped before it had answered"):
        ask(binding, "status")
    thread.join()
