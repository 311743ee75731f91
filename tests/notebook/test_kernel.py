"""The extension in real kernels, today's and Colab's: a save is in the next cell, or it is said.

They watch a folder of this computer; tests/end_to_end/test_notebook.py has a laptop.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.end_to_end.laptop import save
from tests.notebook.kernel import Kernel

BROKEN = "def f(:\n    return 1\n"
HOLD = """\
open({began!r}, "w").close()
open({go!r}).close()
"""
"""Of named pipes: each `open` waits until the other end is opened, too."""
CELLS = {
    "plain": "print('it ran')",
    "async": "import asyncio\nawait asyncio.sleep(0)\nprint('it ran')",
    "cell magic": "%%time\nprint('it ran')",
    "line magic": "%timeit -n1 -r1 print('it ran')",
    "shell": "!echo it ran",
    "bash": "%%bash\necho it ran",
}


def test_the_next_cell_runs_what_was_saved(kernel: Kernel, project: Path) -> None:
    save(project / "module.py", "VALUE = 0\n")
    assert kernel.value("import module; module.VALUE") == "0"
    for value in range(1, 10):
        save(project / "module.py", f"VALUE = {value}\n")  # Of one size, within a second.
        ran = kernel.run("module.VALUE")
        assert (ran.result, ran.said) == (str(value), "")


def test_what_a_cell_writes_is_in_the_next_one(kernel: Kernel, project: Path) -> None:
    kernel.run("%%writefile module.py\nVALUE = 1")
    assert kernel.value("import module; module.VALUE") == "1"
    kernel.run("%%writefile module.py\nVALUE = 2")
    assert kernel.value("module.VALUE") == "2"


def test_the_source_folder_is_importable(project: Path, kernel: Kernel) -> None:
    assert kernel.value("import sys; sys.path[0]") == repr(str(project))


def test_a_source_folder_that_comes_later_is_importable(project: Path, kernel: Kernel) -> None:
    save(project / "src/package/__init__.py", "VALUE = 1\n")
    assert kernel.value("import package; package.VALUE") == "1"
    assert kernel.value("import sys; sys.path[:2]") == repr([f"{project}", f"{project}/src"])
    save(project / "src/package/__init__.py", "from package.new import VALUE\n")
    save(project / "src/package/new.py", "VALUE = 2\n")
    assert kernel.value("package.VALUE") == "2"


LOADED = {
    "by way of a link": "sys.path.insert(0, '../link/lib')\nimport module",
    "from the present folder": "sys.path.append('lib')\nimport module",
    "by its file": """
from importlib.util import module_from_spec, spec_from_file_location
module = module_from_spec(spec_from_file_location("module", "lib/module.py"))
sys.modules["module"] = module
module.__spec__.loader.exec_module(module)
""",
    "by a hook of others": """
class Hook:  # As an editable installation makes one.
    @staticmethod
    def find_spec(name, path=None, target=None):
        from importlib.util import spec_from_file_location
        return spec_from_file_location(name, "lib/module.py") if name == "module" else None
sys.meta_path.append(Hook)
import module
""",
}


@pytest.mark.parametrize("way", LOADED)
def test_a_module_of_the_project_follows_however_it_was_found(
    way: str, kernel: Kernel, project: Path
) -> None:
    project.with_name("link").symlink_to(project)
    save(project / "lib/module.py", "VALUE = 1\n")
    kernel.run("import sys; hooks = sys.meta_path[:]")
    for value in (1, 10):  # The second time as in a cell that is run again; of another size.
        kernel.run(LOADED[way])
        assert kernel.value("module.VALUE") == str(value)
        save(project / "lib/module.py", f"VALUE = {value * 10}\n")
        assert kernel.value("module.VALUE") == str(value * 10)
    kernel.run("sys.meta_path[:] = hooks; del sys.modules['module']\nsys.path.remove('lib')")


STRANGE = """
import importlib.util, sys
class Strange:
    def __getattr__(self, name):
        raise RuntimeError(name)
