"""The whole comparison, or a part of it.

    python -m bench                               # all, in the time of a coffee
    python -m bench --quick                       # the most telling part, in three minutes
    python -m bench --only save,burst --peers towline,floor --places loopback
    python -m bench --json run.json               # and keep what was measured
    python -m bench --from run.json --write       # measure nothing: what a run says
    python -m bench.agree run.json other.json     # whether two runs agree in order
    python -m bench --list

Prints tables, and which limits held. With `--write` they also go into docs/performance.md, with the
picture.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from bench import choice, page, picture, trees, verdict
from bench.acting import QUICK, Bench, Scale
from bench.facts import machine_facts
from bench.ground import Place, place_at
from bench.peers import PEERS
from bench.results import Results, read_results
from bench.scenes import SCENES
from lab.wan import why_not as why_no_wan
from tests.end_to_end.sshd import why_not as why_no_machine

DOCS = Path(__file__).parents[1] / "docs"
WAN = (100.0, 100.0)  # Round trip in ms, Mbit/s.
PLACES = {"loopback": (0.0, 0.0), "wan": WAN}
QUICK_PEERS = ("towline", "floor", "tar", "tar.zst", "lsyncd-0", "rsync-loop")
QUICK_WORKLOADS = ("save", "burst", "rename", "flush", "first: django")
ALL_WORKLOADS = [workload for _, workloads in SCENES.values() for workload in workloads]


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    if options.list:
        print("workloads:", ", ".join(ALL_WORKLOADS), "\npeers:", ", ".join(PEERS))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # With all that is cleaned up then.
    if options.given:
        tell(read_results(options.given), write=options.write)
        return 0
    if reason := why_no_machine():
        print(f"nothing can be measured here: {reason}", file=sys.stderr)
        return 1
    results = Results(facts=machine_facts())
    bench = Bench(results, QUICK if options.quick else Scale(), frozenset(options.only))
    began = time.monotonic()
    for name in options.places:
        if name == "wan" and (reason := why_no_wan()):
            results.note(f"no WAN link: {reason}")
            continue
        with place_at(name, *PLACES[name]) as place:
            run_all(bench, place, options.peers, options.json)
    results.facts += f" The run took {(time.monotonic() - began) / 60:.0f} minutes."
    if options.json:
        results.save(options.json)
    tell(results, write=options.write)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    def words(known: list[str]) -> type:
        def split(text: str) -> list[str]:
            parts = text.split(",")
            chosen = [word for word in known if {word, word.partition(":")[0]} & set(parts)]
            if not chosen:
                raise argparse.ArgumentTypeError(f"none of {', '.join(known)}")
            return chosen

        return split  # type: ignore[return-value]

    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="a part, with fewer samples")
    parser.add_argument("--only", type=words(ALL_WORKLOADS), metavar="WORKLOAD,…")
    parser.add_argument("--peers", type=words(list(PEERS)), metavar="PEER,…")
    parser.add_argument("--places", type=words(list(PLACES)), default=list(PLACES))
    parser.add_argument("--write", action="store_true", help="write the page and the picture")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures there")
    parser.add_argument(
        "--from", dest="given", type=Path, nargs="+", metavar="FILE", help="tell what these hold"
    )
    parser.add_argument("--list", action="store_true", help="name workloads and peers")
    options = parser.parse_args(argv)
    options.only = options.only or (QUICK_WORKLOADS if options.quick else ALL_WORKLOADS)
    options.peers = options.peers or (QUICK_PEERS if options.quick else list(PEERS))
    return options


def run_all(bench: Bench, place: Place, chosen: list[str], kept: Path | None) -> None:
    """Run every scene that is wanted; after each peer keep what is there so far."""
    for scene_name, (_, workloads) in SCENES.items():
        if not bench.wants(*workloads):
            continue
        if scene_name in ("django", "hog", "resume") and not _has_django(bench):
            continue
        if scene_name == "sizes" and place.link is not None:
            continue
        if left_out := choice.left_out(place.name, scene_name):
            bench.results.note(left_out)
        for name in choice.peers_of(scene_name, place.name, chosen):
            run_one(bench, place, scene_name, name)
            if kept:
                bench.results.save(kept)


def run_one(bench: Bench, place: Place, scene_name: str, name: str) -> None:
    scene, workloads = SCENES[scene_name]
    peer = PEERS[name]
    if peer.copies_only and not bench.wants(workloads[0]):
        return
    if reason := peer.why_not():
        bench.results.note(f"{name} was not run: {reason}")
        return
    try:
        scene(bench, place, peer)
    except (OSError, TimeoutError, AssertionError) as error:
        bench.results.note(f"{place.name}: {name} failed in {scene_name}: {error}")


def _has_django(bench: Bench) -> bool:
    try:
        trees.django()
    except (RuntimeError, OSError) as error:
        bench.results.note(f"no workloads on Django's tree: {error}")
        return False
    return True


def tell(results: Results, *, write: bool) -> None:
    """Print what a run says, and write it into the page if asked to."""
    notes = "\n".join(f"- {note}" for note in results.notes) or "Everything could be run."
    blocks = {"facts": results.facts, "verdict": verdict.table(results), "notes": notes}
    blocks |= page.tables_of(results)
    print(*blocks.values(), sep="\n\n")
    if write:
        page.write_blocks(DOCS / "performance.md", blocks)
        (DOCS / "img").mkdir(exist_ok=True)
        (DOCS / "img/performance.svg").write_text(picture.picture_of(results))


if __name__ == "__main__":
    sys.exit(main())
