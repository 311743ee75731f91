"""`pip install` of a towline wheel into the environment that runs this: is what was there changed?

For an environment that holds a notebook platform's packages (`nox -s notebook-image`). Without any
constraint, as a person types it in a cell. Prints what came along, and what importing costs.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

IMPORT_RUNS = 11
UP = (
    "import towline.cell, towline.expose, towline.opening, towline.wanted, towline.machine.embedded"
)


def main(wheel: Path) -> int:
    before = installed()
    pip("install", "--quiet", str(wheel))
    after = installed()
    changed = sorted(name for name, version in before.items() if after.get(name) != version)
    added = sorted(f"{name} {after[name]}" for name in after.keys() - before.keys())
    print(f"{sys.version.split()[0]}: {len(before)} packages before; added: {', '.join(added)}")
    for name in changed:
        print(f"CHANGED: {name} {before[name]} -> {after.get(name, 'gone')}")
    pip("check")
    python(UP)
    print(f"`import towline`: {milliseconds('import towline'):.1f} ms, everything of `up`: "
          f"{milliseconds(UP):.0f} ms")  # fmt: skip
    return 1 if changed else 0


def installed() -> dict[str, str]:
    listed = json.loads(pip("list", "--format", "json", "--disable-pip-version-check"))
    return {package["name"]: package["version"] for package in listed}


def milliseconds(program: str) -> float:
    """Return what a program costs beyond the start of the interpreter: the median of some runs."""
    return (_median(program) - _median("pass")) * 1000


def _median(program: str) -> float:
    times: list[float] = []
    for _ in range(IMPORT_RUNS):
        began = time.perf_counter()
        python(program)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def pip(*words: str) -> str:
    argv = [sys.executable, "-m", "pip", *words]
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


def python(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
