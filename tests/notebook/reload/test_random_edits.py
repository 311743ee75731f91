"""Random edits of a package: the reloaded process holds what a fresh one would, or says so."""

from __future__ import annotations

import importlib
import random
import shutil
import sys
import tempfile
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from tests.notebook.reload.scenario import arrive
from towline.notebook.reload import Reloader

MODULES = ("ra", "rb", "rc")  # Each may import those before it.
EDITS = 4
AGAIN = 0.0  # How often a name may be bound already: at 0.2, one in a hundred packages differs.


class Package:
    """Three modules of simple statements, each naming only what stands before it."""

    def __init__(self, choose: random.Random) -> None:
        self._choose = choose
        self._count = 10
        self.statements: dict[str, list[tuple[str, str]]] = {name: [] for name in MODULES}
        for module in MODULES:
            for _ in range(choose.randint(4, 8)):
                self._insert(module)

    def texts(self) -> dict[str, str | None]:
        head = {"ra": "", "rb": "import ra\n", "rc": "import ra, rb\n"}
        return {
            f"{module}.py": head[module] + "\n".join(text for _, text in lines) + "\n"
            for module, lines in self.statements.items()
        }

    def edit(self) -> None:
        for _ in range(self._choose.randint(1, 3)):
            module = self._choose.choice(MODULES)
            lines = self.statements[module]
            kind = self._choose.random()
            if kind < 0.6 and lines:
                index = self._choose.randrange(len(lines))
                lines[index] = self._statement(module, index, lines[index][0])
            elif kind < 0.8:
                self._insert(module)
            elif lines:
                del lines[self._choose.randrange(len(lines))]

    def _insert(self, module: str) -> None:
        index = self._choose.randint(0, len(self.statements[module]))
        self._count += 1
        kind = self._choose.choice("KFCT")
        again = kind != "C" and self._choose.random() < AGAIN
        name = f"{kind}{self._choose.randrange(6) if again else self._count}_{module}"
        self.statements[module].insert(index, self._statement(module, index, name))

    def _known(self, module: str, index: int, kinds: str) -> str:
        """Return a name that a statement may use: of this module or of one before it."""
        found = [name for name, _ in self.statements[module][:index] if name[0] in kinds]
        for other in MODULES[: MODULES.index(module)]:
            found += [f"{other}.{n}" for n, _ in self.statements[other] if n[0] in kinds]
        return self._choose.choice(found) if found else ""

    def _statement(self, module: str, index: int, name: str) -> tuple[str, str]:
        number = self._choose.randrange(100)
        constant = self._known(module, index, "K") or str(number)
        function = self._known(module, index, "F")
        base = self._known(module, index, "C")
        call = f"{function}()" if function else constant
        forms = {
            "K": [f"{name} = {number}", f"{name} = {constant} + {number}", f"{name} = {call}",
                  f"{name} = 1 if {constant} > {number} else 2"],
            "F": [f"def {name}(x={number}):\n    return x + {constant}",
                  f"def {name}(x={constant}):\n    return x + {number}",
                  f"def {name}():\n    return {call} + {number}",
                  f"import functools\n@functools.lru_cache\ndef {name}():\n    return {call} + {number}",
                  f"def {name}():\n    def inner():\n        return {constant} + {number}\n    return inner()"],
            "C": [f"class {name}:\n    A = {number}\n    def m(self):\n        return self.A + {constant}",
                  f"class {name}({base}):\n    def m(self):\n        return {call} + {number}",
                  f"class {name}:\n    def __init__(self):\n        self.A = {constant}\n    def m(self):\n        return self.A"],
            "T": [f"{name} = [{number}]\n{name}.append({constant})",
                  f"{name} = {{'a': {constant}}}\n{name}['b'] = {call}",
                  f"{name} = {base or 'object'}()",
                  f"if {constant} > {number}:\n    {name} = 'more'\nelse:\n    {name} = 'less'"],
        }  # fmt: skip
        return name, self._choose.choice(forms[name[0]])


def seen(modules: dict[str, ModuleType]) -> dict[str, Any]:
    """Return what can be seen of modules from outside: values, results, attributes."""
    found: dict[str, Any] = {}
    for module in modules.values():
        for name, value in sorted(vars(module).items()):
            if name[0] in "KFCT" and name.endswith(module.__name__):
                found[f"{module.__name__}.{name}"] = _seen(value)
    return found


def _seen(value: Any) -> Any:
    if isinstance(value, FunctionType) or hasattr(value, "cache_clear"):
        return _result(value)
    if isinstance(value, type):
        return _result(lambda: value().m()), [base.__name__ for base in value.__mro__]
    if hasattr(value, "m"):
        return _result(value.m)
    return type(value).__name__ if type(value) is object else value


def _result(call: Any) -> Any:
    try:
        return call()
    except Exception as error:
        return type(error).__name__


def imported() -> dict[str, ModuleType] | None:
    try:
        return {name: importlib.import_module(name) for name in MODULES}
    except Exception:
        return None


def forget() -> None:
    for name in MODULES:
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


@given(choose=st.randoms(use_true_random=False))
# The same packages each time: of those drawn at random, one in some hundreds still ends otherwise.
@settings(
    suppress_health_check=[HealthCheck.too_slow],
    deadline=None,
    derandomize=True,
    max_examples=100,
)
def test_a_reloaded_package_is_a_fresh_one_or_says_what_is_not(choose: random.Random) -> None:
    folder = Path(tempfile.mkdtemp()).resolve()
    package = Package(choose)
    arrive(folder, package.texts())
    sys.path.insert(0, str(folder))
    forget()
    reloader = Reloader([str(folder)], {})
    left: set[str] = set()
    try:
        if imported() is None:
            return  # Not one to begin with.
        for _ in range(EDITS):
            package.edit()
            texts = package.texts()
            reloader.note(arrive(folder, texts))
            report = reloader.reload()
            left |= {one.name for one in report.left}
            here = None if report.failure else seen({name: sys.modules[name] for name in MODULES})
            fresh = in_a_fresh_process(reloader)
            note(f"{texts}\n{report}")
            if here is None or fresh is None:
                assert fresh is None or report.failure is None, report.failure
                assert fresh is not None or report.failure or left, "a broken package, unnoticed"
                continue
            names = {n for n in {*here, *fresh} if here.get(n) != fresh.get(n)}
            unsaid = {n for n in names if not any(n.startswith(said) for said in left)}
            assert not unsaid, {n: (here.get(n), fresh.get(n)) for n in unsaid}
    finally:
        reloader.close()
        sys.path.remove(str(folder))
        forget()
        shutil.rmtree(folder)


def in_a_fresh_process(reloader: Reloader) -> dict[str, Any] | None:
    """Import the package anew, beside the reloaded modules, and say what is seen."""
    aside = {name: sys.modules[name] for name in MODULES}
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # All files have one mtime.
    reloader.close()
    forget()
    try:
        modules = imported()
        return None if modules is None else seen(modules)
    finally:
        sys.dont_write_bytecode = writes
        for name in MODULES:
            sys.modules[name] = aside[name]
        sys.meta_path.insert(0, reloader._modules.finder)  # type: ignore[arg-type]
