"""Where the time of one save goes, stage by stage, from the write to the far rename and back.

    python -m bench.stages [--places loopback,wan] [--saves N] [--write]
    python -m bench.stages --json before.json      # and, when something has changed,
    python -m bench.stages --against before.json   # what it was, and what it is

p50 of each stage on its own. The medians of stages need not add up to the median of the whole.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import page, sample, stamps, trees
from bench.__main__ import DOCS, PLACES
from bench.acting import Bench, Scale, scene
from bench.ground import Place, place_at
from bench.peers import towline
from bench.results import Results
from bench.scenes import SOURCE_SIZE
from lab.wan import why_not as why_no_wan

SAVES = 60
MOMENTS = [name for _, _, _, name in stamps.ENGINE + stamps.AGENT + stamps.ANSWER]
WHOLE = "all of it"
Medians = dict[str, float]  # Moment → seconds after the moment before.
SETTLE_S = 0.25  # For the answer of the last save to be written down.


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.stages", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--places", default="loopback,wan")
    parser.add_argument("--saves", type=int, default=SAVES)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the medians there")
    parser.add_argument("--against", type=Path, metavar="FILE", help="show those beside these")
    options = parser.parse_args(argv)
    measured: dict[str, Medians] = {}
    for name in options.places.split(","):
        if name == "wan" and (reason := why_no_wan()):
            print(f"no WAN link: {reason}", file=sys.stderr)
            continue
        with place_at(name, *PLACES[name]) as place:
            measured[name] = medians(stages_at(place, options.saves))
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1) + "\n")
    before = json.loads(options.against.read_text()) if options.against else {}
    text = table(measured, before)
    print(text)
    if options.write:
        page.write_blocks(DOCS / "performance.md", {"stages": text})
    return 0


def stages_at(place: Place, saves: int) -> dict[str, list[float]]:
    """Return moment → the seconds it came after the moment before, for each save."""
    engine, agent = (place.machine.directory / f"{side}.stamps" for side in ("engine", "agent"))
    python = place.machine.python_path
    real = python.resolve()
    python.unlink()
    python.write_text(stamps.agent_python(python, real, agent))
    python.chmod(0o755)
    launch, towline.LAUNCH = (
        towline.LAUNCH,
        [sys.executable, "-P", stamps.__file__, str(engine), "engine"],
    )
    try:
        began = save_all(place, saves)
    finally:
        towline.LAUNCH = launch
    read = stamps.read_stamps(engine, agent)
    taken: dict[str, list[float]] = {name: [] for name in (*MOMENTS, WHOLE)}
    ends = [*began[1:], began[-1] + 10.0]
    for start, end in zip(began, ends, strict=True):
        mine = [(at, name) for at, name in read if start <= at < end]
        for name, took in one_save(start, mine).items():
            taken[name].append(took)
    return taken


def save_all(place: Place, count: int) -> list[float]:
    """Save a file of Django's so many times; return when each write was done."""
    bench = Bench(Results(), Scale(), frozenset())
    began: list[float] = []
    with scene(bench, place, towline.Towline(), trees.put_django, "") as acting:
        if acting is None:
            raise RuntimeError("; ".join(bench.results.notes))
        near = acting.ground.near
        path = str(trees.of_about(near, SOURCE_SIZE)[0].relative_to(near))
        for _ in range(count):
            content = acting.next_content(path)
            acting.write(path, content)
            began.append(time.perf_counter())
            time.sleep(SETTLE_S + place.rtt_s)
    return began


def one_save(start: float, mine: Sequence[tuple[float, str]]) -> dict[str, float]:
    """Return how long after the moment before each moment of a save came.

    One that did not come, or not after those before it, is passed over.
    """
    took: dict[str, float] = {}
    before, rest = start, list(mine)
    for name in MOMENTS:
        index = next((i for i, (_, moment) in enumerate(rest) if moment == name), None)
        if index is not None:
            took[name] = rest[index][0] - before
            before, rest = rest[index][0], rest[index + 1 :]
    if took:
        took[WHOLE] = before - start
    return took


def medians(taken: Mapping[str, Sequence[float]]) -> Medians:
    return {name: sample.percentile(took, 50) for name, took in taken.items() if took}


def table(measured: Mapping[str, Medians], before: Mapping[str, Medians]) -> str:
    """Return Markdown: a row for each moment, a column for each place, and one for how it was."""
    columns = [
        (title, medians)
        for name in measured
        for title, medians in ((f"{name}, before", before.get(name)), (name, measured[name]))
        if medians is not None
    ]
    lines = [f"| until | {' | '.join(title for title, _ in columns)} |"]
    lines.append(f"|---|{'--:|' * len(columns)}")
    names = dict.fromkeys([*MOMENTS, *(name for _, medians in columns for name in medians)])
    for name in sorted(names, key=lambda name: name == WHOLE):
        cells = [_told(medians.get(name)) for _, medians in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _told(value: float | None) -> str:
    return "-" if value is None else sample.seconds(value)


if __name__ == "__main__":
    sys.exit(main())
