"""The picture of a run as SVG: how saves spread for each peer, and what they cost by tree size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from xml.sax.saxutils import escape

from bench import sample
from bench.page import PLACES, SIZES
from bench.results import NEVER, Results

WIDTH, ROW, LEFT, RIGHT, TITLE = 860, 22, 150, 90, 34
PLOT = 240  # Height of the panel of lines.
COLOURS = {  # The same in every panel.
    "towline": "#0b7285",
    "floor": "#868e96",
    "lsyncd-0": "#e8590c",
    "lsyncd-1": "#f08c00",
    "rsync-loop": "#5f3dc4",
    "mutagen": "#2b8a3e",
    "unison": "#c2255c",
    "syncthing": "#1864ab",
}
OTHER = "#846358"
STYLE = "text{font:12px system-ui,sans-serif;fill:#495057}.t{font-weight:600;fill:#212529}"
Points = Sequence[tuple[float, float]]


def picture_of(results: Results) -> str:
    """Return an SVG of all panels that have something to show."""
    panels: list[tuple[str, int]] = []
    for place, title in PLACES.items():
        spread = {
            peer: figure.samples
            for peer in results.peers(place, ("save, hot",))
            if (figure := results.get(place, "save, hot", peer))
        }
        if spread:
            panels.append(distribution(f"Save to visible, {title}", spread))
    lines = _by_size(results)
    if lines:
        panels.append(curves("Save to visible against the number of files, loopback", lines))
    return stacked(panels)


def _by_size(results: Results) -> dict[str, Points]:
    found: dict[str, list[tuple[float, float]]] = {}
    for (place, what, peer), figure in results.figures.items():
        if place == "loopback" and what.startswith(SIZES) and figure.p50 != NEVER:
            count = int(what.removeprefix(SIZES).replace(",", ""))
            found.setdefault(peer, []).append((count, figure.p50))
    return {peer: sorted(points) for peer, points in found.items()}


def stacked(panels: Iterable[tuple[str, int]]) -> str:
    y, parts = 10, [f"<style>{STYLE}</style>"]
    for content, height in panels:
        parts.append(f'<g transform="translate(0,{y})">{content}</g>')
        y += height + 24
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


class Scale:
    """A logarithmic axis from `low` to `high`, on to pixels `start` to `end`."""

    def __init__(self, values: Iterable[float], start: float, end: float) -> None:
        known = [value for value in values if value != NEVER]
        self._low = math.floor(math.log10(min(known)))
        self._high = max(math.ceil(math.log10(max(known))), self._low + 1)
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return round(self._start + share * (self._end - self._start), 1)

    def decades(self) -> list[float]:
        return [10.0**power for power in range(self._low, self._high + 1)]


def distribution(title: str, spread: Mapping[str, Sequence[float]]) -> tuple[str, int]:
    """A row for each peer: all samples as ticks, the middle half as a bar, the median on it."""
    x = Scale((v for samples in spread.values() for v in samples), LEFT, WIDTH - RIGHT)
    height = TITLE + ROW * len(spread) + 16
    parts = [_text(10, 16, title, "t")]
    for decade in x.decades():
        at = x.at(decade)
        parts.append(f'<path d="M{at} {TITLE - 8}V{height - 16}" stroke="#dee2e6"/>')
        parts.append(_text(at, height, sample.seconds(decade), "", "middle"))
    for row, (peer, samples) in enumerate(spread.items()):
        y = TITLE + ROW * row
        known = [value for value in samples if value != NEVER]
        parts.append(_text(LEFT - 10, y + 12, peer, "", "end"))
        if not known:
            parts.append(_text(LEFT, y + 12, "never"))
            continue
        colour = COLOURS.get(peer, OTHER)
        ticks = "".join(f"M{x.at(value)} {y + 2}v12" for value in known)
        low, mid, high = (x.at(sample.percentile(known, percent)) for percent in (25, 50, 75))
        parts.append(f'<path d="{ticks}" stroke="{colour}" stroke-opacity=".35"/>')
        width = max(2.0, round(high - low, 1))
        parts.append(
            f'<rect x="{low}" y="{y + 4}" width="{width}" height="8" fill="{colour}"'
            ' fill-opacity=".55"/>'
        )
        parts.append(f'<path d="M{mid} {y + 1}v14" stroke="{colour}" stroke-width="3"/>')
        parts.append(
            _text(WIDTH - RIGHT + 12, y + 12, sample.seconds(sample.percentile(known, 50)))
        )
    return "\n".join(parts), height


def curves(title: str, lines: Mapping[str, Points]) -> tuple[str, int]:
    x = Scale((at for points in lines.values() for at, _ in points), LEFT, WIDTH - 130)
    y = Scale((v for points in lines.values() for _, v in points), TITLE + PLOT, TITLE)
    parts = [_text(10, 16, title, "t")]
    for decade in y.decades():
        parts.append(f'<path d="M{LEFT} {y.at(decade)}H{WIDTH - 130}" stroke="#dee2e6"/>')
        parts.append(_text(LEFT - 10, y.at(decade) + 4, sample.seconds(decade), "", "end"))
    below = TITLE + PLOT + 18
    parts += [_text(x.at(count), below, f"{count:,.0f}", "", "middle") for count in x.decades()]
    for peer, points in lines.items():
        colour = COLOURS.get(peer, OTHER)
        way = " ".join(f"{x.at(at)},{y.at(value)}" for at, value in points)
        parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>')
        last_x, last_y = x.at(points[-1][0]), y.at(points[-1][1])
        parts.append(f'<circle cx="{last_x}" cy="{last_y}" r="3" fill="{colour}"/>')
        parts.append(_text(last_x + 8, last_y + 4, peer))
    return "\n".join(parts), TITLE + PLOT + 20


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{named}>{escape(text)}</text>'
