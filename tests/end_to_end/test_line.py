"""From a destination to a live line, through the real ssh and the real sshd."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from tests.end_to_end import sshd
from tests.end_to_end.sshd import Machine, machine_in
from tests.line.conftest import echo_bundle
from towline.core.wire.frames import Priority
from towline.line.bootstrap import Bootstrap
from towline.line.errors import ConnectError, ConnectKind, LineLostError
from towline.line.live import LineState, LiveLine, Phase, open_line
from towline.line.options import SshOptions
from towline.line.ssh import open_ssh

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def machine() -> Iterator[Machine]:
    """As everywhere, but where paths are short enough for a socket in its home."""
    if reason := sshd.why_not():
        pytest.skip(f"machine: {reason}")
    directory = Path(tempfile.mkdtemp(prefix="towline-"))
    with machine_in(directory / "machine") as machine:
        yield machine
    shutil.rmtree(directory)


@pytest.fixture
def bootstrap() -> Bootstrap:
    return Bootstrap(echo_bundle(), "project")


class States(list[LineState]):
    """What the line reported, in order."""

    def __init__(self) -> None:
        super().__init__()
        self._any = anyio.Event()

    def take(self, state: LineState) -> None:
        self.append(state)
        self._any.set()

    async def wait_first(self) -> None:
        await self._any.wait()


@asynccontextmanager
async def linked(
    machine: Machine, bootstrap: Bootstrap, *options: str
) -> AsyncIterator[tuple[LiveLine, States]]:
    states = States()
    ssh = SshOptions(config_file=str(machine.config), options=options)
    async with open_line(
        lambda attended: open_ssh(machine.name, ssh, bootstrap, attended=attended),
        software="test",
        on_state=states.take,
    ) as live:
        yield live, states


def ssh_clients(machine: Machine) -> list[int]:
    """Return our ssh processes to the machine."""
    shown = subprocess.run(["pgrep", "-f", f"^ssh -T.*{machine.config}"], capture_output=True)
    return [int(pid) for pid in shown.stdout.split()]


async def agent_of(live: LiveLine) -> int:
    channel = live.open_channel(b"pid", Priority.CONTROL)
    return int(await channel.receive())


async def test_a_bare_machine_is_linked_and_the_agent_outlives_ssh(
    machine: Machine, bootstrap: Bootstrap
) -> None:
    async with linked(machine, bootstrap) as (live, _):
        cold = await agent_of(live)
    assert not ssh_clients(machine)
    assert cold in machine.processes()
    async with linked(machine, bootstrap) as (live, _):
        assert await agent_of(live) == cold
    assert live.state.phase is Phase.ENDED


async def test_killed_ssh_and_cut_connections_are_resumed_without_loss(
    machine: Machine, bootstrap: Bootstrap
) -> None:
    async with linked(machine, bootstrap) as (live, states):
        agent = await agent_of(live)
        channel = live.open_channel(b"echo", Priority.SYNC)
        messages = [b"%06d" % number * 2000 for number in range(1500)]

        async def send_all() -> None:
            for number, message in enumerate(messages):
                await channel.send(message)
                if number in (300, 600):
                    for pid in ssh_clients(machine):
                        os.kill(pid, signal.SIGKILL)
                if number in (900, 1200):
                    machine.kill_connections()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_all)
            assert [await channel.receive() for _ in messages] == messages
        assert live.statistics().resumes >= 2
        assert agent in machine.processes()
        assert await agent_of(live) == agent
    assert Phase.DISCONNECTED in [state.phase for state in states]


async def test_a_killed_agent_ends_the_line_at_once(machine: Machine, bootstrap: Bootstrap) -> None:
    async with linked(machine, bootstrap) as (live, _):
        agent = await agent_of(live)
        os.kill(agent, signal.SIGKILL)
        assert isinstance(await live.wait_ended(), LineLostError)
    async with linked(machine, bootstrap) as (live, _):
        assert await agent_of(live) != agent


async def why_not_linked(machine: Machine, bootstrap: Bootstrap, *options: str) -> ConnectError:
    async with linked(machine, bootstrap, *options) as (live, _):
        with pytest.raises(ConnectError) as caught:
            await live.wait_connected()
        return caught.value


async def test_a_key_that_is_not_let_in(machine: Machine, bootstrap: Bootstrap) -> None:
    (machine.directory / "authorized_keys").write_text("")
    error = await why_not_linked(machine, bootstrap)
    assert error.kind is ConnectKind.AUTH
    assert "Permission denied" in error.message


async def test_a_machine_whose_key_is_another(machine: Machine, bootstrap: Bootstrap) -> None:
    other = (machine.directory / "authorized_keys").read_text()
    (machine.directory / "known_hosts").write_text(f"machine {other}")
    error = await why_not_linked(machine, bootstrap)
    assert error.kind is ConnectKind.HOST_KEY
    assert "ssh-keygen -R" in error.hint


async def test_a_machine_that_is_down_is_linked_once_it_is_up(
    machine: Machine, bootstrap: Bootstrap
) -> None:
    machine.stop()
    async with linked(machine, bootstrap) as (live, states):
        await states.wait_first()
        assert states[0].error is not None
        assert states[0].error.kind is ConnectKind.REFUSED
        await anyio.to_thread.run_sync(machine.start)
        live.reconnect_now()
        await live.wait_connected()


async def test_a_name_that_nobody_knows(machine: Machine, bootstrap: Bootstrap) -> None:
    async with linked(machine, bootstrap, "HostName=nowhere.invalid") as (live, states):
        await states.wait_first()
        assert states[0].error is not None
        assert states[0].error.kind is ConnectKind.UNREACHABLE
        assert "nowhere.invalid" in states[0].error.message
        assert live.state.phase is Phase.CONNECTING


async def test_a_computer_without_ssh(
    machine: Machine, bootstrap: Bootstrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOWLINE_SSH", "/nowhere/ssh")
    error = await why_not_linked(machine, bootstrap)
    assert error.kind is ConnectKind.NO_SSH


async def test_a_shell_that_prints_much_before_it_obeys(
    machine: Machine, bootstrap: Bootstrap
) -> None:
    login = machine.directory / "login"
    login.write_text(login.read_text().replace("cd\n", "cd\nseq 1 3000\nprintf Welcome\n", 1))
    async with linked(machine, bootstrap) as (live, _):
        await agent_of(live)