sys.modules["strange"] = Strange()
spec = importlib.util.find_spec("this")
spec.loader = importlib.util.LazyLoader(spec.loader)
sys.modules["lazy"] = lazy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lazy)
"""


def test_modules_that_do_something_when_they_are_asked_are_not(
    kernel: Kernel, project: Path
) -> None:
    save(project / "module.py", "VALUE = 1\n")
    assert kernel.run(STRANGE).said == ""
    assert kernel.value("import module; module.VALUE") == "1"
    for value in range(2, 5):
        save(project / "module.py", f"VALUE = {value}\n")
        ran = kernel.run("module.VALUE")
        assert (ran.result, ran.said) == (str(value), "")
    assert kernel.value("object.__getattribute__(lazy, '__dict__').get('s')") == "", "not loaded"
    kernel.run("del sys.modules['strange'], sys.modules['lazy']")


def test_what_does_not_load_is_said_with_file_line_and_caret(kernel: Kernel, project: Path) -> None:
    save(project / "module.py", "def f():\n    return 1\n")
    kernel.run("import module")
    save(project / "module.py", BROKEN)
    ran = kernel.run("module.f()")
    assert ran.result == "1", "the old code runs"
    assert "module.py:1: SyntaxError" in ran.stderr
    assert "    def f(:\n          ^" in ran.stderr
    again = kernel.run("module.f()")
    assert "module.py:1: SyntaxError" in again.stderr, "no cell runs old code in silence"
    assert "^" not in again.stderr
    save(project / "module.py", "def f():\n    return 2\n")
    ran = kernel.run("module.f()")
    assert (ran.result, ran.said) == ("2", "")


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_that_may_not_run_does_not(kind: str, kernel: Kernel, project: Path) -> None:
    save(project / "module.py", "VALUE = 1\n")
    kernel.run("import module")
    kernel.run("%towline policy strict")
    save(project / "module.py", BROKEN)
    ran = kernel.run(CELLS[kind])
    assert ran.status == "error"
    assert "it ran" not in ran.stdout
    assert ran.error.startswith("towline: cell NOT run: module.py:1: SyntaxError")
    assert "Traceback" not in ran.error
    save(project / "module.py", "VALUE = 2\n")
    ran = kernel.run(CELLS[kind])
    assert ran.status == "ok"
    assert "it ran" in ran.stdout


def test_run_all_ends_at_the_first_cell_that_may_not_run(kernel: Kernel, project: Path) -> None:
    save(project / "module.py", "VALUE = 1\n")
    kernel.run("import module")
    kernel.run("%towline policy strict")
    # As after "Run All": all of them wait in the kernel when the first begins.
    began, go = project.with_name("began"), project.with_name("go")
    os.mkfifo(began)
    os.mkfifo(go)
    holds = kernel.send(HOLD.format(began=str(began), go=str(go)))
    began.read_bytes()  # The kernel is busy.
    save(project / "module.py", BROKEN)
    sent = [kernel.send(f"print({number})") for number in range(3)]
    go.write_bytes(b"")
    assert kernel.collect(holds).status == "ok"
    ran = [kernel.collect(message) for message in sent]
    assert ran[0].status == "error"
    assert ran[2].status == "aborted"
    assert not any(cell.stdout for cell in ran)
    while kernel.run("pass").status == "aborted":  # As long as it does that, so it does with ours.
        pass


def test_towline_can_be_asked_while_no_cell_may_run(kernel: Kernel, project: Path) -> None:
    save(project / "module.py", "VALUE = 1\n")
    kernel.run("import module")
    kernel.run("%towline policy strict")
    save(project / "module.py", BROKEN)
    assert kernel.run("print('it ran')").status == "error"
    assert "policy warn" in kernel.run("%towline policy warn").stdout
    ran = kernel.run("print('it ran')")
    assert ran.stdout == "it ran\n"
    assert "module.py:1: SyntaxError" in ran.stderr


def test_a_cell_run_by_a_cell_is_part_of_it(kernel: Kernel, project: Path) -> None:
    save(project / "module.py", "VALUE = 1\n")
    kernel.run("import module, pathlib")
    ran = kernel.run(
        "pathlib.Path('module.py').write_text('VALUE = 2\\n')\n"
        "get_ipython().run_cell('print(module.VALUE)')\nprint(module.VALUE)"
    )
    assert ran.stdout == "1\n1\n"
    assert kernel.value("module.VALUE") == "2"


def test_a_widget_s_callback_runs_what_is_here(kernel: Kernel, project: Path) -> None:
    save(project / "module.py", "VALUE = 1\n")
    kernel.run(
        "import module\n"
        "seen = []\n"
        "def opened(comm, message):\n"
        "    comm.on_msg(lambda message: seen.append(module.VALUE))\n"
        "get_ipython().kernel.comm_manager.register_target('test', opened)"
    )
    session, channel = kernel.client.session, kernel.client.shell_channel
    channel.send(session.msg("comm_open", {"comm_id": "1", "target_name": "test", "data": {}}))
    save(project / "module.py", "VALUE = 2\n")
    channel.send(session.msg("comm_msg", {"comm_id": "1", "data": {}}))
    assert kernel.value("seen") == "[2]"


def test_what_is_run_in_silence_runs_what_is_here(kernel: Kernel, project: Path) -> None:
    save(project / "module.py", "VALUE = 1\n")
    kernel.run("import module")
    save(project / "module.py", "VALUE = 2\n")
    kernel.collect(kernel.send("seen = module.VALUE", silent=True))
    kernel.run("%towline off")
    assert kernel.value("seen") == "2"


def test_cells_in_subshells_are_looked_after_too(kernel: Kernel, project: Path) -> None:
    if not kernel.has(feature="kernel subshells"):
        pytest.skip("needs an ipykernel with subshells")
    save(project / "module.py", "VALUE = 1\n")
    kernel.run("import module")
    subshell = kernel.create_subshell()
    save(project / "module.py", "VALUE = 2\n")
    assert kernel.run_in(subshell, "module.VALUE").result == "2"
    kernel.run("%towline policy strict")
    save(project / "module.py", BROKEN)
    assert kernel.run_in(subshell, "module.VALUE").status == "error"
    assert kernel.run("module.VALUE").status == "error"


def test_functions_are_called_when_their_files_change(kernel: Kernel, project: Path) -> None:
    save(project / "conf/a.yaml", "1")
    save(project / "module.py", "VALUE = 1\n")
    declare = (
        "import towline, module\nseen = []\n"
        "@towline.on_change('conf/*.yaml')\n"
        "def read(paths):\n    seen.append(([p.name for p in paths], module.VALUE))"
    )
    kernel.run(declare)
    kernel.run(declare)  # As people do: it must not be called twice afterwards.
    assert kernel.value("seen") == "[]"
    save(project / "module.py", "VALUE = 2\n")
    save(project / "conf/a.yaml", "2")
    save(project / "conf/b.yaml", "1")
    save(project / "other.yaml", "1")
    assert kernel.value("seen") == "[(['a.yaml', 'b.yaml'], 2)]"
    assert kernel.value("seen") == "[(['a.yaml', 'b.yaml'], 2)]"


def test_a_callback_that_raises_is_named(kernel: Kernel, project: Path) -> None:
    kernel.run("import towline\n@towline.on_change('*.yaml')\ndef read(paths):\n    1 / 0")
    save(project / "a.yaml", "1")
    ran = kernel.run("print('it ran')")
    assert ran.stdout == "it ran\n"
    assert "on_change __main__.read: a.yaml: ZeroDivisionError" in ran.stderr


def test_a_file_is_waited_for(kernel: Kernel, project: Path) -> None:
    waiting = kernel.send("import towline; towline.wait_for('data.csv').read_text()")
    save(project / "data.csv", "1,2\n")
    ran = kernel.collect(waiting)
    assert ran.result == "'1,2\\n'", ran
    ran = kernel.run("towline.wait_for('no.csv', 0.1)")
    assert "TimeoutError" in ran.error, ran
    ran = kernel.run("towline.wait_for('../no.csv')")
    assert "LookupError" in ran.error, ran


def test_it_can_be_switched_off_and_taken_out(kernel: Kernel, project: Path) -> None:
    save(project / "module.py", "VALUE = 1\n")
    kernel.run("import module")
    kernel.run("%towline off")
    save(project / "module.py", "VALUE = 2\n")
    assert kernel.value("module.VALUE") == "1"
    kernel.run("%towline on")
    assert kernel.value("module.VALUE") == "2"
    kernel.run("%unload_ext towline")
    save(project / "module.py", "VALUE = 3\n")
    assert kernel.value("module.VALUE") == "2"
    assert kernel.run("%load_ext towline").status == "ok"


def test_what_was_saved_before_it_was_loaded_and_after_the_import_is_taken_over(
    kernel: Kernel, project: Path
) -> None:
    kernel.run("%unload_ext towline")
    save(project / "module.py", "VALUE = 1\ndef f():\n    return VALUE\n")
    assert kernel.value("import module; module.f()") == "1"
    save(project / "module.py", "VALUE = 20\ndef f():\n    return VALUE\n")
    kernel.run("%load_ext towline")
    kernel.run("%towline watch")
    assert kernel.value("module.f()") == "20"


@pytest.mark.parametrize("is_first", [True, False])
def test_autoreload_beside_it_passes_over_its_modules(
    is_first: bool, kernel: Kernel, project: Path
) -> None:
    text = "STATE = []\nclass A:\n    def f(self):\n        return {0}\ndef f():\n    return {0}\n"
    save(project / "module.py", text.format(1))
    if is_first:
        kernel.run("%unload_ext towline")
    ran = kernel.run("%load_ext autoreload\n%autoreload 2")
    if "No module named 'imp'" in ran.error:
        pytest.skip("this IPython's autoreload does not run on this Python")
    assert ran.status == "ok", ran
    if is_first:
        kernel.run("%load_ext towline")
        kernel.run("%towline watch")
    kernel.run("import module; from module import f, A; a = A(); module.STATE.append(a)")
    for value in range(2, 5):
        save(project / "module.py", text.format(value))
        seen = "f(), a.f(), A().f(), module.f(), isinstance(a, module.A), len(module.STATE)"
        assert kernel.value(seen) == str((value,) * 4 + (True, 1))
    kernel.run("%towline off")
    save(project / "module.py", text.format(f"'first: {is_first}'"))
    assert kernel.value("module.f()") == f"'first: {is_first}'", "it goes on without us"
    kernel.run("%towline on\n%autoreload 0")


def test_the_magic_says_what_it_knows(kernel: Kernel, project: Path) -> None:
    save(project / "module.py", "def f(): return 1\n")
    kernel.run("import module")
    assert "1 modules watched" in kernel.run("%towline").stdout
    assert kernel.run("%towline why module.f").stdout.strip()
    assert "no such word" in kernel.run("%towline nonsense").stdout
    assert "policy auto" in kernel.run("%towline policy  # and nothing else").stdout
