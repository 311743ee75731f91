"""PATH in real login shells, after a profile that sets its own as Debian's does."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.terminal import Terminal
from towline.machine.account import own_account
from towline.machine.login import path_kept
from towline.machine.place import Place, ensure_place

OURS = "/opt/conda/bin:/usr/bin:/bin"
SHELLS = [shell for shell in ("bash", "dash") if shutil.which(shell)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return ensure_place(tmp_path / "a place")


def passed(place: Place) -> dict[str, str]:
    return {"PATH": OURS, "TOWLINE_STATUS_FILE": str(place.status)}


PROFILE = 'PATH=/usr/games; export PATH\nfor i in {}/*.sh; do . "$i"; done\n'


@pytest.mark.parametrize("shell", SHELLS)
def test_a_file_beside_the_profiles_own_puts_it_back(
    place: Place, tmp_path: Path, shell: str
) -> None:
    (profiles := tmp_path / "profile.d").mkdir()
    (profiles / "a.sh").touch()
    (tmp_path / ".profile").write_text(PROFILE.format(profiles))
    with path_kept(place, passed(place), "00" * 8, profiles) as environment:
        assert _login(shell, {**environment, "HOME": str(tmp_path)}, "-c") == OURS
        other = {**environment, "HOME": str(tmp_path), "TOWLINE_STATUS_FILE": "/another"}
        assert _login(shell, other, "-c") == "/usr/games", "it concerns our server's shells only"
    assert [file.name for file in profiles.iterdir()] == ["a.sh"], "nothing stays"


@pytest.mark.parametrize("shell", SHELLS)
def test_without_the_right_to_write_there_interactive_shells_have_it(
    place: Place, tmp_path: Path, shell: str
) -> None:
    (tmp_path / ".profile").write_text("PATH=/usr/games; export PATH\n")
    with path_kept(place, passed(place), "00" * 8, tmp_path / "none") as environment:
        assert _login(shell, {**environment, "HOME": str(tmp_path)}) == OURS


def test_its_variable_is_none_that_a_configuration_is_read_from(
    place: Place, tmp_path: Path
) -> None:
    from towline.config import OPTIONS
    from towline.routes.catalog import routes

    options = {option.variable for option in OPTIONS}
    settings = {setting.variable for route in routes() for setting in route.about.settings}
    with path_kept(place, passed(place), "00" * 8, tmp_path) as environment:
        assert not environment.keys() & (options | settings)


def test_without_a_path_there_is_nothing_to_keep(place: Place, tmp_path: Path) -> None:
    with path_kept(place, {"A": "b"}, "00" * 8, tmp_path) as environment:
        assert environment == {"A": "b"}
    assert list(tmp_path.glob("*.sh")) == []


def _login(shell: str, environment: dict[str, str], *words: str) -> str:
    """Return the PATH that a login shell has: for one command, or typed at its prompt."""
    program = shutil.which(shell)
    assert program is not None
    say = 'echo "<$PATH>"'
    if words:
        argv = [program, "-l", *words, say]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip().strip("<>")
    with Terminal([program, "-l", "-i"], env={**environment, "TERM": "dumb"}) as terminal:
        terminal.type("echo '<'\"$PATH\"'>'; exit\n")
        terminal.wait_exit()
    shown = terminal.shown.decode()
    return shown.rpartition("<")[2].partition(">")[0]


def test_an_account_that_no_file_knows_has_a_name_and_a_shell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    account = own_account({"HOME": "/somewhere", "SHELL": "/usr/sbin/nologin"})
    assert (account.name, account.home, account.shell) == ("user54321", "/somewhere", "/bin/sh")
    monkeypatch.setattr(os, "getuid", lambda: 65534)
    assert own_account({}).shell == "/bin/sh", "nobody's own lets nobody in"
