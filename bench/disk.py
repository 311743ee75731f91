"""What a folder costs per file: scan, hash, apply, observe. Run: python bench/disk.py [FILES]"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from towline.core.change import Change, Outcome, changes_between
from towline.core.entry import Directory, File, digest_of
from towline.core.ignore import Rules
from towline.disk.folder import Folder
from towline.disk.replica import Replica

FILES = 10_000
PER_DIRECTORY = 20
ALONE = 100  # Files saved one by one.
SIZE = 4 << 10  # Bytes; the median source file.


def path_of(number: int) -> str:
    directory = number // PER_DIRECTORY
    return f"package{directory // 50:03}/part{directory % 50:02}/module{number:06}.py"


def file_of(content: bytes) -> File:
    return File(digest_of(content), size=len(content))


def measured(what: str, count: int, work: Callable[[], object]) -> None:
    """Print the time by the clock, and what of it the processor was at work for us."""
    begun, begun_cpu = time.perf_counter(), time.process_time()
    work()
    took, cpu = time.perf_counter() - begun, time.process_time() - begun_cpu
    each, each_cpu = took / count * 1e6, cpu / count * 1e6
    print(f"{what:<34} {took * 1e3:9.1f} ms {each:9.1f} us a file {each_cpu:9.1f} us of processor")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else FILES
    old = [os.urandom(SIZE) for _ in range(count)]
    new = [os.urandom(SIZE) for _ in range(count)]
    contents = {digest_of(content): content for content in (*old, *new)}
    created = [Change(path_of(n), None, file_of(old[n])) for n in range(count)]
    replaced = [Change(path_of(n), file_of(old[n]), file_of(new[n])) for n in range(count)]
    with tempfile.TemporaryDirectory() as name:
        cache_file = Path(name, "cache")
        root = Path(name, "root")
        root.mkdir()

        def fresh() -> Replica:
            return Replica(Folder(root), Rules([]), host="bench", cache_file=cache_file)

        def apply(changes: list[Change]) -> None:
            results = replica.apply(changes, contents)
            assert {result.outcome for result in results} == {Outcome.DONE}

        replica = fresh()
        replica.scan()
        measured("apply: create", count, lambda: apply(created))
        measured("apply: replace", count, lambda: apply(replaced))
        back = [Change(change.path, change.new, change.old) for change in replaced[:ALONE]]
        measured("apply: replace, each alone", ALONE, lambda: [apply([one]) for one in back])
        measured("observe own writes", count, lambda: replica.observe([c.path for c in created]))
        measured("scan, all known", count, replica.scan)
        measured("save cache", count, replica.save_cache)
        measured("load cache", count, fresh)
        cache_file.unlink()
        measured("scan and hash", count, fresh().scan)
        gone = list(changes_between("", replica.tree.root, Directory({})))
        measured("apply: delete", count, lambda: apply(gone))


if __name__ == "__main__":
    main()
