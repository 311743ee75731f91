"""What the journeys measured, as tables: on the terminal, and between marks in docs/routes.md."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "docs/routes.md"
MARKED = re.compile(r"(<!-- lab: begin -->\n).*?(<!-- lab: end -->)", re.DOTALL)
LINK_RTTS, LINK_S = 14, 1.0  # What enrolling and linking together are held to.
UP_S = 3.0  # What `up` may take beyond the provider's own time.


@dataclass
class Row:
    """One way: what it was, what it said when it was refused, and its figures: seconds, unless
    their names say something else.
    """

    way: str
    part: str
    refused: str = ""
    figures: dict[str, float] = field(default_factory=dict[str, float])


# Head, figure, and how it is written.
COLUMNS = (
    ("route alone", "provider", "{:.2f} s"),
    ("`up`", "up", "{:.2f} s"),
    ("enrol + link", "link", "{:.2f} s"),
    ("save", "save ms", "{:.0f} ms"),
    ("back", "save back ms", "{:.0f} ms"),
    ("`ssh`", "ssh", "{:.2f} s"),
    ("`cp` there", "cp there MB/s", "{:.0f} MB/s"),
    ("back", "cp back MB/s", "{:.0f} MB/s"),
    ("relay dies", "relay back", "{:.1f} s"),
    ("sleep", "awake", "{:.1f} s"),
)


def as_table(rows: Sequence[Row]) -> str:
    heads = ["way", "what it was", *(head for head, _, _ in COLUMNS)]
    lines = [heads, ["---", "---", *["--:"] * len(COLUMNS)]]
    lines += [[f"`{row.way}`", row.part, *_cells(row)] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(row: Row) -> list[str]:
    return [
        form.format(row.figures[key]) if key in row.figures else "-" for _, key, form in COLUMNS
    ]


def merged(file: Path, rows: Sequence[Row]) -> list[Row]:
    """Return the rows of `file` with these over older ones, and keep them there."""
    known: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
    by_way = {plain["way"]: Row(**plain) for plain in known}
    for row in rows:
        older = by_way.get(row.way, row)
        by_way[row.way] = replace(row, figures=older.figures | row.figures)
    file.write_text(json.dumps([asdict(row) for row in by_way.values()], indent=1))
    return list(by_way.values())


def as_refusals(rows: Sequence[Row]) -> str:
    return "".join(f"- `{row.way}`: {row.refused}\n" for row in rows if row.refused)


def verdicts(rows: Sequence[Row], rtt_ms: float) -> list[str]:
    """Return a sentence for each limit: by how much it is held, or by which ways not."""
    ups = {r.way: r.figures["up"] - r.figures["provider"] for r in rows if "up" in r.figures}
    links = {r.way: r.figures["link"] for r in rows if "link" in r.figures}
    link_s = LINK_RTTS * rtt_ms / 1000 + LINK_S
    return [
        _verdict("`up` beyond the route's own time", ups, UP_S),
        _verdict("enrol and link", links, link_s),
    ]


def _verdict(what: str, taken: dict[str, float], limit: float) -> str:
    over = sorted(way for way, seconds in taken.items() if seconds > limit)
    held = f"not held by {'; '.join(over)}" if over else "held"
    worst = max(taken.values(), default=0.0)
    return f"{what}: at most {worst:.2f} s of {limit:.1f} s: {held}"


def write_page(rows: Sequence[Row], rtt_ms: float) -> None:
    """Put all of it between the marks of docs/routes.md."""
    said = "".join(f"- {sentence}\n" for sentence in verdicts(rows, rtt_ms))
    body = f"{as_table(rows)}\n{said}\nWhat was said to who had set it up wrongly:\n\n"
    text = f"At a round trip of {rtt_ms:g} ms:\n\n{body}{as_refusals(rows)}"
    page = PAGE.read_text()
    PAGE.write_text(MARKED.sub(lambda marks: f"{marks[1]}{text}{marks[2]}", page))
