"""What reloading costs, beside `%autoreload 2`: rows of (what, towline, autoreload), in words."""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from towline.notebook.reload import Reloader

MODULES = 300
CLASSES = 20
HEAP = 10_000_000
RELOADS = 200


def costs() -> list[list[str]]:
    """Measure each row in a process of its own."""
    rows: list[list[str]] = []
    for name in ROWS:
        program = f"import bench.reload_costs as c, json; print(json.dumps(c.ROWS[{name!r}]()))"
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        rows.append([name, *map(str, eval(done.stdout.splitlines()[-1]))])  # noqa: S307 - Ours.
    return rows


def _project(texts: dict[str, str]) -> Path:
    folder = Path(tempfile.mkdtemp()).resolve()
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    sys.path.insert(0, str(folder))
    return folder


def _check() -> tuple[Callable[[], None], Any]:
    """Return what `%autoreload 2` does before each cell."""
    from IPython.core.interactiveshell import InteractiveShell

    os.environ["IPYTHONDIR"] = tempfile.mkdtemp()
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "autoreload")
    shell.run_line_magic("autoreload", "2")
    return lambda: shell.run_cell("pass"), shell


def _median(action: Callable[[], object], times: int) -> float:
    taken: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _nothing(modules: int) -> tuple[str, str]:
    folder = _project({"m.py": "x = 1\n"})
    reloader = Reloader([str(folder)], {})
    __import__("m")
    from IPython.extensions.autoreload import ModuleReloader

    peer = ModuleReloader()
    other = _project({f"filler{index}.py": "x = 1\n" for index in range(modules)})
    for index in range(max(0, modules - len(sys.modules))):
        module = ModuleType(f"filler{index}")
        module.__file__ = str(other / f"filler{index}.py")
        sys.modules[module.__name__] = module
    peer.check(True)
    ours = _median(reloader.reload, 2000)
    theirs = _median(lambda: peer.check(True), 20)
    return f"{ours * 1e6:.1f} us", f"{theirs * 1e6:.0f} us"


def _leaf() -> tuple[str, str]:
    texts = {"pkg/__init__.py": ""}
    for index in range(MODULES):
        needs = f"from pkg import m{index - 1}\n" if index % 10 else ""
        body = "\n".join(
            f"def f{n}(x, y={n}):\n    z = x * {n} + y\n    return [z, len(str(z))]\n"
            f"class C{n}:\n    def run(self):\n        return f{n}(1)\n"
            for n in range(12)
        )
        texts[f"pkg/m{index}.py"] = f"{needs}K = {index}\n{body}"
    folder = _project(texts)
    reloader = Reloader([str(folder)], {})
    run, _ = _check()
    for index in range(MODULES):
        __import__(f"pkg.m{index}")
    run(), run()
    path = folder / f"pkg/m{MODULES - 1}.py"
    text = path.read_text()
    ours: list[float] = []
    theirs: list[float] = []
    for turn in range(7):
        path.write_text(text.replace("x * 3 +", f"x * 3 + {turn} +"))
        os.utime(path, (time.time() + turn, time.time() + turn))
        reloader.note([str(path)])
        ours.append(_median(reloader.reload, 1))
    for turn in range(7):
        path.write_text(text.replace("x * 3 +", f"x * 3 - {turn} +"))
        os.utime(path, (time.time() + 100 + turn, time.time() + 100 + turn))
        theirs.append(_median(run, 1))
    return (
        f"{statistics.median(ours) * 1e3:.0f} ms (first {ours[0] * 1e3:.0f})",
        f"{statistics.median(theirs) * 1e3:.0f} ms",
    )


def _classes(text: int) -> str:
    return "".join(
        f"class C{n}:\n    def __init__(self):\n        self.x = {text}\n"
        f"    def f(self):\n        return {text}\n"
        for n in range(CLASSES)
    )


def _heap() -> tuple[str, str]:
    folder = _project({"m.py": _classes(1)})
    reloader = Reloader([str(folder)], {})
    run, shell = _check()
    shell.run_cell("import m; held = [m.C0() for _ in range(100)]")
    run(), run()
    gc.disable()
    heap: list[Any] = [[] for _ in range(HEAP)]
    path = folder / "m.py"
    path.write_text(_classes(2))
    reloader.note([str(path)])
    ours = _median(reloader.reload, 1)
    path.write_text(_classes(3))
    os.utime(path, (time.time() + 100, time.time() + 100))
    theirs = _median(run, 1)
    shell.run_cell("assert m.C0().f() == held[0].f() == 3").raise_error()
    del heap
    return f"{ours:.2f} s", f"{theirs:.2f} s"


def _many() -> tuple[str, str]:
    folder = _project({"m.py": _classes(0)})
    reloader = Reloader([str(folder)], {})
    run, shell = _check()
    shell.run_cell("import m; held = [m.C0() for _ in range(100)]")
    run(), run()
    path = folder / "m.py"
    ours: list[float] = []
    theirs: list[float] = []
    for turn in range(RELOADS):
        path.write_text(_classes(turn + 1))
        reloader.note([str(path)])
        ours.append(_median(reloader.reload, 1))
    for turn in range(RELOADS // 4):
        path.write_text(_classes(-turn - 1))
        os.utime(path, (time.time() + 100 + turn, time.time() + 100 + turn))
        theirs.append(_median(run, 1))
    return _first_and_last(ours), _first_and_last(theirs)


def _first_and_last(taken: list[float]) -> str:
    first, last = (statistics.median(part) * 1e3 for part in (taken[1:11], taken[-10:]))
    return f"{first:.0f} ms, then {last:.0f} ms after {len(taken)}"


ROWS: dict[str, Callable[[], tuple[str, str]]] = {
    "a cell, nothing changed, 100 modules loaded": lambda: _nothing(100),
    "a cell, nothing changed, 1,000 modules loaded": lambda: _nothing(1000),
    "a cell, nothing changed, 3,000 modules loaded": lambda: _nothing(3000),
    f"a leaf function edited, package of {MODULES} modules": _leaf,
    f"{CLASSES} classes edited, {HEAP // 1_000_000} M objects in the heap": _heap,
    f"{CLASSES} classes edited again and again": _many,
}
