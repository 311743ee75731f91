"""The name in a ticket is not one that the person's own ssh configuration has."""

from __future__ import annotations

from pathlib import Path

import pytest

from towline.errors import UserError
from towline.machines import check_name_is_free, machines_dir


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh" / "conf.d").mkdir(parents=True)
    return tmp_path / ".ssh" / "config"


@pytest.mark.parametrize(
    "include",
    ["Include conf.d/*", 'include = "~/.ssh/conf.d/work"', "Include nothing conf.d/work"],
)
def test_a_host_of_an_included_file_is_the_persons(config: Path, include: str) -> None:
    config.write_text(f"Host other\n{include}\n")
    (config.parent / "conf.d" / "work").write_text("Host gpu Prod\n  HostName 192.0.2.1\n")
    with pytest.raises(UserError, match=r"conf\.d/work has a Host of that name"):
        check_name_is_free("prod", config)
    check_name_is_free("free", config)


def test_files_that_include_each_other_come_to_an_end(config: Path) -> None:
    config.write_text("Include config\nHost prod\n")
    with pytest.raises(UserError):
        check_name_is_free("prod", config)
    check_name_is_free("free", config)


def test_machines_of_tickets_are_in_nobodys_way(config: Path) -> None:
    ours = machines_dir() / "prod"
    ours.mkdir()
    (ours / "host_config").write_text("Host prod\n")
    config.write_text(f'Include "{machines_dir()}/*/host_config"\n')
    check_name_is_free("prod", config)
