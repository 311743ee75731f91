"""The agent's log cannot grow."""

from __future__ import annotations

from pathlib import Path

from towline.agent.log import LOG_MAX, Log


def test_it_is_replaced_when_it_is_large(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "a.log"))
    for _ in range(40):
        log.write("x" * (LOG_MAX // 8))
    sizes = [path.stat().st_size for path in sorted(tmp_path.iterdir())]
    assert len(sizes) == 2
    assert max(sizes) < LOG_MAX * 5 // 4


def test_a_log_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "later/a.log"))
    log.write("lost")
    (tmp_path / "later").mkdir()
    log.write("kept")
    (line,) = (tmp_path / "later/a.log").read_text().splitlines()
    assert line.endswith("] kept")


def test_a_traceback_is_kept(tmp_path: Path) -> None:
    try:
        raise KeyError("which")
    except KeyError as error:
        Log(str(tmp_path / "a.log")).write_traceback(error)
    assert "KeyError: 'which'" in (tmp_path / "a.log").read_text()
