"""Places, passwords and servers as people write them, and what is no such thing."""

from __future__ import annotations

import stat
import sys
import types
from pathlib import Path

import pytest

from tests.snapshots.repositories import settings_for
from towline.errors import ExitCode, UserError
from towline.snapshots.location import Location, parse_location
from towline.snapshots.password import check_source, password_for
from towline.snapshots.repository import environment_for, options_for, sftp_command
from towline.snapshots.server import Server, parse_server


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("/mnt/drive/keep", Location("/mnt/drive/keep", "folder")),
        ("~/keep", Location("~/keep", "folder")),
        ("sftp:me@server:/keep", Location("sftp:me@server:/keep", "sftp", "me@server")),
        ("sftp:gpu:keep", Location("sftp:gpu:keep", "sftp", "gpu")),
        ("sftp://me@s:2222//keep", Location("sftp://me@s:2222//keep", "sftp", "me@s", 2222)),
        ("s3:https://host/bucket", Location("s3:https://host/bucket", "s3")),
        ("gs:bucket:/", Location("gs:bucket:/", "gs")),
        ("rclone:gdrive:keep", Location("rclone:gdrive:keep", "rclone")),
    ],
)  # fmt: skip
def test_a_place(text: str, location: Location) -> None:
    assert parse_location(text) == location


@pytest.mark.parametrize(
    "text", ["keep", "./keep", "ftp:x", "sftp:server", "sftp:-oProxyCommand=x:/y", "sftp:a:", ":x"]
)
def test_no_place(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_location(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rest:https://me:sec@ret:1@host:8000/a:b@c/", "rest:https://me:***@host:8000/a:b@c/"),
        ("rest:https://me@host:8000/", "rest:https://me@host:8000/"),
        ("s3:https://host:9000/bucket", "s3:https://host:9000/bucket"),
        ("sftp:me@server:/a:b@c", "sftp:me@server:/a:b@c"),
        ("~/keep", "~/keep"),
    ],
)
def test_a_password_in_a_place_is_not_shown(text: str, shown: str) -> None:
    assert parse_location(text).shown == shown


@pytest.mark.parametrize(
    ("text", "few"),
    [
        ("/content/drive/MyDrive/keep", True),
        ("/home/me/Google Drive/keep", True),
        ("/Users/me/Library/CloudStorage/GoogleDrive-me/My Drive/keep", True),
        ("rclone:gdrive:keep", True),
        ("/mnt/disk/keep", False),
        ("s3:https://host/bucket", False),
    ],
)
def test_where_each_file_costs_packs_are_large(text: str, few: bool) -> None:
    assert parse_location(text).wants_few_files is few


def test_ssh_asks_nothing_believes_no_stranger_and_lends_nothing() -> None:
    settings = settings_for("sftp://me@server:2222//keep", ssh_config="/my config")
    argv = sftp_command(settings)
    assert argv[0] == "ssh"
    assert argv[-3:] == ["me@server", "-s", "sftp"]
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes", "ForwardAgent=no"} <= set(argv)
    assert "RemoteCommand=none" in argv, "ssh would refuse to be told a subsystem, too"
    assert argv[1:5] == ["-F", "/my config", "-p", "2222"]
    assert "'/my config'" in options_for(settings)[1]


def test_the_password_is_in_no_argument_and_replaces_others(tmp_path: Path) -> None:
    given = {"TEST_KEY": "hidden", "RESTIC_PASSWORD_COMMAND": "echo other", "PATH": "/bin"}
    settings = settings_for(tmp_path / "repo", bandwidth=1_000_000)
    assert "hidden" not in " ".join(options_for(settings))
    assert options_for(settings) == ["--limit-upload", "976"]
    environment = environment_for(settings, given)
    assert environment["RESTIC_PASSWORD"] == given["TEST_KEY"]
    assert "RESTIC_PASSWORD_COMMAND" not in environment


def test_a_password_file_must_be_the_persons_alone(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("x")
    file.chmod(0o640)
    with pytest.raises(UserError, match="not yours alone") as caught:
        password_for(f"file:{file}", {})
    assert caught.value.exit_code is ExitCode.REFUSED
    file.chmod(stat.S_IRUSR)
    assert password_for(f"file:{file}", {}) == {"RESTIC_PASSWORD_FILE": str(file)}
    with pytest.raises(UserError, match="cannot be read"):
        password_for(f"file:{tmp_path}/none", {})


def test_other_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    assert password_for("command:pass show x", {}) == {"RESTIC_PASSWORD_COMMAND": "pass show x"}
    with pytest.raises(UserError, match="KEY is not set"):
        password_for("env:KEY", {"KEY": ""})
    ring = types.ModuleType("keyring")
    ring.get_password = lambda service, user: {("mine", "towline"): "k"}.get((service, user))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", ring)
    assert password_for("keyring:mine", {}) == {"RESTIC_PASSWORD": "k"}
    with pytest.raises(UserError, match="has nothing for other"):
        password_for("keyring:other", {})
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(UserError) as caught:
        password_for("keyring:mine", {})
    assert "towline[keyring]" in caught.value.hint


@pytest.mark.parametrize("text", ["hunter2", "env:", "plain:x", ""])
def test_a_password_itself_is_no_source(text: str) -> None:
    with pytest.raises(ValueError, match="expected env:VARIABLE") as caught:
        check_source(text)
    assert not text or text not in str(caught.value) or text == "env:"


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("me@server:keep", Server("me@server", "keep")),
        ("server:/srv/keep/", Server("server", "/srv/keep")),
        ("server:~/keep/proj", Server("server", "keep/proj")),
    ],
)
def test_a_server(text: str, server: Server) -> None:
    assert parse_server(text) == server


@pytest.mark.parametrize(
    "text", ["server", "server:", "server:/", "server:~", "-oX:keep", "server:a b", "server:$(x)"]
)
def test_no_server(text: str) -> None:
    with pytest.raises(ValueError, match="expected user@host:folder"):
        parse_server(text)
