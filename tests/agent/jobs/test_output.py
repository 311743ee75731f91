"""The log of a job: every byte once, and what happens where there is no room."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.end_to_end.test_full_disk import small_disk
from towline.agent.jobs.output import Output

BLOCK = os.urandom(1 << 16)


def test_a_log_that_is_full_says_how_much_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    output = Output(str(path), log_max=8)
    output.put(b"12345678", 0)
    output.put(b"dropped", 0)
    assert output.takes
    output.put(b" too", 0)
    output.close()
    assert path.read_bytes() == b"12345678"
    assert output.dropped == 11
    assert output.reason == "the log has reached 0 MiB"


def test_a_full_disk_is_waited_for_and_then_marked(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk"):
        path = tmp_path / "disk/log"
        output = Output(str(path), wait_s=30)
        kept = 0
        while output.takes:
            output.put(BLOCK, 0)
            kept += len(BLOCK) if output.takes else 0
        output.retry(29)
        assert not output.takes  # The job waits.
        output.retry(30)
        assert output.takes  # It goes on; this and what comes is dropped.
        output.put(b"lost", 31)
        written = path.stat().st_size
        assert kept <= written < 8 << 20
        assert output.dropped == kept + len(BLOCK) - written + 4

        os.truncate(path, 10)  # Room.
        output.put(b"back again", 32)
        output.close()
        mark = f"\n[towline: the disk is full; {output.dropped} bytes of output are missing here]\n"
        assert output.why_missing == "the disk is full"
        assert path.read_bytes() == BLOCK[:10] + mark.encode() + b"back again"


def test_what_only_had_to_wait_for_room_is_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = Output(str(tmp_path / "log"))
    output.put(BLOCK, 0)
    with monkeypatch.context() as patched:
        patched.setattr("towline.agent.jobs.output.has_room", lambda file, size=0: False)
        while output.takes:
            output.put(BLOCK, 0)
    output.retry(1)
    output.close()
    assert (output.dropped, output.why_missing) == (0, "")


def test_a_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    for part in (b"one", b"two"):
        output = Output(str(tmp_path / "log"))
        output.put(part, 0)
        output.close()
    assert (tmp_path / "log").read_bytes() == b"onetwo"
