"""`up` and `down` as their callers see them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from towline.machine import up
from towline.machine.place import Place, ensure_place
from towline.machine.up import ensure_invitation


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return ensure_place(tmp_path / "machine")


def test_an_invitation_is_handed_out_only_with_time_to_use_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, expires = ensure_invitation(place, sys.executable)
    assert ensure_invitation(place, sys.executable) == (secret, expires), "it stands open"
    monkeypatch.setattr(up.time, "time", lambda: float(expires - 1))
    other, later = ensure_invitation(place, sys.executable)
    assert (other != secret, later) == (True, expires - 1 + up.INVITATION_S)
