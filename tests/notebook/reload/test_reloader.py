"""What the table of scenarios cannot show: interrupts, repeated reports, whose modules are ours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.notebook.reload.scenario import arrive
from towline.notebook.reload import Reloader

ROOT = Path(__file__).parents[3]


class Project:
    """A folder on `sys.path`, a namespace, and the reloader of both."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self.reloader = Reloader([str(folder)], self.namespace)

    def run(self, cell: str) -> None:
        exec(cell, self.namespace)  # noqa: S102

    def edit(self, **texts: str | None) -> None:
        self.reloader.note(arrive(self.folder, {f"{name}.py": t for name, t in texts.items()}))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    folder = tmp_path.resolve()
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    made = Project(folder)
    yield made
    made.reloader.close()
    sys.path.remove(str(folder))
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_an_interrupt_leaves_all_as_it_was_and_the_next_reload_tries_again(
    project: Project,
) -> None:
    arrive(project.folder, {"ia.py": "K = 1\ndef f():\n    return 1\n", "ib.py": "stop = False\n"})
    project.run("import ia, ib\nfrom ia import K, f")
    project.edit(ia="K = 2\ndef f():\n    return 2\n", ib="import ia\nraise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        project.reloader.reload()
    project.run("assert (ia.K, K, f(), ib.stop) == (1, 1, 1, False)")
    project.edit(ib="stop = True\n")
    assert project.reloader.reload().failure is None
    project.run("assert (ia.K, K, f(), ib.stop) == (2, 2, 2, True)")


def test_a_failure_is_the_same_object_until_its_set_changes(project: Project) -> None:
    arrive(project.folder, {"fa.py": "ran = 0\n", "fb.py": "x = 1\n"})
    project.run("import fa, fb, sys\nsys.fa_runs = 0")
    project.edit(fa="import sys\nsys.fa_runs += 1\n1 / 0\n")
    first = project.reloader.reload().failure
    assert first is not None
    assert (first.line, first.text, first.kind) == (3, "1 / 0", "raised")
    assert first.message == "ZeroDivisionError: division by zero"
    assert project.reloader.reload().failure is first
    project.reloader.note([str(project.folder / "fa.py")])  # Noted again, not changed.
    assert project.reloader.reload().failure is first
    project.run("assert sys.fa_runs == 1; del sys.fa_runs")
    project.edit(fa="ran = 1\n")
    assert project.reloader.reload().failure is None
    project.run("assert fa.ran == 1")


def test_a_syntax_error_names_its_column_and_text(project: Project) -> None:
    arrive(project.folder, {"sa.py": "x = 1\n"})
    project.run("import sa")
    project.edit(sa="x = 1\n    y = (\n")
    failure = project.reloader.reload().failure
    assert failure is not None
    assert failure.kind == "does not compile"
    assert failure.path == str(project.folder / "sa.py")
    assert failure.line >= 1
    assert failure.column >= 1


def test_what_was_not_noted_is_found_by_note_all(project: Project) -> None:
    arrive(project.folder, {"na.py": "x = 1\n"})
    project.run("import na")
    arrive(project.folder, {"na.py": "x = 2\n"})
    assert project.reloader.reload().modules == ()
    project.reloader.note_all()
    assert project.reloader.reload().modules == ("na",)
    project.run("assert na.x == 2")


def test_the_report_names_modules_in_the_order_of_imports(project: Project) -> None:
    texts = {"oc.py": "import ob\nK = ob.K\n", "ob.py": "import oa\nK = oa.K\n", "oa.py": "K = 1\n"}
    arrive(project.folder, texts)
    project.run("import oc")
    project.edit(oa="K = 2\n")
    assert project.reloader.reload().modules == ("oa", "ob", "oc")


def test_why_tells_the_last_thing_that_happened(project: Project) -> None:
    arrive(project.folder, {"wa.py": "def build():\n    return [1]\nT = build()\nU = 1\n"})
    project.run("import wa")
    why = project.reloader.why
    assert why("wa.T") == "wa.T has not changed since wa was imported"
    project.edit(wa="def build():\n    return [2]\nT = build()\nU = 1\n")
    project.reloader.reload()
    assert "changed in place" in why("wa.build")
    assert "made again, because wa.build changed" in why("wa.T")
    assert why("wa.U") == "wa.U has not changed since wa was imported"
    project.edit(wa="def build(:\n")
    project.reloader.reload()
    assert why("json.loads").startswith("json.loads is no module below ")


def test_a_module_that_others_loaded_is_not_ours(project: Project) -> None:
    before = project.reloader.modules
    project.run("import json, wave")
    assert project.reloader.modules == before


def test_an_environment_inside_the_project_is_not_ours(project: Project) -> None:
    arrive(project.folder, {".venv/lib/site-packages/zz_foreign.py": "x = 1\n"})
    site = str(project.folder / ".venv/lib/site-packages")
    sys.path.insert(0, site)
    try:
        before = project.reloader.modules
        project.run("import zz_foreign")
        assert project.reloader.modules == before
    finally:
        sys.path.remove(site)


def test_a_module_imported_before_the_reloader_is_taken_up(tmp_path: Path) -> None:
    folder = tmp_path.resolve()
    arrive(folder, {"early.py": "def f():\n    return 1\n"})
    sys.path.insert(0, str(folder))
    namespace: dict[str, Any] = {}
    exec("from early import f", namespace)  # noqa: S102
    project = Project(folder)
    try:
        project.edit(early="# moved\ndef f():\n    return 2\n")
        assert project.reloader.reload().modules == ("early",)
        assert namespace["f"]() == 2
    finally:
        project.reloader.close()
        sys.path.remove(str(folder))
        del sys.modules["early"]


@pytest.fixture
def bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a kernel: an import writes it."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


@pytest.mark.usefixtures("bytecode")
def test_what_was_saved_after_the_import_and_before_the_reloader_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path.resolve()
    texts = {
        "lost.py": "K = 1\nclass A:\n    def f(self):\n        return 1\n",
        "kept.py": "M = []\n",
    }
    arrive(folder, texts)
    monkeypatch.syspath_prepend(str(folder))
    namespace: dict[str, Any] = {}
    exec("import lost, kept\nfrom lost import K\na = lost.A(); kept.M.append(1)", namespace)  # noqa: S102
    arrive(folder, {"lost.py": texts["lost.py"].replace("1", "20")})
    reloader = Reloader([str(folder)], namespace)
    try:
        assert reloader.reload().modules == ("lost",)
        exec("seen = lost.K, K, a.f(), type(a) is lost.A, kept.M", namespace)  # noqa: S102
        assert namespace["seen"] == (20, 20, 20, True, [1])
    finally:
        reloader.close()
        del sys.modules["lost"], sys.modules["kept"]


def test_what_was_saved_between_two_reloaders_is_taken_over(project: Project) -> None:
    arrive(project.folder, {"between.py": "K = 1\nSTATE = []\n"})
    project.run("import between; between.STATE.append(1)")
    project.reloader.close()
    arrive(project.folder, {"between.py": "K = 2\nSTATE = []\n"})  # Of one size, in a second.
    project.reloader = Reloader([str(project.folder)], project.namespace)
    assert project.reloader.reload().modules == ("between",)
    project.run("assert (between.K, between.STATE) == (2, [1])")


STAND_IN = """
import sys
K = {0}
class W:
    def __init__(self):
        self.k = {1}
    def f(self):
        return K + {2}
sys.modules[__name__] = W()
"""


def test_a_module_that_puts_another_object_in_its_place_follows(project: Project) -> None:
    arrive(project.folder, {"wa.py": STAND_IN.format(1, 1, 1)})
    project.run("import wa; seen = wa")
    for numbers in ((2, 1, 1), (2, 2, 1), (2, 2, 5), (3, 4, 5)):
        project.edit(wa=STAND_IN.format(*numbers))
        report = project.reloader.reload()
        assert (report.failure, report.modules) == (None, ("wa",))
        k, own, more = numbers
        project.run(f"import wa; assert wa is seen; assert (wa.k, wa.f()) == ({own}, {k + more})")
    project.edit(wa="K = 1\nimport sys\nsys.modules[__name__] = {'K': K}\n")
    assert "put another object in its place" in [
        one.reason for one in project.reloader.reload().left
    ]
    project.edit(wa=STAND_IN.format(1, 1, 1) + "1 / 0\n")
    assert project.reloader.reload().failure is not None
    project.run("import wa; assert wa == {'K': 1}")


def test_an_alias_follows_where_the_cell_was_seen_and_an_equal_value_does_not(
    project: Project,
) -> None:
    arrive(project.folder, {"ca.py": "K = 5\n"})
    for cell in ("from ca import K as Q", "mine = 5"):
        project.run(cell)
        project.reloader.saw(cell)
    project.edit(ca="K = 6\n")
    project.reloader.reload()
    assert (project.namespace["Q"], project.namespace["mine"]) == (6, 5)


def test_ipythons_history_is_read(project: Project) -> None:
    arrive(project.folder, {"ha.py": "K = 5\n"})
    project.run("from ha import K as Q")
    project.namespace["_ih"] = ["", "%time pass\nfrom ha import K as Q\n!ls"]
    project.edit(ha="K = 6\n")
    project.reloader.reload()
    assert project.namespace["Q"] == 6


def test_an_extension_module_that_changed_is_named(project: Project) -> None:
    module = type(sys)("compiled_one")
    module.__file__ = str(project.folder / "compiled_one.so")
    Path(module.__file__).touch()
    sys.modules["compiled_one"] = module
    try:
        project.reloader.note([module.__file__])
        (left,) = project.reloader.reload().left
        assert (left.name, left.reason) == ("compiled_one", "compiled")
    finally:
        del sys.modules["compiled_one"]


def test_the_package_imports_no_ipython_and_little_else() -> None:
    program = (
        "import sys; import towline.notebook.reload;"
        "print(sorted({n.partition('.')[0] for n in sys.modules} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(eval(done.stdout)) <= {"__main__", "towline"}  # noqa: S307
