"""One engine per workspace, from its first file to its last."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from towline.cli import stop
from towline.cli.stop import ensure_stopped
from towline.engine_lock import engine_of, only_engine
from towline.errors import ExitCode, UserError
from towline.places import Binding, Workspaces

ENGINE = """
import sys
from towline.engine_lock import only_engine
from towline.places import places_of
with only_engine(places_of(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def binding(homes: object, tmp_path: Path) -> Binding:
    return Workspaces().ensure(tmp_path, "box")


@pytest.fixture
def other_engine(binding: Binding) -> Generator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", ENGINE, binding.id], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def test_a_second_engine_is_refused_by_the_number_of_the_first(
    binding: Binding, other_engine: subprocess.Popen[bytes]
) -> None:
    refused = pytest.raises(UserError, match=f"already, by process {other_engine.pid}")
    with refused as raised, only_engine(binding.places):
        pass
    assert "`towline stop`" in raised.value.hint
    assert engine_of(binding.places) == str(other_engine.pid)


def test_one_that_was_killed_has_ended(
    binding: Binding, other_engine: subprocess.Popen[bytes]
) -> None:
    other_engine.send_signal(signal.SIGKILL)
    other_engine.wait()
    assert binding.places.lock.read_text(), "its number still stands there"
    assert engine_of(binding.places) == ""
    with only_engine(binding.places):
        assert engine_of(binding.places) == str(os.getpid())
    assert engine_of(binding.places) == ""


def test_stop_waits_for_one_that_answers_no_more_until_it_has_closed_all(
    binding: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as engine:
        engine.enter_context(only_engine(binding.places))
        monkeypatch.setattr(stop.time, "sleep", lambda _: engine.close())
        assert ensure_stopped(binding)
        assert engine_of(binding.places) == ""


def test_one_that_cannot_be_told_is_named(
    binding: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop, "STOP_TIMEOUT_S", 0)
    with only_engine(binding.places), pytest.raises(UserError) as raised:
        ensure_stopped(binding)
    assert f"cannot be told to stop: process {os.getpid()}" in raised.value.message
    assert raised.value.exit_code is ExitCode.TRY_AGAIN
