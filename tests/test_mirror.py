"""The SSH agent of the laptop, lent to a machine whose login files may say this and that."""

from __future__ import annotations

from pathlib import Path

import pytest

from towline.errors import ExitCode, UserError
from towline.line.options import SshOptions
from towline.mirror import lent_agent
from towline.there import There

THERE = There("box", SshOptions())


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ssh that greets, and then runs what it is told with what stands in LENT as the socket."""
    program = tmp_path / "ssh"
    program.write_text(
        '#!/bin/sh\nshift $(($# - 1))\necho "/etc/motd"\nexec env SSH_AUTH_SOCK=$LENT sh -c "$1"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("TOWLINE_SSH", str(program))
    monkeypatch.setenv("SSH_AUTH_SOCK", "/here")


def test_a_greeting_is_not_taken_for_the_socket(ssh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENT", "/there/agent.1")
    with lent_agent(THERE) as lent:
        assert lent == "/there/agent.1"


def test_a_machine_that_takes_none_is_told(ssh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENT", "")
    with pytest.raises(UserError, match="takes no forwarded") as raised, lent_agent(THERE):
        pass
    assert raised.value.exit_code is ExitCode.REFUSED
