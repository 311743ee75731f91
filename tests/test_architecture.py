"""The layout is a test: which ring may know what, and what no file of the project may hold.

import-linter holds the order of the rings (pyproject.toml); here is what it cannot say.
"""

from __future__ import annotations

import ast
import functools
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.pythons import Python, find_pythons

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src/towline"
MODULES = sorted(SOURCE.rglob("*.py"))

BUNDLE = ("core", "disk", "agent")
BUNDLE_FLOOR = (3, 10)

FILE_LINES_MAX = 600  # Beyond it a file holds two ideas.
FUNCTION_LINES_MAX = 70  # A screen; the median should be near ten.

ASYNCIO_ALLOWED = {
    "machine/embedded.py": "asyncssh, the embedded server, speaks asyncio only",
}

NAMES_NOT_USED = ("session", "manager", "handler", "helper", "util", "utils")

every_module = pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(SOURCE)))


def name_of(module: Path) -> str:
    return module.relative_to(SOURCE).as_posix()


@functools.cache
def syntax_of(module: Path) -> ast.Module:
    return ast.parse(module.read_text(), module)


def imports_of(module: Path) -> Iterator[str]:
    """Yield the full names that a module imports, at its top or inside functions."""
    for node in ast.walk(syntax_of(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            yield node.module or ""


def in_bundle(module: Path) -> bool:
    return name_of(module).split("/")[0] in BUNDLE


# Rings


def test_the_layers_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("module", [m for m in MODULES if in_bundle(m)], ids=name_of)
def test_the_bundle_imports_only_the_standard_library_and_itself(module: Path) -> None:
    for name in imports_of(module):
        top, *rest = name.split(".")
        ours = top == "towline" and bool(rest) and rest[0] in BUNDLE
        assert ours or top in sys.stdlib_module_names, (
            f"{name_of(module)} imports {name}: the bundle starts with `python3 -I -S` on a machine"
            " where nothing may be installed, not even for an hour"
        )


@pytest.mark.parametrize(
    "module", [m for m in MODULES if name_of(m).startswith("notebook/")], ids=name_of
)
def test_what_runs_in_a_kernel_imports_ipython_and_what_is_always_there(module: Path) -> None:
    for name in imports_of(module):
        top, *rest = name.split(".")
        ours = top == "towline" and bool(rest) and rest[0] in (*BUNDLE, "notebook")
        assert ours or top == "IPython" or top in sys.stdlib_module_names, (
            f"{name_of(module)} imports {name}: it runs in other people's kernels"
        )


@every_module
def test_the_laptop_speaks_anyio_not_asyncio(module: Path) -> None:
    if name_of(module) in ASYNCIO_ALLOWED:
        return
    names = {name.split(".")[0] for name in imports_of(module)}
    assert not names & {"asyncio", "trio"}, (
        f"{name_of(module)}: anyio's words only, so that the whole engine runs in the simulator"
        " under trio's clock"
    )


# The bundle on every Python


def _bundle_into(path: Path) -> list[str]:
    """Zip the rings of the bundle; return the names of their modules."""
    members = [SOURCE / "__init__.py", *filter(in_bundle, MODULES)]
    with zipfile.ZipFile(path, "w") as archive:
        for module in members:
            archive.write(module, Path("towline") / module.relative_to(SOURCE))
    names = [".".join(("towline", *m.relative_to(SOURCE).with_suffix("").parts)) for m in members]
    return [name.removesuffix(".__init__") for name in names if not name.endswith(".__main__")]


PYTHONS = {str(python): python for python in find_pythons(BUNDLE_FLOOR)}


@pytest.mark.parametrize("version", [f"3.{minor}" for minor in range(10, 15)])
def test_the_bundle_starts_from_a_zip_without_site(version: str, tmp_path: Path) -> None:
    python: Python | None = PYTHONS.get(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    modules = _bundle_into(tmp_path / "bundle.zip")
    program = (
        "import sys, importlib; sys.path.insert(0, sys.argv[1]);"
        "[importlib.import_module(name) for name in sys.argv[2:]]"
    )
    done = subprocess.run(
        [python.path, "-I", "-S", "-W", "error", "-c", program, tmp_path / "bundle.zip", *modules],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stderr


# Shape


@every_module
def test_a_module_says_what_it_is(module: Path) -> None:
    assert ast.get_docstring(syntax_of(module)), f"{name_of(module)} has no docstring"


@every_module
def test_a_file_is_one_idea(module: Path) -> None:
    lines = len(module.read_text().splitlines())
    assert lines <= FILE_LINES_MAX, f"{name_of(module)} has {lines} lines: is it one idea?"


@every_module
def test_a_function_fits_a_screen(module: Path) -> None:
    functions = (
        node
        for node in ast.walk(syntax_of(module))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    long = {f.name: n for f in functions if (n := _lines_of(f)) > FUNCTION_LINES_MAX}
    assert not long, f"{name_of(module)}: longer than {FUNCTION_LINES_MAX} lines: {long}"


def _lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


@every_module
def test_a_file_is_named_after_the_vocabulary(module: Path) -> None:
    words = re.split(r"[_/.]", name_of(module))
    assert not set(words) & set(NAMES_NOT_USED), f"{name_of(module)}: see docs/glossary.md"


@every_module
def test_nothing_is_left_open(module: Path) -> None:
    left = re.findall(r"\b(?:TODO|FIXME|XXX)\b", module.read_text())
    assert not left, f"{name_of(module)}: {left}"


# What no tracked file may hold

NOBODY = r"(?:me|you|user|ana|bob)\b"  # Homes in examples.
FORBIDDEN = {
    "a package registry": re.compile(
        r"\b(?:pypi\.|files\.pythonhosted|registry\.npmjs|deb\.debian)|index-url[ =]+\S*/|/simple/"
    ),
    "a path of one machine": re.compile(rf"(?<![\w.~$}}>-])/(?:work|home/(?!{NOBODY})\w+)/\w"),
}

PARENTS_OF_ANYONE = ("/", "/tmp", "/var/tmp", "/home", "/srv", "/opt", "/builds")  # noqa: S108


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: no list of tracked files")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    files = (ROOT / os.fsdecode(name) for name in listed.stdout.split(b"\0") if name)
    return [file for file in files if file.is_file() and file != Path(__file__)]


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for file in tracked_files()
        for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_tracked_file_names(what: str) -> None:
    assert not lines_with(FORBIDDEN[what])


def test_no_tracked_file_names_the_place_of_this_checkout() -> None:
    here = ROOT if str(ROOT.parent) in PARENTS_OF_ANYONE else ROOT.parent
    assert not lines_with(re.compile(re.escape(f"{here}/")))
