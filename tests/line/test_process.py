"""Programs as byte streams."""

from __future__ import annotations

import os
import sys

import anyio
import pytest

from tests.line.files import no_file_free
from towline.line.errors import ConnectError, ConnectKind
from towline.line.process import STDERR_MAX, open_process_stream

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("attended", [False, True])
async def test_bytes_there_and_back_and_the_end(attended: bool) -> None:
    async with open_process_stream(["cat"], attended=attended) as stream:
        await stream.send(b"hello")
        assert await stream.receive() == b"hello"
        await stream.send_eof()
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        assert await stream.wait_ended() == (0, "")


async def test_ctrl_c_does_not_reach_a_program_that_may_ask_for_a_password() -> None:
    script = ["/bin/sh", "-c", "kill -INT $$; echo alive"]
    async with open_process_stream(script, attended=True) as stream:
        assert await stream.receive() == b"alive\n"


async def test_only_the_end_of_stderr_is_kept() -> None:
    script = ["/bin/sh", "-c", "yes noise | head -c 1000000 >&2; echo last words >&2; exit 3"]
    async with open_process_stream(script, attended=False) as stream:
        status, stderr = await stream.wait_ended()
    assert status == 3
    assert stderr.endswith("last words\n")
    assert len(stderr) <= STDERR_MAX


async def test_a_program_that_does_not_listen_is_ended_all_the_same() -> None:
    script = ["/bin/sh", "-c", 'trap "" TERM; echo on; while :; do sleep 1; done']
    async with open_process_stream(script, attended=False) as stream:
        assert await stream.receive() == b"on\n"
    assert (await stream.wait_ended())[0] == -9


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(ConnectError) as caught:
        async with open_process_stream(["/nowhere/ssh"], attended=True):
            pass
    assert caught.value.kind is ConnectKind.NO_SSH


async def test_the_body_raises_its_own_exceptions() -> None:
    with pytest.raises(KeyError):
        async with open_process_stream(["cat"], attended=False):
            raise KeyError


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("free", [0, 1, 2, 3])
async def test_too_many_open_files_is_no_way_for_now_and_leaves_none_open(free: int) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with no_file_free(free), pytest.raises(ConnectError) as caught:
        async with open_process_stream(["cat"], attended=False):
            pass
    assert caught.value.retryable
    assert len(os.listdir("/proc/self/fd")) == before
