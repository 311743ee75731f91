"""What commands do on the machine, where the engine goes away in the middle."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from anyio.abc import ByteStream

from towline import across
from towline.across import RECORD, Call, Program
from towline.control import Json
from towline.control_listener import serve_control
from towline.errors import ExitCode, UserError
from towline.places import Workspaces

WAIT_S = 15


@pytest.mark.anyio
async def test_an_engine_that_ends_before_it_is_told_what_to_run(
    homes: object, tmp_path: Path
) -> None:
    binding = Workspaces().ensure(tmp_path, "box")
    hung_up = threading.Event()

    class LateCall(Call):
        def to_line(self) -> bytes:
            assert hung_up.wait(WAIT_S)
            return super().to_line()

    async def hang_up(request: Json, take: Callable[[], Awaitable[ByteStream]]) -> None:
        await (await take()).aclose()
        hung_up.set()

    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_control, binding.places.socket, {}, {"channel": hang_up})
        with pytest.raises(UserError) as raised:
            await anyio.to_thread.run_sync(Program, binding, LateCall(["true"]))
        assert raised.value.exit_code is ExitCode.UNAVAILABLE
        assert "while true ran there" in raised.value.message
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [b"o", b"e", b"?"])
async def test_a_program_without_an_end_is_not_held_in_memory(
    homes: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: bytes
) -> None:
    monkeypatch.setattr(across, "SAID_MAX", 10 * 1000)
    binding = Workspaces().ensure(tmp_path, "box")

    async def speak(request: Json, take: Callable[[], Awaitable[ByteStream]]) -> None:
        stream = await take()
        with suppress(anyio.BrokenResourceError):
            while True:
                await stream.send(RECORD.pack(kind, 1000) + bytes(1000))

    async with anyio.create_task_group() as tasks:
        await tasks.start(serve_control, binding.places.socket, {}, {"channel": speak})
        with pytest.raises(UserError, match="not understood"), anyio.fail_after(WAIT_S):
            await anyio.to_thread.run_sync(across.run, binding, Call(["yes"]))
        tasks.cancel_scope.cancel()


def test_a_line_without_an_end_is_not_held_in_memory() -> None:
    assert across.lines_of(b"a", b"b\nc", 1) == ([b"ab"], b"c")
    with pytest.raises(UserError, match="not understood"):
        across.lines_of(b"a", b"b", 1)


@pytest.mark.parametrize("line", [b"", b"[]", b"{", b"1" * 9999, b"[" * 200_000, b"\xff"])
def test_what_is_no_object_is_not_understood(line: bytes) -> None:
    with pytest.raises(UserError, match="not understood"):
        across.object_in(line)
