"""Which limits held, who was ahead, and whether two runs agree in order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench import agree, verdict
from bench.results import NEVER, Figure, Results, read_results

Times = dict[str, float]
Run = Callable[..., Results]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(place: str, workload: str, wire: float | None = None, **times: float) -> Results:
        results = Results()
        for peer, took in times.items():
            results.add(place, workload, peer.replace("_", "-"), Figure((took,), wire=wire))
        capsys.readouterr()
        return results

    return run


def row(results: Results, name: str) -> list[str]:
    (line,) = (line for line in verdict.table(results).splitlines() if f"| {name} |" in line)
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


@pytest.mark.parametrize(
    ("took", "held"), [(0.0039, "yes"), (0.004, "yes"), (0.0041, "**no**"), (NEVER, "**no**")]
)
def test_a_limit_holds_up_to_and_with_itself(run: Run, took: float, held: str) -> None:
    results = run("loopback", "save, hot", towline=took)
    assert row(results, "Loopback: save, hot")[2] == held


def test_a_limit_against_a_reference_is_told_with_what_it_comes_to(run: Run) -> None:
    results = run("wan", "burst of 500", towline=0.5, floor=0.4)
    assert row(results, "100 ms, 100 Mbit/s: burst of 500") == [
        "1.3 × floor = 520 ms",
        "500 ms",
        "yes",
        "-",
    ]


def test_without_its_reference_a_limit_is_open(run: Run) -> None:
    results = run("wan", "burst of 500", towline=0.5)
    assert row(results, "100 ms, 100 Mbit/s: burst of 500")[2] == "?"


@pytest.mark.parametrize(
    ("lsyncd", "told"), [(0.002, "yes"), (0.001, "**no**: lsyncd-0 1 ms"), (NEVER, "yes")]
)
def test_ahead_is_ahead_of_every_peer_and_a_floor_is_none(
    run: Run, lsyncd: float, told: str
) -> None:
    results = run("loopback", "save, hot", towline=0.0015, lsyncd_0=lsyncd, floor=0.0005)
    assert row(results, "Loopback: save, hot")[3] == told


def test_a_save_must_not_grow_with_the_tree(run: Run) -> None:
    results = run("loopback", "save among 1,000", towline=0.004)
    results.figures |= run("loopback", "save among 200,000", towline=0.0061).figures
    assert row(results, "Loopback: save among 200,000")[2] == "**no**"


def test_sooner_than_all_is_as_quick_as_the_quickest_peer(run: Run) -> None:
    results = run("loopback", "large: 1 MB appended", towline=0.5, lsyncd_0=0.4, floor=0.1)
    assert row(results, "Loopback: large: 1 MB appended") == [
        "sooner than all = 400 ms",
        "500 ms",
        "**no**",
        "**no**: lsyncd-0 400 ms",
    ]


def test_what_was_not_measured_has_no_row(run: Run) -> None:
    assert len(verdict.table(run("loopback", "flush", towline=0.001)).splitlines()) == 3


def test_a_run_can_be_kept(run: Run, tmp_path: Path) -> None:
    results = run("wan", "save, hot", wire=12.5, towline=0.05, lsyncd_0=NEVER)
    results.facts = "here"
    results.notes.append("unison was not run")
    results.save(tmp_path / "a")
    assert read_results([tmp_path / "a"]) == results
    run("wan", "save, hot", towline=0.06).save(tmp_path / "b")
    both = read_results([tmp_path / "a", tmp_path / "b"])
    assert both.figures["wan", "save, hot", "towline"].samples == (0.06,)
    assert both.figures["wan", "save, hot", "lsyncd-0"].samples == (NEVER,)


def test_runs_agree_if_no_two_peers_change_places(run: Run) -> None:
    one = run("wan", "save, hot", towline=0.05, floor=0.04, unison=1.0, lsyncd_0=0.5)
    other = run("wan", "save, hot", towline=0.06, floor=0.065, unison=0.4, lsyncd_0=0.5)
    found = list(agree.disagreements(one, other))
    # towline and the floor lie within a tenth of each other in the second run: a tie.
    assert found == [
        "100 ms, 100 Mbit/s, save, hot: "
        "lsyncd-0 500 ms, unison 1 s | lsyncd-0 500 ms, unison 400 ms"
    ]
    assert not list(agree.disagreements(one, one))
