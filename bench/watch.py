"""How long a watch takes: from a write to its notice, and to arm a tree of directories.

Run as `python bench/watch.py`; it prints what it measures and judges nothing.
"""

from __future__ import annotations

import os
import select
import sys
import tempfile
import threading
import time
from pathlib import Path

from towline.disk.watch import Watch, open_watch

DIRECTORIES = 5_000
FILES_EACH = 10
EDITS = 2_000
PATIENCE_S = 5.0


def make_tree(root: Path) -> None:
    for number in range(DIRECTORIES):
        directory = root / f"d{number % 50}" / f"e{number}"
        directory.mkdir(parents=True)
        for file in range(FILES_EACH):
            (directory / f"f{file}.py").touch()


def armed(root: Path) -> tuple[Watch, float]:
    watch = open_watch(root, lambda path: False)
    began = time.perf_counter()
    watch.start()
    return watch, time.perf_counter() - began


def latencies(watch: Watch, root: Path) -> list[float]:
    """Return the seconds from before each save to when its path had been read, sorted.

    The saves come from a thread, as an editor's would: the reader is asleep when they happen.
    """
    taken: list[float] = []
    saved: dict[str, float] = {}
    heard = threading.Event()
    writer = threading.Thread(target=save_all, args=(root, saved, heard))
    writer.start()
    while len(taken) < EDITS and select.select([watch], [], [], PATIENCE_S)[0]:
        for path in watch.read().paths & saved.keys():
            taken.append(time.perf_counter() - saved.pop(path))
            heard.set()
    writer.join()
    return sorted(taken)


def save_all(root: Path, saved: dict[str, float], heard: threading.Event) -> None:
    for number in range(EDITS):
        path = f"d{number % 50}/e{number}/f0.py"
        saved[path] = time.perf_counter()
        with open(root / path, "w") as file:
            file.write(str(number))
        heard.wait(PATIENCE_S)
        heard.clear()


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        make_tree(root)
        watch, arming_s = armed(root)
        with watch:
            times = latencies(watch, root)
            began = time.perf_counter()
            watch.rewatch()
            rewatching_s = time.perf_counter() - began
            count = watch.statistics().watched
        out = sys.stdout.write
        out(f"{watch.mode.kind.value}, Python {sys.version.split()[0]}, {os.cpu_count()} cores\n")
        out(f"arming {count:,} directories: {arming_s * 1e3:.0f} ms\n")
        out(f"rewatching them: {rewatching_s * 1e3:.0f} ms\n")
        p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
        out(f"write to notice, {len(times):,} saves: ")
        out(f"p50 {p50 * 1e3:.3f} ms, p99 {p99 * 1e3:.3f} ms\n")


if __name__ == "__main__":
    main()
