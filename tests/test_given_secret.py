"""Secrets where a person keeps them; see `tests/snapshots/test_location` for all of it at work."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from towline.errors import ExitCode, UserError
from towline.given_secret import from_keyring, require_private


def test_a_file_is_private_when_nobody_else_may_do_anything_with_it(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.touch(0o600)
    require_private(file, file.stat(), "it")
    for mode in (0o640, 0o604, 0o620, 0o601):
        file.chmod(mode)
        with pytest.raises(UserError, match="it is not yours alone") as caught:
            require_private(file, file.stat(), "it")
        assert caught.value.hint == f"chmod 600 {file}"


def test_a_keyring_that_is_locked_is_to_be_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(service: str, user: str) -> str:
        raise RuntimeError("locked")

    ring = types.ModuleType("keyring")
    ring.get_password = locked  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", ring)
    with pytest.raises(UserError, match="does not answer: locked") as caught:
        from_keyring("mine", "the password", "")
    assert caught.value.exit_code is ExitCode.TRY_AGAIN
