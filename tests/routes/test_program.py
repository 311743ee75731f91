"""A provider's program: its words are read without end, it is ended with all it started."""

from __future__ import annotations

import os
import sys

import anyio
import pytest

from towline.core.address import Tcp
from towline.routes.errors import RouteError, Saying
from towline.routes.program import LINES_KEPT, open_program

pytestmark = pytest.mark.anyio

needs_pidfd = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs pidfd_open")

PATH = {"PATH": os.environ["PATH"]}


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", code]


async def test_both_outputs_are_read_and_the_reason_is_the_table_s() -> None:
    code = "import sys; print('up'); print('boom 17', file=sys.stderr); sys.exit(3)"
    sayings = (Saying(r"boom (\d+)", "it exploded", "stand back"),)
    async with open_program("x", python(code), PATH, sayings) as program:
        assert await program.wait_for(lambda line: line if line == "up" else None) == "up"
        assert await program.wait_ended() == "x: it exploded"
        assert program.why_ended().hint == "stand back"
        with pytest.raises(RouteError, match="it exploded"):
            await program.wait_success()


async def test_what_no_table_knows_is_quoted_without_what_a_terminal_obeys() -> None:
    code = r"print('\x1b]0;owned\x07' + 'x' * 9999)"
    async with open_program("x", python(code), PATH) as program:
        said = await program.wait_ended()
    assert said.isprintable()
    assert len(said) < 400


async def test_an_end_without_a_word_is_said() -> None:
    async with open_program("x", python("pass"), PATH) as program:
        assert await program.wait_ended() == "x: it ended without a word"
        with pytest.raises(RouteError, match="without a word"):
            await program.wait_for(lambda line: line)


async def test_a_flood_costs_no_memory_and_never_holds_the_program_up() -> None:
    code = "for n in range(300_000): print('lost connection', n)\nprint('still here')"
    async with open_program("x", python(code), PATH) as program:
        found = await program.wait_for(lambda line: line if line == "still here" else None)
        assert found == "still here"
        assert len(program.lines) <= LINES_KEPT


async def test_lines_that_nobody_reads_are_not_kept_for_ever() -> None:
    async with open_program("x", python("for n in range(100_000): print(n)"), PATH) as program:
        await program.wait_ended()
        assert await program.wait_for(int) > 90_000


async def test_a_line_without_an_end_is_cut() -> None:
    code = "import sys\nfor _ in range(2000): sys.stdout.write('x' * 4096)\nprint()\nprint('done')"
    async with open_program("x", python(code), PATH) as program:
        await program.wait_for(lambda line: line == "done" or None)
        assert sum(map(len, program.lines)) < 8192


@needs_pidfd
async def test_what_it_has_started_ends_with_it() -> None:
    code = (
        "import subprocess, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(subprocess.Popen(['sleep', '1000']).pid)\ntime.sleep(1000)"
    )
    async with open_program("x", python(code), PATH) as program:
        child = os.pidfd_open(await program.wait_for(lambda line: int(line)))
    await ended(child)


async def ended(process: int) -> None:
    """Wait until a process, by its descriptor, is gone."""
    with anyio.fail_after(20):
        await anyio.wait_readable(process)
    os.close(process)


@needs_pidfd
async def test_a_child_that_keeps_the_output_open_does_not_hide_the_end() -> None:
    code = "import subprocess\nprint(subprocess.Popen(['sleep', '1000']).pid)\nprint('bye')"
    async with open_program("x", python(code), PATH) as program:
        child = os.pidfd_open(await program.wait_for(lambda line: int(line)))
        assert "bye" in await program.wait_ended()
        await ended(child)


@needs_pidfd
async def test_what_a_program_that_has_just_ended_leaves_is_ended_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("towline.routes.program.LAST_WORDS_S", 60.0)
    code = "import subprocess\nprint(subprocess.Popen(['sleep', '1000']).pid)"
    async with open_program("x", python(code), PATH) as program:
        leader = os.pidfd_open(program.pid)
        child = os.pidfd_open(await program.wait_for(lambda line: int(line)))
        await ended(leader)
        await anyio.sleep(0.2)  # It is known here, too.
    await ended(child)


async def test_an_address_that_cannot_be_is_the_provider_s_fault() -> None:
    async with open_program("x", python("print('-oProxyCommand=x')"), PATH) as program:
        with pytest.raises(RouteError, match="an address that cannot be"):
            await program.wait_for(lambda line: Tcp(line, 22))


async def test_a_program_that_is_not_there_is_said() -> None:
    with pytest.raises(RouteError, match="cannot be started"):
        async with open_program("x", ["/nowhere/at/all"], PATH):
            pass


async def test_what_the_body_raises_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_program("x", python("import time; time.sleep(1000)"), PATH):
            raise ZeroDivisionError
