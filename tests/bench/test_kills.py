"""Two kills of a whole machine, small; and what the bench makes of what it sees."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bench.kills.__main__ import Kills, measure, table
from bench.kills.ledger import Finding, Ledger, Row, look
from lab.wan import why_not as why_no_wan
from tests.end_to_end.sshd import why_not as why_no_machine

ROW = Row("epoch_1.pt", hashlib.sha256(b"ok").hexdigest(), 2, closed_at=5.0)


def test_a_machine_that_is_killed_leaves_no_half_file() -> None:
    if reason := why_no_wan() or why_no_machine():
        pytest.skip(f"kills: {reason}")
    kills = Kills(size=3_000_000, every_s=0.6, bandwidth=0.0)
    measure(kills, 2, seed=1)
    assert kills.is_well, kills.findings
    assert len(kills.findings) == 2
    assert sum(one.finished for one in kills.findings) > 0
    assert "| kills | 2 |" in table([kills])


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    here, there = tmp_path / "here", tmp_path / "there"
    for side in (here, there):
        side.mkdir()
        (side / "epoch_1.pt").write_text("ok")
        (side / "train.log").write_text("9.5 loss\n")
    return here, there


def seen(
    sides: tuple[Path, Path], safe_at: float = 0.0, left: dict[str, str] | None = None
) -> Finding:
    return look(*sides, [ROW], left or {}, began_at=1.0, died_at=10.0, due_at=8.0, safe_at=safe_at)


def test_what_is_whole_is_found(sides: tuple[Path, Path]) -> None:
    finding = seen(sides, safe_at=9.0)
    assert (finding.finished, finding.due, finding.missing, finding.half) == (1, 1, [], [])
    assert finding.log_age_s == 0.5
    assert len(finding.delays_s) == 1


def test_a_half_file_is_found(sides: tuple[Path, Path]) -> None:
    (sides[0] / "epoch_1.pt").write_text("o")
    (sides[0] / "epoch_2.pt").write_text("never finished")
    (sides[0] / "train.log").write_text("9.6 los")
    assert seen(sides).half == ["epoch_1.pt", "epoch_2.pt", "train.log"]


def test_what_the_script_itself_left_behind_is_no_half_file(sides: tuple[Path, Path]) -> None:
    ledger = Ledger(sides[1].parent / "ledger")
    ledger.path.write_text("")
    (sides[1] / "epoch_2.pt").write_text("as far as it came")
    ledger.note_left(sides[1])
    (sides[1] / "epoch_2.pt").unlink()  # By the next script, which keeps three.
    (sides[0] / "epoch_2.pt").write_text("as far as it came")
    assert seen(sides, left=ledger.left).half == []
    (sides[0] / "epoch_2.pt").write_text("as far as")
    assert seen(sides, left=ledger.left).half == ["epoch_2.pt"]


def test_what_is_missing_and_what_was_promised_is_found(sides: tuple[Path, Path]) -> None:
    (sides[0] / "epoch_1.pt").unlink()
    (sides[0] / "latest").write_text("epoch_1.pt")
    finding = seen(sides, safe_at=9.0)
    assert finding.missing == ["epoch_1.pt: settled 5.00 s before"]
    assert finding.false_promises == ["epoch_1.pt: 4.00 s"]
    assert finding.early_marks == ["latest names epoch_1.pt"]
    assert not Kills(2, 1.0, 1.0, [finding]).is_well


def test_a_line_that_was_cut_off_is_no_row(tmp_path: Path) -> None:
    row = json.dumps({"name": "a", "sha256": "b", "size": 1, "closed_at": 2.0})
    (tmp_path / "ledger").write_text(f"{row}\n{row[:9]}")
    assert Ledger(tmp_path / "ledger").rows() == [Row("a", "b", 1, 2.0)]
