"""The whole comparison, or a part of it.

    python -m bench                               # all; half an hour and more
    python -m bench --quick                       # the most telling part, in three minutes
    python -m bench --only save,burst --peers towline,floor --places loopback
    python -m bench --list

Prints tables. With `--write` they also go into docs/performance.md, with the picture.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from bench import page, picture, trees
from bench.facts import machine_facts
from bench.ground import Place, place_at
from bench.peers import PEERS
from bench.results import Results
from bench.workloads import QUICK, SCENES, Bench, Scale
from lab.wan import why_not as why_no_wan
from tests.end_to_end.sshd import why_not as why_no_machine

DOCS = Path(__file__).parents[1] / "docs"
WAN = (100.0, 100.0)  # Round trip in ms, Mbit/s.
PLACES = {"loopback": (0.0, 0.0), "wan": WAN}
QUICK_PEERS = ("towline", "floor", "tar", "tar.zst", "lsyncd-0", "rsync-loop")
QUICK_WORKLOADS = ("save", "burst", "rename", "flush", "first: django")
FEW_PEERS = {  # Scenes that say something about these only, or take the others too long.
    "sizes": ("towline", "lsyncd-0", "rsync-loop", "mutagen", "unison"),
    "hog": ("towline", "floor", "lsyncd-0", "mutagen"),
    "resume": ("towline", "floor", "lsyncd-0", "mutagen"),
}
ALL_WORKLOADS = [workload for _, workloads in SCENES.values() for workload in workloads]


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    if options.list:
        print("workloads:", ", ".join(ALL_WORKLOADS), "\npeers:", ", ".join(PEERS))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # With all that is cleaned up then.
    results = Results()
    if reason := why_no_machine():
        print(f"nothing can be measured here: {reason}", file=sys.stderr)
        return 1
    facts = machine_facts()
    bench = Bench(results, QUICK if options.quick else Scale(), frozenset(options.only))
    began = time.monotonic()
    for name in options.places:
        if name == "wan" and (reason := why_no_wan()):
            results.note(f"no WAN link: {reason}")
            continue
        with place_at(name, *PLACES[name]) as place:
            run_all(bench, place, options.peers)
    tell(results, facts, time.monotonic() - began, write=options.write)
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
    parser.add_argument("--list", action="store_true", help="name workloads and peers")
    options = parser.parse_args(argv)
    options.only = options.only or (QUICK_WORKLOADS if options.quick else ALL_WORKLOADS)
    options.peers = options.peers or (QUICK_PEERS if options.quick else list(PEERS))
    return options


def run_all(bench: Bench, place: Place, names: list[str]) -> None:
    for scene_name, (scene, workloads) in SCENES.items():
        if not bench.wants(*workloads):
            continue
        if scene_name in ("django", "hog", "resume") and not _has_django(bench):
            continue
        if scene_name == "sizes" and place.link is not None:
            continue
        for name in names:
            if name not in FEW_PEERS.get(scene_name, names):
                continue
            peer = PEERS[name]
            if peer.copies_only and not bench.wants(workloads[0]):
                continue
            if reason := peer.why_not():
                bench.results.note(f"{name} was not run: {reason}")
                continue
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


def tell(results: Results, facts: str, took_s: float, *, write: bool) -> None:
    tables = page.tables_of(results)
    print(facts, *tables.values(), sep="\n\n")
    if results.notes:
        print("\n" + "\n".join(f"- {note}" for note in results.notes))
    print(f"\n{took_s / 60:.1f} minutes")
    if write:
        notes = "\n".join(f"- {note}" for note in results.notes) or "Everything could be run."
        page.write_blocks(DOCS / "performance.md", {"facts": facts, "notes": notes, **tables})
        (DOCS / "img").mkdir(exist_ok=True)
        (DOCS / "img/performance.svg").write_text(picture.picture_of(results))


if __name__ == "__main__":
    sys.exit(main())
