"""Keys and files of keys: what OpenSSH's own programs say of them, and what gets in."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from towline.errors import UserError
from towline.machine import authorized
from towline.machine.keys import (
    BadPrivateKeyError,
    ensure_key,
    one_time_key,
    private_text,
    raw_public,
)
from towline.machine.place import Place, ensure_place
from towline.machine.public_key import BadKeyError, check_public_line, fingerprint, public_line

needs_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")


def keygen(*words: object) -> str:
    return subprocess.run(
        ["ssh-keygen", *map(str, words)], capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return ensure_place(tmp_path / "machine")


@needs_keygen
def test_openssh_reads_what_we_write(tmp_path: Path) -> None:
    line = ensure_key(tmp_path / "key", "me")
    assert keygen("-y", "-f", tmp_path / "key").split()[:2] == line.split()[:2]
    assert fingerprint(line) in keygen("-l", "-f", tmp_path / "key.pub")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert ensure_key(tmp_path / "key", "me") == line


@needs_keygen
def test_a_key_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    ensure_key(tmp_path / "key", "me")
    keygen("-p", "-q", "-N", "a phrase", "-f", tmp_path / "key")
    with pytest.raises(BadPrivateKeyError, match="a passphrase"):
        ensure_key(tmp_path / "key", "me")
    keygen("-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "other")
    with pytest.raises(BadPrivateKeyError, match="not of the kind"):
        ensure_key(tmp_path / "other", "me")
    (tmp_path / "key").write_text("cut off")
    with pytest.raises(BadPrivateKeyError, match="damaged"):
        ensure_key(tmp_path / "key", "me")


def test_of_two_who_make_a_key_at_once_both_get_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ensure_key(tmp_path / "key", "me")
    monkeypatch.setattr(Path, "exists", lambda self: False)  # Looked before it was there.
    assert ensure_key(tmp_path / "key", "me") == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "key.pub"]


def test_both_sides_make_the_same_key_of_a_secret() -> None:
    secret = os.urandom(16)
    assert private_text(one_time_key(secret)) != b""
    assert raw_public(one_time_key(secret)) == raw_public(one_time_key(secret))
    assert raw_public(one_time_key(secret)) != raw_public(one_time_key(bytes(16)))


GOOD = public_line(bytes(range(32)), "a comment")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        f'command="id" {GOOD}',
        f"{GOOD}\n{GOOD}",
        f"{GOOD}\r",
        f"cert-authority {GOOD}",
        GOOD.replace("ssh-ed25519", "ssh-rsa"),
        GOOD.replace("ssh-ed25519 ", "ssh-ed25519  "),
        GOOD.replace("a comment", "a\x1b[2Jcomment"),
        "ssh-ed25519 " + "A" * 20_000,
        "ssh-dss AAAAB3NzaC1kc3M=",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_what_is_no_public_key_gets_into_no_file(text: str) -> None:
    if text.endswith("\r"):
        assert check_public_line(text) == GOOD  # White space around it is none of it.
        return
    with pytest.raises(BadKeyError):
        check_public_line(text)


def invite(place: Place, expires: float) -> None:
    line = public_line(raw_public(one_time_key(bytes(16))))
    authorized.invite(place, line, expires, ["/path with space/python", "-P", 'a"b'])


def test_an_invitation_is_used_once(place: Place) -> None:
    now = time.time()
    invite(place, now + 60)
    assert authorized.is_open(place, now)
    assert authorized.laptops(place) == []
    assert authorized.accept_invitation(place, GOOD, now)
    assert authorized.laptops(place) == [GOOD]
    assert not authorized.is_open(place, now)
    assert not authorized.accept_invitation(place, GOOD.replace("comment", "other"), now)
    assert authorized.lines_of(place) == [GOOD]


def test_an_invitation_that_is_too_old_lets_nobody_in(place: Place) -> None:
    now = time.time()
    invite(place, now - 1)
    assert not authorized.is_open(place, now)
    assert not authorized.accept_invitation(place, GOOD, now)
    assert authorized.laptops(place) == []


def test_a_second_invitation_makes_the_first_void_and_keeps_laptops(place: Place) -> None:
    authorized.add_key(place, GOOD)
    authorized.add_key(place, GOOD)
    invite(place, time.time() + 60)
    invite(place, time.time() + 90)
    assert len(authorized.lines_of(place)) == 2
    assert authorized.remove_marked(place, authorized.INVITATION)
    assert not authorized.remove_marked(place, authorized.INVITATION)
    assert authorized.lines_of(place) == [GOOD]


def test_a_place_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(UserError, match="not a directory of yours"):
        ensure_place(tmp_path / "link")
