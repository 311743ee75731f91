"""Whether two runs agree in order: `python -m bench.agree RUN.json OTHER.json`.

For each workload the peers both runs have, quickest first. Two that lie within a tenth of each
other in one of the runs are a tie there: in which order they come says nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from bench.page import PLACES
from bench.results import Figure, Results, read_results

TIE = 1.1


def disagreements(one: Results, other: Results) -> Iterator[str]:
    """Yield a line for each pair of peers that two runs see in another order."""
    for place, workload, peers in common(one, other):
        for a, b in combinations(peers, 2):
            was, now = (_order(run, place, workload, a, b) for run in (one, other))
            if was * now < 0:
                shown = (
                    f"{a} {run.get(place, workload, a)}, {b} {run.get(place, workload, b)}"
                    for run in (one, other)
                )
                yield f"{PLACES.get(place, place)}, {workload}: {' | '.join(shown)}"


def common(one: Results, other: Results) -> list[tuple[str, str, list[str]]]:
    """Return place, workload and the peers that have a figure in both, for all of two or more."""
    found: dict[tuple[str, str], list[str]] = {}
    for place, workload, peer in one.figures.keys() & other.figures.keys():
        found.setdefault((place, workload), []).append(peer)
    rows = ((place, workload, sorted(peers)) for (place, workload), peers in found.items())
    return sorted(row for row in rows if len(row[2]) > 1)


def _order(run: Results, place: str, workload: str, a: str, b: str) -> int:
    first, second = (_figure(run, place, workload, peer).p50 for peer in (a, b))
    if max(first, second) <= TIE * min(first, second):
        return 0
    return -1 if first < second else 1


def _figure(run: Results, place: str, workload: str, peer: str) -> Figure:
    return run.figures[place, workload, peer]


def main(argv: Sequence[str]) -> int:
    if len(argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    one, other = (read_results([Path(name)]) for name in argv)
    pairs = sum(len(peers) * (len(peers) - 1) // 2 for *_, peers in common(one, other))
    found = list(disagreements(one, other))
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{pairs} pairs of peers, {len(found)} in another order")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
