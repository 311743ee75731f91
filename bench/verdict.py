"""Which limits a run has met, row by row, and whether towline was ahead of every peer in it.

A limit is what the project asks of itself, absolute or as a share of a reference in the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench import sample
from bench.page import PLACES, SIZES
from bench.results import NEVER, Figure, Results

OURS = "towline"
REFERENCES = {"floor", "tar", "tar.zst"}  # Not peers: what nothing can be faster than, or once.
RSYNC = ("lsyncd-0", "lsyncd-1", "rsync-loop")
MS = 1e-3
WAN_RTT_S = 0.1
OF = {"wire": "bytes on the wire"}
Bound = Callable[[Results, str], float | None]  # Results and place → the most it may be.


@dataclass(frozen=True)
class Limit:
    """What one figure may be at most. `what` names the workload, `of` which number of it."""

    place: str
    what: str
    of: str  # "p50", "p95" or "wire".
    text: str
    bound: Bound
    against_peers: bool = True

    @property
    def name(self) -> str:
        """As a person reads it."""
        of = "" if self.of == "p50" else f", {OF.get(self.of, self.of)}"
        return f"{PLACES.get(self.place, self.place)}: {self.what}{of}"

    def measured(self, results: Results) -> float | None:
        figure = results.get(self.place, self.what, OURS)
        return None if figure is None else number(figure, self.of)


def number(figure: Figure, of: str) -> float | None:
    if of == "wire":
        return figure.wire
    return figure.p50 if of == "p50" else figure.p95


def at_most(value: float) -> Bound:
    return lambda results, place: value


def plus(peer: str, what: str, of: str, more_s: float) -> Bound:
    """So much more than a reference took."""
    return lambda results, place: _with(_of(results, place, what, peer, of), lambda at: at + more_s)


def times(peer: str, what: str, factor: float) -> Bound:
    return lambda results, place: _with(
        _of(results, place, what, peer, "p50"), lambda at: at * factor
    )


def least_wire(what: str, peers: tuple[str, ...]) -> Bound:
    """As many bytes as the most sparing of these."""

    def bound(results: Results, place: str) -> float | None:
        known = [_of(results, place, what, peer, "wire") for peer in peers]
        return min((value for value in known if value is not None), default=None)

    return bound


def sooner_than_peers(what: str) -> Bound:
    """No more than the quickest peer."""

    def bound(results: Results, place: str) -> float | None:
        times = [figure.p50 for _, figure in peers_of(results, place, what)]
        return min(times, default=None)

    return bound


def peers_of(results: Results, place: str, what: str) -> Iterator[tuple[str, Figure]]:
    for peer in results.peers(place, (what,)):
        if peer not in {OURS, *REFERENCES}:
            yield peer, results.figures[place, what, peer]


def not_with_size(results: Results, place: str) -> float | None:
    """A quarter and a millisecond more than among the fewest files."""
    fewest = next((f for _, f in _by_size(results, place)), None)
    return None if fewest is None else fewest.p50 * 1.25 + MS


def _by_size(results: Results, place: str) -> Iterator[tuple[str, Figure]]:
    for (at, what, peer), figure in results.figures.items():
        if at == place and peer == OURS and what.startswith(SIZES):
            yield what, figure


def _of(results: Results, place: str, what: str, peer: str, of: str) -> float | None:
    figure = results.get(place, what, peer)
    return None if figure is None else number(figure, of)


def _with(value: float | None, change: Callable[[float], float]) -> float | None:
    return None if value is None or value == NEVER else change(value)


NEAR = "loopback"
FAR = "wan"
LIMITS = (
    Limit(NEAR, "save, hot", "p50", "4 ms", at_most(4 * MS)),
    Limit(NEAR, "save, hot", "p95", "10 ms", at_most(10 * MS)),
    Limit(NEAR, "save, cold", "p50", "4 ms", at_most(4 * MS)),
    Limit(NEAR, "save, cold", "p95", "10 ms", at_most(10 * MS)),
    Limit(NEAR, "save beside bulk", "p50", "15 ms", at_most(15 * MS)),
    Limit(NEAR, "burst of 500", "p50", "60 ms", at_most(60 * MS)),
    Limit(NEAR, "first: django", "p50", "1.3 × tar.zst", times("tar.zst", "first: django", 1.3)),
    Limit(NEAR, "first: small files", "p50", "2 × tar", times("tar", "first: small files", 2)),
    Limit(NEAR, "first: large file", "p50", "1.3 × tar", times("tar", "first: large file", 1.3)),
    Limit(
        NEAR,
        "large: 1 MB appended",
        "p50",
        "sooner than all",
        sooner_than_peers("large: 1 MB appended"),
    ),
    Limit(
        NEAR,
        "large: 64 kB inserted",
        "p50",
        "sooner than all",
        sooner_than_peers("large: 64 kB inserted"),
    ),
    Limit(NEAR, "directory renamed", "p50", "10 ms", at_most(10 * MS)),
    Limit(NEAR, "flush", "p95", "RTT + 5 ms", at_most(5 * MS)),
    Limit(NEAR, "relink", "p50", "1.5 s", at_most(1.5)),
    Limit(NEAR, "idle, near", "p50", "0.2 %", at_most(0.2), against_peers=False),
    Limit(NEAR, "idle, far", "p50", "0.2 %", at_most(0.2), against_peers=False),
    Limit(NEAR, "memory, both", "p50", "150 MB", at_most(150e6), against_peers=False),
    Limit(
        NEAR,
        "save, far cores busy",
        "p95",
        "floor + 40 ms",
        plus("floor", "save, far cores busy", "p95", 40 * MS),
    ),
    Limit(FAR, "save, hot", "p50", "floor + 5 ms", plus("floor", "save, hot", "p50", 5 * MS)),
    Limit(FAR, "save, hot", "p95", "floor + 20 ms", plus("floor", "save, hot", "p95", 20 * MS)),
    Limit(FAR, "save, cold", "p50", "floor + 5 ms", plus("floor", "save, cold", "p50", 5 * MS)),
    Limit(FAR, "save, cold", "p95", "floor + 20 ms", plus("floor", "save, cold", "p95", 20 * MS)),
    Limit(
        FAR, "save beside bulk", "p50", "floor + 15 ms", plus("floor", "save, hot", "p50", 15 * MS)
    ),
    Limit(FAR, "burst of 500", "p50", "1.3 × floor", times("floor", "burst of 500", 1.3)),
    Limit(FAR, "first: django", "p50", "1.15 × tar.zst", times("tar.zst", "first: django", 1.15)),
    Limit(
        FAR,
        "first: small files",
        "p50",
        "1.2 × tar.zst",
        times("tar.zst", "first: small files", 1.2),
    ),
    Limit(
        FAR,
        "first: large file",
        "p50",
        "line rate: 1.05 × tar",
        times("tar", "first: large file", 1.05),
    ),
    Limit(FAR, "large: 1 MB appended", "p50", "0.5 s", at_most(0.5)),
    Limit(FAR, "large: 64 kB inserted", "p50", "0.6 s", at_most(0.6)),
    Limit(
        FAR, "large: 1 MB appended", "wire", "rsync's", least_wire("large: 1 MB appended", RSYNC)
    ),
    Limit(
        FAR, "large: 64 kB inserted", "wire", "rsync's", least_wire("large: 64 kB inserted", RSYNC)
    ),
    Limit(FAR, "directory renamed", "p50", "75 ms", at_most(75 * MS)),
    Limit(FAR, "directory renamed", "wire", "no content", at_most(100e3), against_peers=False),
    Limit(FAR, "flush", "p95", "RTT + 5 ms", at_most(WAN_RTT_S + 5 * MS)),
    Limit(
        FAR,
        "after a cut, from the new transport",
        "p50",
        "2 RTT",
        at_most(2 * WAN_RTT_S),
        against_peers=False,
    ),
    Limit(FAR, "after a cut", "p50", "sooner than all", sooner_than_peers("after a cut")),
    Limit(FAR, "sent again", "p50", "next to nothing", at_most(1e6), against_peers=False),
    Limit(
        FAR,
        "save, far cores busy",
        "p95",
        "floor + 40 ms",
        plus("floor", "save, far cores busy", "p95", 40 * MS),
    ),
)


def ahead(results: Results, limit: Limit) -> str:
    """Say whether no peer was better in this run; else who was."""
    ours = limit.measured(results)
    theirs = [
        (value, peer)
        for peer, figure in peers_of(results, limit.place, limit.what)
        if (value := number(figure, limit.of)) is not None
    ]
    if ours is None or not theirs or not limit.against_peers:
        return "-"
    best, peer = min(theirs)
    return "yes" if ours < best else f"**no**: {peer} {word(best, limit, results)}"


def word(value: float, limit: Limit, results: Results) -> str:
    figure = results.get(limit.place, limit.what, OURS)
    if limit.of == "wire" or (figure and figure.unit == "bytes"):
        return sample.size(value)
    if figure and figure.unit == "%":
        return f"{sample.three_digits(value)} %"
    return sample.seconds(value)


def table(results: Results) -> str:
    """Return Markdown: each limit, what was measured, whether it held."""
    lines = ["| row | limit | measured | held | ahead of every peer |", "|---|--:|--:|---|---|"]
    for limit in all_limits(results):
        measured = limit.measured(results)
        if measured is None:
            continue
        bound = limit.bound(results, limit.place)
        held = "?" if bound is None else "yes" if measured <= bound else "**no**"
        allowed = _allowed(results, limit, bound)
        row = (limit.name, allowed, word(measured, limit, results), held, ahead(results, limit))
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def _allowed(results: Results, limit: Limit, bound: float | None) -> str:
    if bound is None or bound == NEVER:
        return limit.text
    come_to = word(bound, limit, results)
    return limit.text if come_to == limit.text else f"{limit.text} = {come_to}"


def all_limits(results: Results) -> Iterator[Limit]:
    """Yield the fixed limits, and that of a save among the most files that were tried."""
    yield from LIMITS
    last = [what for what, _ in _by_size(results, NEAR)][1:][-1:]
    for what in last:
        yield Limit(NEAR, what, "p50", "1.25 × among the fewest, + 1 ms", not_with_size)
