"""The first second on a machine, run in a real shell here."""

from __future__ import annotations

import ast
import importlib.util
import io
import json
import marshal
import os
import re
import signal
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import anyio
import pytest

from lab.pythons import Python, find_pythons
from tests.line.conftest import Shell, echo_bundle
from towline.core.wire.frames import Priority
from towline.line.bootstrap import Bootstrap
from towline.line.bundle import (
    LAPTOP_ONLY,
    OWN_PYTHON,
    Bundle,
    agent_sources,
    load_bundle,
    pack,
)
from towline.line.errors import ConnectError, ConnectKind, LineLostError

pytestmark = pytest.mark.anyio

PYTHONS = find_pythons((3, 10))
OLD = [python for python in find_pythons((3, 6)) if python.version < (3, 10)]
needs_old = pytest.mark.skip(reason="needs a Python older than 3.10")
each_old = pytest.mark.parametrize("old", OLD or [pytest.param(None, marks=needs_old)], ids=str)


def runs(pid: int, program: Path) -> bool:
    return Path(f"/proc/{pid}/exe").samefile(program)


async def echo(shell: Shell, bootstrap: Bootstrap) -> int:
    """Let a message go there and back; return the agent's process id."""
    async with shell.link(bootstrap) as live:
        await live.wait_connected()
        channel = live.open_channel(b"pid", Priority.CONTROL)
        pid = int(await channel.receive())
        await channel.send(b"hello")
        assert await channel.receive() == b"hello"
        return pid


@pytest.mark.parametrize("python", [python.path for python in PYTHONS], ids=map(str, PYTHONS))
async def test_a_machine_without_towline_gets_it_and_keeps_it(
    shell: Shell, bundle: Bundle, python: Path
) -> None:
    bootstrap = Bootstrap(bundle, "project", python=str(python))
    cold = await echo(shell, bootstrap)
    stored = shell.cache / f"agent-{bundle.digest}.pyz"
    version = "".join(part.zfill(2) for part in python.parts[-3].split(".")[:2]).lstrip("0")
    assert stored.read_bytes() == bundle.for_python(version)
    assert stored.stat().st_mode & 0o777 == 0o600
    stored_at = stored.stat().st_mtime_ns
    assert await echo(shell, bootstrap) == cold  # The agent outlived its connection.
    assert stored.stat().st_mtime_ns == stored_at
    assert runs(cold, python)


@pytest.mark.parametrize("noise", ["echo Welcome; ", "printf 'no line end'; ", "echo oops >&2; "])
async def test_what_login_files_print_is_dropped(
    shell: Shell, bootstrap: Bootstrap, noise: str
) -> None:
    shell.before = noise
    await echo(shell, bootstrap)


async def test_endless_noise_is_an_error(shell: Shell, bootstrap: Bootstrap) -> None:
    shell.before = "while echo 'this is no shell'; do :; done; "
    with pytest.raises(ConnectError, match="this is no shell") as caught:
        await echo(shell, bootstrap)
    assert caught.value.kind is ConnectKind.OTHER


async def test_a_machine_without_python_is_told_apart(shell: Shell, bundle: Bundle) -> None:
    shell.environment["PATH"] = "/nowhere"
    bootstrap = Bootstrap(bundle, "project", candidates=("python3", "python"))
    with pytest.raises(ConnectError, match="none at all") as caught:
        await echo(shell, bootstrap)
    assert caught.value.kind is ConnectKind.NO_PYTHON
    assert not caught.value.retryable


@each_old
async def test_a_python_that_is_too_old_is_named(shell: Shell, bundle: Bundle, old: Python) -> None:
    bootstrap = Bootstrap(bundle, "project", candidates=(str(old.path), "python4"))
    with pytest.raises(ConnectError, match=f"only {re.escape(str(old))}"):
        await echo(shell, bootstrap)


async def test_a_version_that_is_no_number_is_none(
    shell: Shell, bundle: Bundle, tmp_path: Path
) -> None:
    liar = tmp_path / "python3"
    liar.write_text("#!/bin/sh\necho \u00b2\n", "utf-8")  # A digit, and no number.
    liar.chmod(0o755)
    with pytest.raises(ConnectError, match="none at all"):
        await echo(shell, Bootstrap(bundle, "project", candidates=(str(liar),)))


@each_old
async def test_a_configured_python_that_is_too_old_yields_to_another(
    shell: Shell, bundle: Bundle, old: Python
) -> None:
    bootstrap = Bootstrap(bundle, "project", python=str(old.path))
    await echo(shell, bootstrap)
    with pytest.raises(ConnectError, match=r"older than 3\.10"):  # The bundle is there by now.
        await echo(shell, bootstrap)


