"""Words for the login shell of a machine, whichever that is."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from towline.line.options import SshOptions
from towline.there import There

SHELLS = [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"needs {name}"))
    for name in ("sh", "bash", "zsh", "fish", "tcsh")
]


def login(shell: str, home: Path, line: str, given: str = "") -> str:
    """Do as sshd does; return what is said, the last line of it."""
    program = shutil.which(shell)
    assert program
    done = subprocess.run(
        [program, "-c", line],
        input=given,
        cwd=home,
        env={**os.environ, "HOME": str(home), "SHELL": program},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", ["demo", "it's a demo", "gone"])
def test_every_login_shell_goes_into_the_folder_if_it_is_there(
    shell: str, name: str, tmp_path: Path
) -> None:
    expected = tmp_path / name
    if name == "gone":
        expected = tmp_path
    else:
        expected.mkdir()
    there = There("box", SshOptions(), f"~/{name}")
    assert login(shell, tmp_path, there.in_folder("pwd")) == str(expected)
    assert login(shell, tmp_path, there.shell(), "pwd\nexit\n") == str(expected)


def test_a_shell_is_opened_by_words_that_every_login_shell_reads_alike() -> None:
    """fish knows no `${SHELL:-…}` and tcsh no `2>`, which not every computer has to show it."""
    words = shlex.split(There("box", SshOptions(), "~/demo").shell())
    assert words[:7] == ["test", "-d", "~/demo", "&&", "cd", "~/demo;", "exec"]
    assert words[7:] == ["/bin/sh", "-c", 'exec "${SHELL:-/bin/sh}" -l']
