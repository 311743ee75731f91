"""What the pages say of the sources is complete: modules, commands, examples of configuration."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from docs.generate import LANES
from towline import access
from towline.agent.jobs.program import own_variables
from towline.agent.jobs.record import Request
from towline.cli.main import COMMANDS
from towline.config import OPTIONS, load
from towline.core.wire.messages import Message
from towline.demo.steps import STEPS
from towline.engine.events import EVENT_NAMES
from towline.jobs.kept import RESUME
from towline.routes.catalog import routes

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src/towline"
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"\btowline ([a-z]+)(?=[\s`)]|$)", re.MULTILINE)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def fenced(page: Path, language: str) -> Iterator[str]:
    for match in FENCED.finditer(page.read_text("utf-8")):
        if match[1] == language:
            yield match[2]


def reading_order() -> list[str]:
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    section = page.partition("## Reading order of the sources\n")[2].partition("\n## ")[0]
    return re.findall(r"`([\w/]+\.py)`", section)


def test_the_reading_order_holds_every_module_once() -> None:
    modules = {file.relative_to(SOURCE).as_posix() for file in SOURCE.rglob("*.py")}
    expected = sorted(module for module in modules if not module.endswith("__init__.py"))
    listed = [path for path in reading_order() if not path.startswith("tests/")]
    assert sorted(listed) == expected


def imports_of(module: str) -> Iterator[str]:
    """Yield the modules that a module imports to run, as the page names them."""
    tree = ast.parse((SOURCE / module).read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("towline."):
            package = (node.module or "").removeprefix("towline.").replace(".", "/")
            yield f"{package}.py"
            yield from (f"{package}/{alias.name}.py" for alias in node.names)


def test_the_reading_order_leads_from_what_is_used_to_its_users() -> None:
    order = [path for path in reading_order() if not path.startswith("tests/")]
    place = {path: number for number, path in enumerate(order)}
    ahead = [
        (path, used)
        for path in order
        for used in imports_of(path)
        if place.get(used, 0) > place[path]
    ]
    assert ahead == [("core/reconcile.py", "core/direction.py")]


def test_every_source_that_the_architecture_names_is_there() -> None:
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    for path in re.findall(r"`([\w/]+\.py)`", page):
        assert (SOURCE / path).exists() or (ROOT / path).exists(), path


@every_page
def test_tests_that_a_page_names_are_there(page: Path) -> None:
    for path in re.findall(r"`(tests/[\w/.*]+|test_\w+\.py)`", page.read_text("utf-8")):
        place = ROOT if path.startswith("tests/") else ROOT / "tests"
        assert any(place.glob(path if place == ROOT else f"**/{path}")), path


def test_the_sessions_are_all_told_of() -> None:
    page = (ROOT / "docs/testing.md").read_text("utf-8").partition("\n## ")[0]
    tree = ast.parse((ROOT / "noxfile.py").read_text("utf-8"))
    known = [name for node in tree.body if (name := session_of(node))]
    assert known
    assert sorted(known) == sorted(re.findall(r"^\| `([a-z-]+)` \| ", page, re.MULTILINE))


def session_of(node: ast.stmt) -> str:
    """Return the name of the nox session that a statement defines, if it does."""
    if not isinstance(node, ast.FunctionDef):
        return ""
    for decorator in map(ast.unparse, node.decorator_list):
        if decorator.startswith("nox.session"):
            named = re.search(r"name='([^']+)'", decorator)
            return named[1] if named else node.name
    return ""


@every_page
def test_commands_that_a_page_shows_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    typed = [line for line in "\n".join(fenced(page, "console")).splitlines() if line[:2] == "$ "]
    typed += [line.partition("#")[0] for text in fenced(page, "sh") for line in text.splitlines()]
    for name in COMMAND.findall("\n".join([*re.findall(r"`(towline [^`]+)`", text), *typed])):
        assert name in COMMANDS, f"towline {name}"


@every_page
def test_configuration_that_a_page_shows_is_accepted(page: Path, tmp_path: Path) -> None:
    for number, text in enumerate(fenced(page, "toml")):
        project = tmp_path / str(number)
        project.mkdir()
        name = "pyproject.toml" if "[tool.towline" in text else "towline.toml"
        (project / name).write_text(text)
        load(project, {})


@every_page
def test_options_in_the_configuration_that_a_page_names_exist(page: Path) -> None:
    known = {option.variable for option in OPTIONS} | {
        "TOWLINE_SSH",
        "TOWLINE_HOME",
        "TOWLINE_RESTIC",
        "TOWLINE_WORKSPACE",
    }
    known |= {access.HOST, access.ID, access.SECRET}
    known |= {setting.variable for route in routes() for setting in route.about.settings}
    known |= {*own_variables(Request("key", ("true",), "/"), 1, "/end"), RESUME}
    for variable in re.findall(r"\bTOWLINE_[A-Z_]+\b", page.read_text("utf-8")):
        assert variable in known, variable


@every_page
def test_json_that_a_page_shows_is_as_the_schema_has_it(page: Path) -> None:
    fields = {name: {"event", *kind.__dataclass_fields__} for kind, name in EVENT_NAMES.items()} | {
        "error": {"event", "message", "hint", "exit_code"}
    }
    for text in fenced(page, "json"):
        for line in filter(None, text.splitlines()):
            shown = json.loads(line)
            assert set(shown) - {"at"} == fields[shown["event"]], line


def test_the_guide_to_the_demo_has_its_steps_in_order() -> None:
    page = (ROOT / "docs/guide-demo.md").read_text("utf-8")
    assert re.findall(r"^\| ([^|]+?) \|", page, re.MULTILINE)[2:] == [
        title for _, title, _ in STEPS
    ]


def test_each_message_s_lane_is_known() -> None:
    assert set(LANES) == {kind.__name__ for kind in get_args(Message)}


def test_the_lanes_are_those_that_the_sources_use() -> None:
    engine = "".join(file.read_text("utf-8") for file in (SOURCE / "engine").glob("*.py"))
    mirror = (SOURCE / "agent/mirror.py").read_text("utf-8")
    sent = re.findall(r"send_bulk\((\w+)\(", engine)
    stretches = re.findall(r"return (Copy|Part)\(", engine + mirror)  # Made first, sent as bulk.
    ahead = re.findall(r"yield (Ahead)\(", (SOURCE / "agent/ahead.py").read_text("utf-8"))
    assert {name for name, lane in LANES.items() if "bulk" in lane} == {*sent, *stretches, *ahead}
    assert {name for name, lane in LANES.items() if lane == "bulk"} == {"Copy", "Ahead"}


def test_the_readme_names_both_front_doors() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert "make demo" in text
    assert "make test" in text
