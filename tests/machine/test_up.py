"""`up` and `down` as their callers see them, several at once among them."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from towline.machine import up
from towline.machine.lock import holder, try_lock
from towline.machine.place import Json, Place, ensure_place
from towline.machine.supervise import Request
from towline.machine.up import ensure_down, ensure_invitation, ensure_up


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


SUPERVISOR = """\
import json, os, sys, time
from pathlib import Path
from towline.machine.lock import try_lock
from towline.machine.place import Place, write_private
place = Place(Path(sys.argv[1]))
place.request.unlink()
lock = try_lock(place.lock)
write_private(place.status, json.dumps({"pid": os.getpid()}))
print(json.dumps({"ready": {"pid": os.getpid()}}), flush=True)
time.sleep(60)
"""


def test_of_two_who_want_it_up_at_once_both_get_the_same(place: Place) -> None:
    argv = [sys.executable, "-c", SUPERVISOR, str(place.directory)]

    def bring_up(_: int) -> Json:
        return ensure_up(place, Request("box"), argv, print)

    with ThreadPoolExecutor(2) as two:
        first, second = two.map(bring_up, range(2))
    assert first["pid"] == second["pid"] == holder(place.lock)
    assert ensure_down(place)


def test_who_looks_for_the_supervisor_is_not_taken_for_it(place: Place) -> None:
    place.lock.write_text("1\n")  # Of one that has ended.
    with ThreadPoolExecutor(4) as several:
        assert set(several.map(lambda _: holder(place.lock), range(4000))) == {None}


def test_a_supervisor_is_not_kept_out_by_who_only_looks(place: Place) -> None:
    place.lock.touch()
    looking = os.open(place.lock, os.O_RDWR)
    fcntl.flock(looking, fcntl.LOCK_SH)

    def stop_looking() -> None:
        time.sleep(0.05)
        os.close(looking)

    with ThreadPoolExecutor(1) as other:
        other.submit(stop_looking)
        lock = try_lock(place.lock)
    assert lock is not None
    assert (holder(place.lock), try_lock(place.lock)) == (os.getpid(), None)
    os.close(lock)
    assert holder(place.lock) is None
