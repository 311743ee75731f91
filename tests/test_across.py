"""What commands do on the machine, where the engine goes away in the middle."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from anyio.abc import ByteStream

from towline.across import Call, Program
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
