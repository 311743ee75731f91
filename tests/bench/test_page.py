"""Figures, tables and the blocks of the page."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from bench import sample
from bench.page import table, tables_of, with_blocks, write_blocks
from bench.picture import picture_of
from bench.results import NEVER, Figure, Results


@pytest.mark.parametrize(
    ("samples", "percent", "value"),
    [
        ([1.0], 50, 1.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([4.0, 1.0, 2.0, 3.0], 50, 2.0),
        (list(map(float, range(1, 101))), 95, 95.0),
        ([1.0, 2.0], 100, 2.0),
        ([1.0, NEVER], 95, NEVER),
    ],
)
def test_percentiles(samples: list[float], percent: float, value: float) -> None:
    assert sample.percentile(samples, percent) == value


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="no samples"):
        sample.percentile([], 50)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0034159, "3.42 ms"),
        (12.06, "12.1 s"),
        (0.000712, "712 µs"),
        (0.25, "250 ms"),
        (1.0, "1 s"),
        (math.inf, "never"),
    ],
)
def test_times_are_told_with_three_digits(value: float, text: str) -> None:
    assert sample.seconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(76, "76 B"), (11_600_000, "11.6 MB"), (0, "0 B")])
def test_sizes_are_told_with_three_digits(value: float, text: str) -> None:
    assert sample.size(value) == text


def test_few_samples_have_no_p95() -> None:
    assert str(Figure((0.001, 0.002))) == "1 ms"
    assert str(Figure((0.001,) * 10)) == "1 ms (1 ms)"
    assert str(Figure((0.001,), wire=2000.0)) == "1 ms, 2 kB"
    assert str(Figure((0.001, 0.002, NEVER))) == "2 ms, 1 of 3 never"
    assert str(Figure((NEVER,))) == "never"
    assert str(Figure((NEVER,), patience_s=30.0)) == "> 30 s"


@pytest.fixture
def results(capsys: pytest.CaptureFixture[str]) -> Results:
    made = Results()
    made.add("loopback", "save, hot", "towline", Figure((0.003,)))
    made.add("loopback", "save, hot", "floor", Figure((0.0007,)))
    made.add("loopback", "flush", "towline", Figure((0.001,)))
    for count in (1_000, 10_000):
        made.add("loopback", f"save among {count:,}", "towline", Figure((0.003,)))
    capsys.readouterr()
    return made


def test_a_table_has_a_row_per_peer_and_a_column_per_workload(results: Results) -> None:
    assert table(results, "loopback", ("save, hot", "burst of 500", "flush")).splitlines() == [
        "| Loopback | save, hot (× floor) | flush |",
        "|---|--:|--:|",
        "| towline | 3 ms, ×4.29 | 1 ms |",
        "| floor | 700 µs | - |",
    ]


def test_a_table_without_figures_is_empty(results: Results) -> None:
    assert table(results, "wan", ("save, hot",)) == ""
    assert sorted(tables_of(results)) == ["edits-loopback", "sizes-loopback"]


PAGE = """\
# Title
<!-- bench:a begin -->
old
<!-- bench:a end -->
between
<!-- bench:b begin -->
kept
<!-- bench:b end -->
"""


def test_a_block_is_replaced_and_all_else_stays() -> None:
    assert with_blocks(PAGE, {"a": r"new \1"}) == PAGE.replace("old", r"new \1")


def test_a_new_block_comes_last(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    write_blocks(path, {"a": "1"})
    write_blocks(path, {"a": "2", "b": "3"})
    text = path.read_text()
    assert text.startswith("# Performance")
    assert text.endswith(
        "<!-- bench:a begin -->\n2\n<!-- bench:a end -->\n\n"
        "<!-- bench:b begin -->\n3\n<!-- bench:b end -->\n"
    )


def test_the_picture_is_svg_and_names_who_is_in_it(results: Results) -> None:
    words = "".join(ElementTree.fromstring(picture_of(results)).itertext())  # noqa: S314
    assert "towline" in words
    assert "floor" in words
    assert "against the number of files" in words


def test_what_never_arrived_is_no_point_of_the_picture(results: Results) -> None:
    results.add("loopback", "save, hot", "lost", Figure((NEVER, NEVER)))
    assert "never" in "".join(ElementTree.fromstring(picture_of(results)).itertext())  # noqa: S314
