"""What is written for systemd and launchd, and that it says what was meant."""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys

import pytest

from towline.errors import UserError
from towline.places import Workspaces
from towline.service import program_of, quoted, service_for

pytestmark = pytest.mark.usefixtures("homes")


@pytest.fixture
def binding(tmp_path):
    return Workspaces().ensure(tmp_path / "my project", "box")


def test_the_unit_runs_this_python_and_restarts_on_failure(homes, binding):
    service = service_for(binding, "linux")
    assert service.file == homes / "config" / "systemd" / "user" / "towline-my-project.service"
    lines = service.content.splitlines()
    program = f'"{sys.executable}" "-P" "-m" "towline" "link" "--json" "--name" "my-project"'
    assert f"ExecStart={program}" in lines
    assert "Restart=on-failure" in lines
    assert "RestartPreventExitStatus=2 3 77 78" in lines
    assert f'Environment="XDG_STATE_HOME={homes}/state"' in lines
    assert "WantedBy=default.target" in lines
    assert service.install[-1] == (
        "systemctl", "--user", "enable", "--now", "towline-my-project.service",
    )  # fmt: skip


def test_a_word_of_a_unit_stands_for_itself():
    assert quoted('a "b" 100% $x \\') == '"a \\"b\\" 100%% $$x \\\\"'
    assert quoted("$x", variables=False) == '"$x"'
    assert "\n" not in quoted("a\nExecStart=b")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_with_it(homes, binding):
    service = service_for(binding, "linux")
    service.write()
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", str(service.file)],
        capture_output=True,
        text=True,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
        check=False,
    )
    assert service.file.name not in done.stderr, done.stderr


def test_the_agent_of_launchd_says_the_same(homes, binding):
    service = service_for(binding, "darwin")
    assert service.file == homes / "Library" / "LaunchAgents" / "dev.towline.my-project.plist"
    plist = plistlib.loads(service.content.encode())
    assert plist["ProgramArguments"] == program_of(binding)
    assert plist["KeepAlive"] == {"SuccessfulExit": False}
    assert plist["RunAtLoad"] is True
    assert plist["StandardErrorPath"] == str(binding.places.log)


def test_on_windows_the_command_to_run_is_told(binding):
    with pytest.raises(UserError, match="by hand") as raised:
        service_for(binding, "win32")
    assert raised.value.hint.startswith("schtasks /create /sc onlogon")
