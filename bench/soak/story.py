"""What a soak tells in the end: a table for the page, and a picture of memory and descriptors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from bench import sample
from bench.soak.vitals import Vitals, growth

WIDTH, LEFT, RIGHT, PANEL, TITLE, GAP = 860, 70, 110, 130, 30, 44
STYLE = "text{font:12px system-ui,sans-serif;fill:#495057}.t{font-weight:600;fill:#212529}"
COLOURS = {"engine": "#0b7285", "agent": "#e8590c"}


@dataclass
class Story:
    """Counts of a run. `lost`: who had saved what is nowhere any more."""

    seed: int
    lasted_s: float = 0.0
    edits: dict[str, dict[str, int]] = field(default_factory=dict)  # Side → kind → how often.
    weather: dict[str, int] = field(default_factory=dict)
    contents: int = 0
    reconnects: int = 0
    new_lives: int = 0
    conflicts: int = 0
    holds: int = 0
    checks: int = 0  # So often both sides were compared, and every content looked for.
    lost: list[str] = field(default_factory=list)
    unlike: list[str] = field(default_factory=list)  # What the sides differed in, if they did.
    looks: list[Vitals] = field(default_factory=list)
    troubles: list[float] = field(default_factory=list)  # When something happened to the network.

    @property
    def is_well(self) -> bool:
        return not self.lost and not self.unlike

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)) + "\n")


def read_story(path: Path) -> Story:
    plain: dict[str, Any] = json.loads(path.read_text())
    looks = [Vitals(**look) for look in plain.pop("looks")]
    return Story(**plain, looks=looks)


def table(story: Story) -> str:
    """Return Markdown of two columns."""
    edits = sum(sum(kinds.values()) for kinds in story.edits.values())
    each = ", ".join(
        f"{sum(kinds.values()):,} on the {name}" for name, kinds in story.edits.items()
    )
    troubles = ", ".join(f"{count} × {name}" for name, count in sorted(story.weather.items()))
    rows = [
        ("lasted", f"{story.lasted_s / 60:.1f} minutes, seed {story.seed}"),
        ("edits", f"{edits:,} ({each}), {story.contents:,} contents"),
        ("network", troubles),
        ("reconnects", f"{story.reconnects}, of them {story.new_lives} to an agent started anew"),
        ("conflicts", f"{story.conflicts}, both versions kept"),
        ("held until accepted", f"{story.holds} times"),
        ("both sides compared", f"{story.checks} times"),
        ("edits lost", f"{len(story.lost)}"),
        ("unlike at the end", f"{len(story.unlike)} paths"),
        *_growth_rows(story.looks),
    ]
    lines = [f"| {name} | {text} |" for name, text in rows]
    return "\n".join(["| | |", "|---|---|", *lines])


def _growth_rows(looks: Sequence[Vitals]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, (early, late) in growth(looks).items():
        program, _, what = name.partition("_")
        told = sample.size if what == "memory" else sample.three_digits
        rows.append(
            (f"{program}'s {what}, second and last quarter", f"{told(early)}, {told(late)}")
        )
    return rows


def picture(story: Story) -> str:
    """Return an SVG: memory, descriptors and files over time; troubles as ticks below."""
    looks = story.looks
    panels = [
        ("Memory, MB", _pairs(looks, "memory", 1e6)),
        ("Open descriptors", _pairs(looks, "descriptors", 1)),
        ("Files in the project", {"": [(look.at_s, float(look.files)) for look in looks]}),
    ]
    height = len(panels) * (TITLE + PANEL) + GAP
    last_s = max((look.at_s for look in looks), default=1.0) or 1.0
    parts = [f"<style>{STYLE}</style>"]
    for number, (title, lines) in enumerate(panels):
        parts.append(_panel(number * (TITLE + PANEL), title, lines, last_s))
    below = len(panels) * (TITLE + PANEL) + 8
    ticks = "".join(f"M{_x(at, last_s)} {below}v8" for at in story.troubles)
    parts.append(f'<path d="{ticks}" stroke="#c2255c" stroke-opacity=".6"/>')
    parts.append(_text(WIDTH - RIGHT + 8, below + 8, "network troubles"))
    minutes = range(0, int(last_s / 60) + 1, max(1, int(last_s / 60) // 6))
    parts += [_text(_x(at * 60, last_s), below + 24, f"{at} min", "middle") for at in minutes]
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


Line = list[tuple[float, float]]


def _pairs(looks: Sequence[Vitals], what: str, unit: float) -> dict[str, Line]:
    return {
        program: [(look.at_s, getattr(look, f"{program}_{what}") / unit) for look in looks]
        for program in COLOURS
    }


def _panel(top: int, title: str, lines: dict[str, Line], last_s: float) -> str:
    highest = max((value for line in lines.values() for _, value in line), default=0.0) * 1.1 or 1.0
    bottom = top + TITLE + PANEL - 14

    def y(value: float) -> float:
        return round(bottom - value / highest * (PANEL - 20), 1)

    parts = [_text(10, top + 18, title, kind="t")]
    for value in (0.0, highest / 1.1):
        parts.append(f'<path d="M{LEFT} {y(value)}H{WIDTH - RIGHT}" stroke="#dee2e6"/>')
        parts.append(_text(LEFT - 8, y(value) + 4, f"{value:,.0f}", "end"))
    for name, line in lines.items():
        if not line:
            continue
        colour = COLOURS.get(name, "#495057")
        way = " ".join(f"{_x(at, last_s)},{y(value)}" for at, value in line)
        parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(_text(WIDTH - RIGHT + 8, y(line[-1][1]) + 4, name))
    return "\n".join(parts)


def _x(at_s: float, last_s: float) -> float:
    return round(LEFT + at_s / last_s * (WIDTH - RIGHT - LEFT), 1)


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{named}>{escape(text)}</text>'
