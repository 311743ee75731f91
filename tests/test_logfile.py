"""The log: events as lines, a bounded file, and a reader that follows."""

from __future__ import annotations

import stat
from pathlib import Path

from towline import logfile
from towline.engine.events import Note, State, Status
from towline.logfile import LOG_MAX, Log, follow_lines, last_lines, parse_line


def test_events_are_kept_with_their_time_and_statuses_are_not(tmp_path: Path):
    log = Log(tmp_path / "log")
    log(Note("one"))
    log(Status("w", "p", "d", "m", State.LIVE, 0.0))
    (line,) = last_lines(tmp_path / "log", 10)
    event = parse_line(line)
    assert (event["event"], event["text"], event["at"] > 0) == ("note", "one", True)
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_a_full_log_is_moved_aside_once(tmp_path: Path):
    path = tmp_path / "log"
    path.write_bytes(b"x" * (LOG_MAX + 1))
    Log(path)(Note("new"))
    assert len(last_lines(path, 10)) == 1
    assert (tmp_path / "log.old").stat().st_size == LOG_MAX + 1


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path):
    Log(tmp_path / "none" / "log")(Note("lost"))
    assert last_lines(tmp_path / "none" / "log", 10) == []


def test_what_is_no_event_is_text(tmp_path: Path):
    assert parse_line("Traceback (most recent call last):") is None
    assert parse_line("[1]") is None


def test_who_follows_gets_whole_lines_also_after_the_log_was_moved(tmp_path, monkeypatch):
    path = tmp_path / "log"
    path.write_text("before\n")

    def append(text):
        with path.open("a") as file:
            file.write(text)

    writes = [
        lambda: append("one\nhal"),
        lambda: append("f\n"),
        lambda: path.replace(tmp_path / "log.old"),
        lambda: path.write_text("new\n"),
    ]
    monkeypatch.setattr(logfile.time, "sleep", lambda _: writes.pop(0)())
    lines = follow_lines(path)
    assert [next(lines) for _ in range(3)] == ["one", "half", "new"]
