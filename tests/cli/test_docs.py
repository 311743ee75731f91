"""The pages made from the commands and the dataclasses are current, and complete."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from towline.cli.main import COMMANDS, towline
from towline.engine.events import EVENT_NAMES
from towline.errors import ExitCode

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate_cli", DOCS / "generate_cli.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["cli.md", "json.md"])
def test_the_page_is_current(name, generate):
    message = "run: python docs/generate_cli.py"
    assert (DOCS / name).read_text("utf-8") == generate.PAGES[name](), message


def test_every_command_and_exit_code_is_on_the_page():
    page = (DOCS / "cli.md").read_text("utf-8")
    assert all(f"## towline {name}\n" in page for name in COMMANDS)
    assert all(f"\n| {int(code)} | " in page for code in ExitCode)
    assert "--request" not in page


def with_json(command: click.Command, path: str = "") -> Iterator[str]:
    """Yield the commands that print JSON on request, as they are typed."""
    if any("--json" in option.opts for option in command.params):
        yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            part = command.get_command(context, name)
            if part is not None:
                yield from with_json(part, f"{path} {name}".strip())


def test_what_every_command_prints_as_json_is_on_the_page():
    page = (DOCS / "json.md").read_text("utf-8")
    heads = re.findall(r"^\| (`.+?`) \| ", page.partition("## Other commands")[2], re.MULTILINE)
    told = {name for head in heads for name in re.findall(r"`([^`]+)`", head)}
    told |= set(re.findall(r"`towline ([a-z ]+) --json`", page))
    assert set(with_json(towline)) == told


def test_a_command_that_is_hidden_is_not_on_the_page():
    assert "towline git transport" not in (DOCS / "cli.md").read_text("utf-8")


def test_every_event_is_on_the_page_with_its_fields():
    page = (DOCS / "json.md").read_text("utf-8")
    for kind, name in EVENT_NAMES.items():
        section = page.partition(f"### {name}\n")[2].partition("\n#")[0]
        assert all(f"| `{field}` | " in section for field in kind.__dataclass_fields__)
