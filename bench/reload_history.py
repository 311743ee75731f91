"""The releases of a real package as a stream of edits: `python -m bench.reload_history WHEELS`.

One process imports the first release and takes over one release after the other; after each it
runs that release's own tests. A fresh process runs the same tests on the same files. What passes
and what fails must be the same.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from bench.releases import PACKAGE, VERSIONS
from towline.notebook.reload import Reloader

RESULTS = Path(__file__).parent / "reload_results.json"


@dataclass(frozen=True)
class Step:
    """One release, taken over and tested."""

    release: str
    files: int  # Changed, new or gone.
    tests: int
    failed: int  # In the fresh process: the release's own.
    differing: tuple[str, ...]  # Tests whose outcome is another one in the reloaded process.
    left: tuple[str, ...]
    milliseconds: float


def play(wheels: Path, work: Path) -> list[Step]:
    """Take over release after release; `wheels` holds a wheel of each."""
    project = work / "project"
    project.mkdir(parents=True)
    _unpack(wheels, VERSIONS[0], project)
    sys.path.insert(0, str(project))
    reloader = Reloader([str(project)])
    _import_all()
    steps = [_tested(VERSIONS[0], project, 0, (), 0.0)]
    for release in VERSIONS[1:]:
        changed = _unpack(wheels, release, project)
        reloader.note(changed)
        report = reloader.reload()
        left = tuple(f"{one.name}: {one.reason}" for one in report.left)
        if report.failure is not None:
            left = (f"{report.failure.path}:{report.failure.line} {report.failure.message}", *left)
        steps.append(_tested(release, project, len(changed), left, report.seconds * 1000))
    return steps


def _tested(
    release: str, project: Path, files: int, left: tuple[str, ...], milliseconds: float
) -> Step:
    here = run_tests(project)
    fresh = _run_tests_fresh(project)
    names = sorted({*here, *fresh})
    differing = tuple(name for name in names if here.get(name) != fresh.get(name))
    failed = sum(outcome != "passed" for outcome in fresh.values())
    return Step(release, files, len(fresh), failed, differing, left, milliseconds)


def _unpack(wheels: Path, release: str, project: Path) -> list[str]:
    """Make the project what the release is; return the paths that changed."""
    wheel = next(wheels.glob(f"{PACKAGE}-{release}-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        new = {
            str(project / name): archive.read(name)
            for name in archive.namelist()
            if name.endswith(".py") and "/tests/" not in name
        }
        tests = {
            name: archive.read(name)
            for name in archive.namelist()
            if name.endswith(".py") and "/tests/" in name
        }
    old = {str(path): path.read_bytes() for path in project.rglob("*.py")}
    for path in old.keys() - new.keys():
        Path(path).unlink()
    changed = [path for path, data in new.items() if old.get(path) != data]
    for path in changed:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(new[path])
    shutil.rmtree(project.parent / "tests", ignore_errors=True)
    (project.parent / "tests").mkdir()
    for name, data in tests.items():
        (project.parent / "tests" / name.replace("/", "-")).write_bytes(data)
    return sorted({*changed, *(old.keys() - new.keys())})


def _import_all() -> None:
    package = importlib.import_module(PACKAGE)
    for found in pkgutil.walk_packages(package.__path__, PACKAGE + "."):
        importlib.import_module(found.name)


def run_tests(project: Path) -> dict[str, str]:
    """Run the test functions that take no arguments; return how each ended."""
    outcomes: dict[str, str] = {}
    for path in sorted((project.parent / "tests").glob("*test_*.py")):
        module = ModuleType(path.stem)
        module.__file__ = str(path)
        try:
            exec(compile(path.read_bytes(), path, "exec"), vars(module))  # noqa: S102
        except Exception as error:
            outcomes[path.stem] = repr(type(error))
            continue
        for name, test in list(vars(module).items()):
            if name.startswith("test_") and callable(test) and not test.__code__.co_argcount:
                outcomes[f"{path.stem}::{name}"] = _outcome(test)
    return outcomes


def _outcome(test: object) -> str:
    try:
        test()  # type: ignore[operator]
    except BaseException as error:
        return type(error).__name__
    return "passed"


def _run_tests_fresh(project: Path) -> dict[str, str]:
    program = (
        "import json, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "from bench.reload_history import run_tests, _import_all; _import_all();"
        "print('\\n' + json.dumps(run_tests(Path(sys.argv[1]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, project], capture_output=True, text=True, check=True
    )
    outcomes: dict[str, str] = json.loads(done.stdout.rpartition("\n{")[2].join(["{", ""]))
    return outcomes


def rows(steps: list[Step]) -> list[list[str]]:
    """Return the result: release, files, tests, the same as in a fresh process, named, ms."""
    return [
        [
            f"{PACKAGE} {step.release}",
            *map(str, (step.files, step.tests, step.tests - len(step.differing))),
            str(len(step.left)),
            f"{step.milliseconds:.0f}",
        ]
        for step in steps
    ]


def main(wheels: Path, write: bool) -> int:
    with tempfile.TemporaryDirectory() as work:
        steps = play(wheels, Path(work))
    for row in rows(steps):
        print(*row, sep="  ")
    if write:
        record = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        record["history"] = rows(steps)
        RESULTS.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    for step in steps:
        for name in (*step.differing, *step.left):
            print(f"{step.release}: {name}")
    return int(any(step.differing for step in steps))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), "--write" in sys.argv))
