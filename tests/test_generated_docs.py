"""The pages that come from the sources are the ones that are committed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", generator().BLOCKS)
def test_a_page_is_current(name: str) -> None:
    page = generator().page_of(name).read_text("utf-8")
    assert generator().page_with_block(name, page) == page, f"run docs/generate.py {name}"


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(SystemExit, match="lacks"):
        generator().page_with_block("configuration", "no marks")
