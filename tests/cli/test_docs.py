"""The pages made from the commands and the dataclasses are current, and complete."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from towline.cli.main import COMMANDS
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


def test_every_event_is_on_the_page_with_its_fields():
    page = (DOCS / "json.md").read_text("utf-8")
    for kind, name in EVENT_NAMES.items():
        section = page.partition(f"### {name}\n")[2].partition("\n#")[0]
        assert all(f"| `{field}` | " in section for field in kind.__dataclass_fields__)
