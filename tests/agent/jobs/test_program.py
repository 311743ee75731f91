"""Which command line becomes of what was asked for."""

from __future__ import annotations

from typing import Any

import pytest

from towline.agent.jobs.program import command, start
from towline.agent.jobs.record import Request


@pytest.mark.parametrize(
    ("argv", "asked", "run"),
    [
        # A machine that gives its environment to every shell.
        (("python", "a b.py"), {}, ("python", "a b.py")),
        (("echo $A | cat",), {"shell": True}, ["/bin/bash", "-c", "echo $A | cat"]),
        # Any other: a login shell's.
        (("python", "a b.py"), {"login": True}, ["/bin/bash", "-l", "-c", "exec python 'a b.py'"]),
        (("a; b",), {"login": True, "shell": True}, ["/bin/bash", "-l", "-c", "a; b"]),
        # A shell that knows no `-l -c`.
        (("a",), {"login": True, "env": {"SHELL": "/bin/csh"}}, ["/bin/sh", "-l", "-c", "exec a"]),
    ],
)
def test_the_command_line(
    argv: tuple[str, ...], asked: dict[str, Any], run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/bin/bash")
    assert command(Request("key", argv, "/", **asked)) == run


def test_who_is_in_no_list_of_users_has_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container may run under any number."""
    monkeypatch.delenv("SHELL", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 0x7FFF_FFF0)
    asked = Request("key", ("exit 3",), "/", login=True)
    assert command(asked) == ["/bin/sh", "-l", "-c", "exec 'exit 3'"]


def test_without_a_place_for_what_it_is_told_a_job_cannot_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("towline.agent.place._candidates", lambda _: [])
    with pytest.raises(OSError, match="can be written to"):
        start(Request("key", ("true",), "/"), "workspace", 1, "/")
