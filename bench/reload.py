"""The reloader beside its peers: `python -m bench.reload [--write]`, where they are installed.

Each scenario of the table is played for each reloader in a process of its own, the way its users
run it: IPython's `%autoreload 2` in a shell of IPython, jurigged with its watcher on files that are
written in place, `importlib.reload` called on every module that changed. Then the costs, side by
side. `--write` records both for docs/reload.md.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import re
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.reload_costs import costs
from tests.notebook.reload.scenario import Scenario, Step, arrive, scenarios

RESULTS = Path(__file__).parent / "reload_results.json"
SETTLE_S = 0.5  # What jurigged's watcher is given to see and take over a change.
MTIME_STEP_S = 10.0  # Files of one step are newer than those before: the peers go by times.

Run = Callable[[str], None]


class Towline:
    """The reloader of this project."""

    name = "towline"
    version = ""

    def start(self, folder: Path) -> dict[str, Any]:
        from towline.notebook.reload import Reloader

        self._namespace: dict[str, Any] = {"__name__": "__main__"}
        self._reloader = Reloader([str(folder), str(folder / "src")], self._namespace)
        return self._namespace

    def run(self, cell: str) -> None:
        exec(compile(cell, "<cell>", "exec"), self._namespace)  # noqa: S102

    def changed(self, folder: Path, step: Step, mtime: float) -> None:
        self._reloader.note(arrive(folder, step.edits, mtime))
        report = self._reloader.reload()
        for one in report.left:
            print(one.name, one.reason, one.next_step)
        if report.failure is not None:
            print(report.failure)


class ImportlibReload(Towline):
    """`importlib.reload` on what changed and is loaded, in the order of the edits."""

    name = "importlib.reload"

    def start(self, folder: Path) -> dict[str, Any]:
        self._namespace = {"__name__": "__main__"}
        return self._namespace

    def changed(self, folder: Path, step: Step, mtime: float) -> None:
        import importlib

        paths = arrive(folder, step.edits, mtime)
        importlib.invalidate_caches()
        for path in paths:
            for module in list(sys.modules.values()):
                if getattr(module, "__file__", None) == path:
                    try:
                        importlib.reload(module)
                    except Exception as error:
                        print(repr(error))


class Autoreload:
    """`%autoreload 2` in a shell of IPython."""

    name = "%autoreload 2"

    def start(self, folder: Path) -> dict[str, Any]:
        from IPython.core.interactiveshell import InteractiveShell

        self._shell = InteractiveShell.instance()
        self._shell.run_line_magic("load_ext", "autoreload")
        self._shell.run_line_magic("autoreload", "2")
        return self._shell.user_ns

    def run(self, cell: str) -> None:
        result = self._shell.run_cell(cell)
        self._shell.run_cell(
            "pass"
        )  # It sees new modules after a cell, and is active from the next.
        result.raise_error()

    def changed(self, folder: Path, step: Step, mtime: float) -> None:
        arrive(folder, step.edits, mtime)


def _print_faults(event: object) -> None:
    """jurigged logs what it took over, too; only what it could not counts as told."""
    if isinstance(event, BaseException):
        print(event)


class Jurigged(Towline):
    """jurigged with its watcher; files are written in place, for it sees no renames."""

    name = "jurigged"

    def start(self, folder: Path) -> dict[str, Any]:
        import jurigged

        jurigged.watch(str(folder / "*.py"), logger=_print_faults)  # Its `*` goes into subfolders.
        self._namespace = {"__name__": "__main__"}
        return self._namespace

    def changed(self, folder: Path, step: Step, mtime: float) -> None:
        for name, text in step.edits.items():
            path = folder / name
            if text is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("latin-1" if "coding: latin-1" in text else "utf-8"))
        time.sleep(SETTLE_S)


RELOADERS: list[Callable[[], Any]] = [Towline, ImportlibReload, Autoreload, Jurigged]


def outcome(make: Callable[[], Any], scenario: Scenario) -> str:
    """Play a scenario in a child process: "right"; "told", if wrong but named; "silent"."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.write(writing, _played(make(), scenario).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        result = pipe.read()
    os.waitpid(child, 0)
    return result or "silent"  # It died: whatever it did, it did not say so.


def _played(reloader: Any, scenario: Scenario) -> str:
    folder = Path(tempfile.mkdtemp()).resolve()
    sys.path[:0] = [str(folder), str(folder / "src")]
    said = io.StringIO()
    start = time.time() - 1000
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            first, *rest = scenario.steps
            arrive(folder, first.edits, start)
            reloader.start(folder)
            reloader.run(textwrap.dedent(first.cell))
            for number, step in enumerate(rest, 1):
                said.truncate(0)
                if step.edits:
                    reloader.changed(folder, step, start + number * MTIME_STEP_S)
                reloader.run(textwrap.dedent(step.cell))
                if not _told(step, said.getvalue()):
                    return "silent"
        except BaseException:
            return "told" if _names_anything(step, said.getvalue()) else "silent"
        finally:
            import shutil

            shutil.rmtree(folder, ignore_errors=True)
    return "right"


def _told(step: Step, said: str) -> bool:
    """Whether what had to be named was."""
    named = all(_stands_in(name.rpartition(".")[2], said) for name in step.names)
    return named and (step.failure is None or _stands_in(Path(step.failure[0]).stem, said))


def _stands_in(word: str, said: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", said) is not None


def _names_anything(step: Step, said: str) -> bool:
    """Whether a message, other than the cell's own error, names a module that was edited."""
    said = said.partition("Traceback")[0] + said.partition("Error reloading")[2]
    return any(_stands_in(Path(path).stem, said) for path in step.edits)


def table(argv: list[str]) -> dict[str, dict[str, str]]:
    """Play everything, for those who are named or for everyone."""
    results: dict[str, dict[str, str]] = {}
    for make in RELOADERS:
        name: str = make.name  # type: ignore[attr-defined]
        if name not in argv and set(argv) & {other.name for other in RELOADERS}:  # type: ignore[attr-defined]
            continue
        results[name] = {}
        for scenario in scenarios():
            if sys.version_info[:2] >= scenario.python:
                results[name][scenario.name] = outcome(make, scenario)
        counts = [list(results[name].values()).count(word) for word in ("right", "told", "silent")]
        print(
            f"{name}: {counts[0]} right, {counts[1]} told, {counts[2]} wrong and silent", flush=True
        )
    return results


def versions() -> dict[str, str]:
    from importlib.metadata import version

    names = {"IPython": "ipython", "jurigged": "jurigged"}
    found = {name: version(package) for name, package in names.items()}
    return {"Python": platform.python_version(), **found}


def main(argv: list[str]) -> None:
    import IPython.core.interactiveshell  # noqa: F401 - Once, for all the children.
    import jurigged  # noqa: F401

    os.environ["IPYTHONDIR"] = tempfile.mkdtemp()
    old: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    record = {
        "versions": versions(),
        "scenarios": {} if "--costs" in argv else table(argv),
        "costs": old.get("costs", []) if "--table" in argv else costs(),
    }
    old = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if "--table" in argv:
        record["costs"] = old.get("costs", [])
    record["scenarios"] = {**old.get("scenarios", {}), **record["scenarios"]}
    for label, *cells in record["costs"]:
        print(label, *cells, sep="  ")
    if "--write" in argv:
        RESULTS.write_text(json.dumps({**old, **record}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