async def test_a_damaged_bundle_is_sent_anew(shell: Shell, bootstrap: Bootstrap) -> None:
    pid = await echo(shell, bootstrap)
    os.kill(pid, signal.SIGKILL)
    stored = next(shell.cache.glob("*.pyz"))
    stored.write_bytes(stored.read_bytes()[:1000])
    assert await echo(shell, bootstrap) != pid  # The second attempt sends it.


async def test_a_home_that_takes_no_files_is_no_obstacle(
    shell: Shell, bootstrap: Bootstrap
) -> None:
    (shell.home / "tmp").mkdir()
    shell.environment |= {"HOME": "/dev/null", "TMPDIR": str(shell.home / "tmp")}
    pid = await echo(shell, bootstrap)
    os.kill(pid, signal.SIGKILL)
    assert list((shell.home / "tmp").glob("towline-*/agent-*.pyz"))


async def test_old_bundles_are_removed_when_a_new_one_comes(
    shell: Shell, bootstrap: Bootstrap
) -> None:
    shell.cache.mkdir(parents=True)
    for age in range(8):
        old = shell.cache / f"agent-{age:016}.pyz"
        old.touch()
        os.utime(old, (1_000_000 - age, 1_000_000 - age))
    await echo(shell, bootstrap)
    left = sorted(path.name for path in shell.cache.glob("*.pyz"))
    assert len(left) == 6
    assert "agent-0000000000000004.pyz" in left
    assert "agent-0000000000000005.pyz" not in left


async def test_other_shells_take_the_command(shell: Shell, bootstrap: Bootstrap) -> None:
    shell.program = "/bin/bash"
    await echo(shell, bootstrap)


async def test_a_bundle_that_comes_unasked_is_taken_in_where_it_is_not_there_and_else_dropped(
    shell: Shell, bundle: Bundle
) -> None:
    shell.unasked = True
    agent = await echo(shell, Bootstrap(bundle, "project"))
    stored = shell.cache / f"agent-{bundle.digest}.pyz"
    made = stored.stat().st_ino
    assert await echo(shell, Bootstrap(bundle, "project")) == agent, "what it sent was no HELLO"
    assert stored.stat().st_ino == made, "it was there, and stays as it is"


async def test_a_machine_without_python_says_so_to_who_sends_unasked(
    shell: Shell, bundle: Bundle
) -> None:
    shell.unasked = True
    bootstrap = Bootstrap(bundle, "project", candidates=("python4",))
    with pytest.raises(ConnectError) as told:
        await echo(shell, bootstrap)
    assert told.value.kind is ConnectKind.NO_PYTHON


async def test_two_starts_at_once_make_one_agent(shell: Shell, bundle: Bundle) -> None:
    async def start() -> None:
        async with shell.connect(Bootstrap(bundle, "project")) as stream:
            await stream.send(b"this is no HELLO")
            with pytest.raises(ConnectError, match="was cut"):
                await stream.receive()

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(start)
    await echo(shell, Bootstrap(bundle, "project"))
    log = next(shell.cache.glob("run/*.log")).read_text()
    assert log.count("listening") == 1
    assert log.count("does not speak towline") == 4


async def test_an_agent_of_another_version_is_replaced(shell: Shell, bundle: Bundle) -> None:
    old = await echo(shell, Bootstrap(bundle, "project"))
    new = await echo(shell, Bootstrap(echo_bundle("\n# Newer.\n"), "project"))
    assert new != old
    assert old not in shell.processes()


async def test_a_killed_agent_loses_the_line_at_once_and_another_begins(
    shell: Shell, bootstrap: Bootstrap
) -> None:
    async with shell.link(bootstrap) as live:
        channel = live.open_channel(b"pid", Priority.CONTROL)
        pid = int(await channel.receive())
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(LineLostError):
            await channel.receive()
        with pytest.raises(LineLostError):
            await live.wait_connected()
    assert await echo(shell, bootstrap) != pid


async def test_a_cut_connection_is_resumed_and_no_message_lost(
    shell: Shell, bootstrap: Bootstrap
) -> None:
    async with shell.link(bootstrap) as live:
        channel = live.open_channel(b"pid", Priority.SYNC)
        pid = int(await channel.receive())
        sent = [b"%d " % number * 500 for number in range(3000)]

        async def send_all() -> None:
            for number, message in enumerate(sent):
                await channel.send(message)
                if number % 700 == 350:
                    for process in shell.processes():
                        if process != pid:
                            os.kill(process, signal.SIGKILL)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_all)
            received = [await channel.receive() for _ in sent]
        assert received == sent
        assert live.statistics().resumes >= 3
        assert pid in shell.processes()


async def test_an_agent_that_cannot_start_says_why(shell: Shell) -> None:
    broken = echo_bundle("\nraise RuntimeError('the disk is on fire')\n")
    with pytest.raises(ConnectError, match="the disk is on fire") as caught:
        await echo(shell, Bootstrap(broken, "project"))
    assert caught.value.kind is ConnectKind.AGENT


