"""The tables and where they go: between the marks in docs/performance.md, and on the terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import sample
from bench.results import NEVER, Results

PLACES = {"loopback": "Loopback", "wan": "100 ms, 100 Mbit/s"}
TABLES: dict[str, tuple[str, ...]] = {
    "edits": (
        "save, hot",
        "save, cold",
        "save beside bulk",
        "save, far cores busy",
        "burst of 500",
        "directory renamed",
        "flush",
        "after a cut",
        "after a cut, from the new transport",
        "sent again",
    ),
    "copies": (
        "first: django",
        "first: small files",
        "first: large file",
        "large: 1 MB appended",
        "large: 64 kB inserted",
        "relink",
    ),
    "rest": ("idle, near", "idle, far", "memory, near", "memory, far", "memory, both"),
}
SIZES = "save among "
# What cannot be beaten, and is shown as a multiple: for an edit the floor, for a first copy a tar.
REFERENCES = {
    **dict.fromkeys(TABLES["edits"], "floor"),
    "first: django": "tar.zst",
    "first: small files": "tar",
    "first: large file": "tar",
    "large: 1 MB appended": "floor",
    "large: 64 kB inserted": "floor",
}
REFERENCES_FAR = {"first: small files": "tar.zst"}  # There the wire decides.
HEAD = """\
# Performance

Written by `nox -s bench` from what it has just measured, all in one run on one computer. p50, and
p95 in brackets where there are enough samples; then the bytes on the wire for one, both ways.
"""


def tables_of(results: Results) -> dict[str, str]:
    """Return name → Markdown for all that was measured."""
    made: dict[str, str] = {}
    for place in PLACES:
        for name, workloads in TABLES.items():
            if text := table(results, place, workloads):
                made[f"{name}-{place}"] = text
        if text := table(results, place, _sizes(results)):
            made[f"sizes-{place}"] = text
    return made


def _sizes(results: Results) -> tuple[str, ...]:
    return tuple(dict.fromkeys(what for _, what, _ in results.figures if what.startswith(SIZES)))


def table(results: Results, place: str, workloads: Sequence[str]) -> str:
    """Return a row for each peer and a column for each workload that has a figure; "" if none."""
    peers = results.peers(place, tuple(workloads))
    columns = [w for w in workloads if any(results.get(place, w, peer) for peer in peers)]
    if not columns:
        return ""
    heads = [_head(results, place, column) for column in columns]
    lines = [f"| {PLACES.get(place, place)} | {' | '.join(heads)} |"]
    lines.append(f"|---|{'--:|' * len(columns)}")
    for peer in peers:
        cells = [_cell(results, place, column, peer) for column in columns]
        lines.append(f"| {peer} | {' | '.join(cells)} |")
    return "\n".join(lines)


def reference(results: Results, place: str, workload: str) -> tuple[str, float] | None:
    """Return who a workload is measured against, and its p50; None if it was not measured."""
    who = (REFERENCES_FAR if place == "wan" else {}).get(workload) or REFERENCES.get(workload)
    figure = results.get(place, workload, who) if who else None
    return (who, figure.p50) if who and figure and figure.p50 != NEVER else None


def _head(results: Results, place: str, workload: str) -> str:
    found = reference(results, place, workload)
    return f"{workload} (× {found[0]})" if found else workload


def _cell(results: Results, place: str, workload: str, peer: str) -> str:
    figure = results.get(place, workload, peer)
    if figure is None:
        return "-"
    found = reference(results, place, workload)
    if found is None or found[0] == peer or figure.p50 == NEVER:
        return str(figure)
    return f"{figure}, ×{sample.three_digits(figure.p50 / found[1])}"


def with_blocks(page: str, blocks: Mapping[str, str]) -> str:
    """Return the page with these blocks in place of those of the same name, or at its end.

    What stands outside of the marks stays as it is, and so does a block that is not given.
    """
    for name, text in blocks.items():
        begin, end = f"<!-- bench:{name} begin -->", f"<!-- bench:{name} end -->"
        block = f"{begin}\n{text}\n{end}"
        found = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if found.search(page):
            page = found.sub(lambda _, block=block: block, page, count=1)
        else:
            page = f"{page.rstrip()}\n\n{block}\n"
    return page


def write_blocks(path: Path, blocks: Mapping[str, str]) -> None:
    page = path.read_text() if path.exists() else HEAD
    path.write_text(with_blocks(page, blocks))
