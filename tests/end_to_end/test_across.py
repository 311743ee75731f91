"""Programs run on the machine and ports reached there by way of a running engine's Line."""

from __future__ import annotations

import os
import sys

import pytest

from tests.end_to_end.laptop import Laptop, wait_until
from tests.end_to_end.sshd import Machine
from towline.across import Call, Finished, Program, run
from towline.errors import ExitCode, UserError
from towline.places import Binding, Workspaces

BLOB = os.urandom(8 << 20)


def binding_of(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> Binding:
    """Return the workspace as a command on this laptop finds it."""
    for name, value in laptop.environment.items():
        monkeypatch.setenv(name, value)
    return Workspaces().of_project(laptop.project)[0]


def test_a_program_runs_there_and_its_end_is_told(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with laptop.linked():
        binding = binding_of(laptop, monkeypatch)
        there = str(laptop.there)
        source = "import os, sys; print(os.getcwd(), sys.stdin.read()); sys.exit(4)"
        finished = run(binding, Call([sys.executable, "-c", source], cwd=there), b"given")
        assert finished == Finished(4, f"{there} given\n".encode(), b"")
        assert run(binding, Call(["cat"]), BLOB).stdout == BLOB
        assert run(binding, Call(["-c", "print(6*7)"], agent=True)).code != 0  # The bundle's own.
        with pytest.raises(UserError, match="cannot be started on the machine"):
            run(binding, Call(["/no/such/program"]))
    with pytest.raises(UserError) as not_linked:
        run(binding, Call(["true"]))
    assert not_linked.value.exit_code is ExitCode.UNAVAILABLE


def test_a_program_goes_on_after_a_cut(
    laptop: Laptop, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with laptop.linked() as link:
        source = "import sys\nfor line in sys.stdin: print(line.strip()[::-1], flush=True)"
        call = Call([sys.executable, "-c", source])
        with Program(binding_of(laptop, monkeypatch), call) as program:
            records = program.records()
            program.write(b"before\n")
            assert next(records) == ("o", b"erofeb\n")
            assert machine.kill_connections()
            program.write(b"after\n")
            assert next(records) == ("o", b"retfa\n")
            program.end_input()
            assert list(records) == []
            assert program.code == 0
        assert link.named("resumed")


def test_who_leaves_hangs_up(laptop: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    with laptop.linked():
        call = Call(["sh", "-c", "echo $$; exec sleep 1000"])
        with Program(binding_of(laptop, monkeypatch), call) as program:
            pid = int(next(program.records())[1])
            os.kill(pid, 0)

        def is_gone() -> bool:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            return False

        wait_until(is_gone, "the program is hung up on, and reaped")
