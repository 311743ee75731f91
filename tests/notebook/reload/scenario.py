"""The table of scenarios: how it is written, and how one is played against the reloader.

A file of `scenarios/` is a group. A scenario begins with `=== what is edited => what must hold`;
its steps are sections, in order:

    --- file PATH        a file that is there from the start
    --- cell             code that the notebook runs; after edits, they arrive just before it
    --- edit PATH        a new or changed file; edits without a cell between them are one set
    --- delete PATH
    --- names NAME       a name that the report on these edits must hold; without it, none may be
    --- failure PATH LINE KIND
    --- python 3.12      the Python it needs

Run as a program it plays all of them and prints what failed: for Pythons without a test runner.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import textwrap
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent / "scenarios"
MTIME = 1_000_000_000  # All files bear it: who trusts times sees nothing change.


@dataclass
class Step:
    """Edits that arrive together, and the cell that runs next."""

    edits: dict[str, str | None] = field(default_factory=dict)
    cell: str = ""
    names: set[str] = field(default_factory=set)
    failure: tuple[str, int, str] | None = None


@dataclass
class Scenario:
    group: str
    title: str
    holds: str
    steps: list[Step] = field(default_factory=list)
    python: tuple[int, int] = (3, 10)

    @property
    def name(self) -> str:
        return re.sub(r"\W+", "-", f"{self.group} {self.title}").strip("-")


def scenarios() -> list[Scenario]:
    return [one for path in sorted(HERE.glob("*.txt")) for one in _read(path)]


def _read(path: Path) -> Iterator[Scenario]:
    group = path.stem.split("_", 1)[1].replace("_", " ")
    for part in re.split(r"^=== ", path.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        head, _, body = part.partition("\n")
        title, _, holds = head.partition(" => ")
        yield _parsed(Scenario(group, title.strip(), holds.strip()), body)


def _parsed(scenario: Scenario, body: str) -> Scenario:
    step = Step()
    for section in re.split(r"^--- ", body, flags=re.MULTILINE)[1:]:
        head, _, text = section.partition("\n")
        kind, *words = head.split()
        if kind in ("file", "edit"):
            step.edits[words[0]] = text
        elif kind == "delete":
            step.edits[words[0]] = None
        elif kind == "names":
            step.names.add(words[0])
        elif kind == "failure":
            step.failure = (words[0], int(words[1]), " ".join(words[2:]))
        elif kind == "python":
            major, minor = words[0].split(".")
            scenario.python = (int(major), int(minor))
        elif kind == "cell":
            step.cell = text
            scenario.steps.append(step)
            step = Step()
        else:
            raise ValueError(f"{scenario.title}: no such section: {kind}")
    assert not step.edits, f"{scenario.title}: edits without a cell after them"
    return scenario


def arrive(folder: Path, edits: dict[str, str | None], mtime: float = MTIME) -> list[str]:
    """Let files appear by rename, or go; return their paths."""
    for name, text in edits.items():
        path = folder / name
        if text is None:
            path.unlink()
            if not any(path.parent.glob("*.*")) and path.parent != folder:
                _remove_folder(path.parent)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(path.name + ".new")
        data = text.encode("latin-1" if "coding: latin-1" in text else "utf-8")
        staged.write_bytes(data)
        os.utime(staged, (mtime, mtime))
        staged.replace(path)
    return [str(folder / name) for name in edits]


def _remove_folder(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)


def play(scenario: Scenario, folder: Path) -> None:
    """Play one scenario; raises what shows that it does not hold."""
    from towline.notebook.reload import Reloader

    before, path = set(sys.modules), list(sys.path)
    sys.path[:0] = [str(folder), str(folder / "src")]
    namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    arrive(folder, scenario.steps[0].edits)
    reloader = Reloader([str(folder), str(folder / "src")], namespace)
    try:
        _run(scenario.steps[0], namespace)
        for step in scenario.steps[1:]:
            if step.edits:
                reloader.note(arrive(folder, step.edits))
                _check(step, reloader.reload(), folder)
            _run(step, namespace)
    finally:
        reloader.close()
        sys.path[:] = path
        for name in set(sys.modules) - before:
            module = sys.modules[name]
            if str(folder) in str(getattr(module, "__file__", folder)):
                del sys.modules[name]


def _run(step: Step, namespace: dict[str, Any]) -> None:
    exec(compile(textwrap.dedent(step.cell), "<cell>", "exec"), namespace)  # noqa: S102


def _check(step: Step, report: Any, folder: Path) -> None:
    failure = None
    if report.failure is not None:
        place = os.path.relpath(report.failure.path or folder, folder)
        failure = (place, report.failure.line, report.failure.kind)
    assert failure == step.failure, report.failure
    named = {left.name for left in report.left}
    assert named == step.names, f"named: {report.left}"


def main(wanted: list[str]) -> int:
    failed = 0
    for scenario in scenarios():
        if sys.version_info[:2] < scenario.python:
            continue
        if wanted and not any(word in scenario.name for word in wanted):
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                play(scenario, Path(folder).resolve())
            except BaseException:
                failed += 1
                print(f"=== {scenario.name}")
                traceback.print_exc(limit=-1 if not wanted else None, file=sys.stdout)
    print(f"{failed} failed of {len(scenarios())}")
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