@pytest.mark.parametrize("name", ["", "a'b", "a b", "a\nb", "$HOME", "x" * 201])
def test_names_that_a_shell_could_misread_are_refused(bundle: Bundle, name: str) -> None:
    with pytest.raises(ValueError, match="workspace"):
        Bootstrap(bundle, name)


def test_the_command_is_one_line_that_every_shell_quotes_alike(bundle: Bundle) -> None:
    command = Bootstrap(bundle, "project").command()
    assert not set("\\!\n") & set(command)
    assert command.count("'") == 14  # The script, its arguments, and none within.
    subprocess.run(["sh", "-n", "-c", command], check=True)


def test_the_bundle_is_the_same_each_time_and_small() -> None:
    again = load_bundle.__wrapped__()
    assert again == load_bundle()
    agent = {path: text for path, text in agent_sources().items() if "/notebook/" not in path}
    # Some 0.37 s at 5 Mbit/s, once for each version: jobs and packages are in it, too.
    assert len(zlib.compress(pack(agent).content)) < 224 << 10
    assert len(zlib.compress(again.content)) < 286 << 10  # With what runs in kernels there.


def test_what_is_sent_is_what_stands_here_but_for_its_comments() -> None:
    package = resources.files("towline")
    for path, source in agent_sources().items():
        if path != "__main__.py":
            whole = (package / path.removeprefix("towline/")).read_bytes()
            assert not re.search(rb"^ *#|  # [^\"'\n]*$", source, re.MULTILINE), path
            assert _code(source) == _code(whole), path


def _code(source: bytes) -> bytes:
    return marshal.dumps(compile(source, "", "exec", dont_inherit=True))  # With line numbers.


def test_what_stays_here_is_all_that_nothing_there_imports() -> None:
    sources = agent_sources()
    imported = {name for source in sources.values() for name in imports_of(source)}
    absent = {path for path in LAPTOP_ONLY if path[:-3].replace("/", ".") in imported}
    assert not absent
    core = resources.files("towline.core")
    known = {*imported, *(path[:-3].replace("/", ".") for path in LAPTOP_ONLY)}
    names = {file.name[:-3] for file in core.iterdir() if file.name.endswith(".py")}
    assert {f"towline.core.{name}" for name in names - {"__init__"}} <= known


def imports_of(source: bytes) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_bytecode_goes_only_to_a_python_of_the_same_kind() -> None:
    bundle = load_bundle()
    assert bundle.for_python("310") == bundle.content
    ours = bundle.for_python(OWN_PYTHON)
    with zipfile.ZipFile(io.BytesIO(ours)) as archive:
        names = set(archive.namelist())
        assert {"towline/agent/loop.py", "towline/agent/loop.pyc", "__main__.py"} <= names
        assert "__main__.pyc" not in names


@pytest.mark.parametrize("writes", [True, False])
def test_what_is_compiled_for_a_bundle_is_kept_where_python_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: bool
) -> None:
    monkeypatch.setattr("towline.line.bundle._ROOT", tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", not writes)
    source = b"ANSWER = 42\n"
    module = tmp_path / "towline" / "agent" / "never_imported.py"
    module.parent.mkdir(parents=True)
    module.write_bytes(source)
    bundle = pack({"__main__.py": b"", "towline/agent/never_imported.py": source})
    with zipfile.ZipFile(io.BytesIO(bundle.for_python(OWN_PYTHON))) as archive:
        sent = archive.read("towline/agent/never_imported.pyc")[16:]
    compiled = compile(source, str(module), "exec", dont_inherit=True)
    assert marshal.loads(sent) == compiled  # noqa: S302 - our own.
    kept = Path(importlib.util.cache_from_source(str(module)))
    assert kept.exists() is writes
    assert not writes or kept.read_bytes()[16:] == sent


async def test_commands_on_the_machine_reach_the_agent(shell: Shell, bootstrap: Bootstrap) -> None:
    pid = await echo(shell, bootstrap)
    assert await verb(shell, "flush") == (0, {"echo": {"verb": "flush", "timeout": 10.0}})
    status, answer = await verb(shell, "status")
    assert (status, answer["pid"], answer["attached"]) == (0, pid, False)
    assert await verb(shell, "stop") == (0, {"stopping": True})
    status, answer = await verb(shell, "status")
    assert status == 1
    assert "no agent" in answer["error"]


async def verb(shell: Shell, verb: str) -> tuple[int, dict[str, object]]:
    [bundle] = shell.cache.glob("*.pyz")
    command = [sys.executable, "-I", "-S", str(bundle), verb, "project"]
    done = await anyio.run_process(command, env=shell.environment, check=False)
    return done.returncode, json.loads(done.stdout)
