"""What a route may ask of the world: keys of the person's are used from a private place only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from towline.routes.base import Surroundings
from towline.routes.errors import RouteError
from towline.routes.provider.portmap import ROUTE as PORTMAP

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n"


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def watched(around: Surroundings, told: list[str]) -> Surroundings:
    return replace(around, warn=told.append)


def test_a_key_that_others_may_read_is_copied_and_remarked_on(
    watched: Surroundings, told: list[str], tmp_path: Path
) -> None:
    """As everything on a mounted drive."""
    (key := tmp_path / "drive.pem").write_text(KEY)
    key.chmod(0o644)
    copy = watched.private_copy("ssh.key", key)
    assert copy.read_text() == KEY
    assert copy.stat().st_mode & 0o777 == 0o600
    assert copy.parent.stat().st_mode & 0o777 == 0o700
    assert told == [
        f"others on this machine may read the key {key} (mode 644); what is used is a private"
        " copy, but the key itself is as safe as that place"
    ]


def test_a_key_that_is_kept_well_needs_no_word(
    watched: Surroundings, told: list[str], tmp_path: Path
) -> None:
    (key := tmp_path / "key").touch(0o600)
    watched.private_copy("ssh.key", key)
    assert told == []


def test_a_copy_is_made_anew_so_that_nobody_can_have_it_open(
    watched: Surroundings, tmp_path: Path
) -> None:
    (key := tmp_path / "key").touch(0o600)
    first = watched.private_copy("ssh.key", key)
    with first.open("rb") as held:
        key.write_text(KEY)
        assert watched.private_copy("ssh.key", key).read_text() == KEY
        assert held.read() == b""


def test_a_key_that_is_not_there_is_said(watched: Surroundings, tmp_path: Path) -> None:
    with pytest.raises(RouteError, match="cannot be read"):
        watched.private_copy("ssh.key", tmp_path / "none")


def test_what_lies_in_the_persons_own_folder_is_found_if_it_is_one(
    around: Surroundings, tmp_path: Path
) -> None:
    drive = tmp_path / "drive"
    drive.mkdir()
    here = replace(around, environment={**around.environment, "TOWLINE_HOME": str(drive)})
    assert "set TOWLINE_PORTMAP_KEY" in PORTMAP.why_not(here)
    (drive / "ana.notebook.pem").write_text(KEY)
    (drive / "mapping.json").write_text('{"to": "tcp://ana-20022.portmap.host:20022"}')
    assert PORTMAP.why_not(here) == ""
    assert PORTMAP.is_configured(here)
    (drive / "other.pem").write_text(KEY)
    assert "set TOWLINE_PORTMAP_KEY" in PORTMAP.why_not(here), "which of them, nobody can know"
