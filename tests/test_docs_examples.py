"""The pages' console examples, played on a machine made for them, print what the pages say."""

from __future__ import annotations

import shutil
import sys

import pytest

from docs.examples import BLOCK, PAGES, ROOT, examples_of, play, shape

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("ssh") is None, reason="needs OpenSSH's client"
)


@pytest.mark.parametrize("name", PAGES)
def test_examples_print_what_the_page_says(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    shown = [match[1] for match in BLOCK.finditer(text)]
    assert shown
    for expected, printed in zip(shown, play(text), strict=True):
        for example, now in zip(examples_of(expected), examples_of(printed), strict=True):
            assert shape(now.output) == shape(example.output), (
                f"$ {now.command}\n{now.output}\nor run: python docs/examples.py --write"
            )


def test_no_other_page_has_examples_that_are_not_played() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]
    found = {page.relative_to(ROOT).as_posix() for page in pages if BLOCK.search(page.read_text())}
    assert found == set(PAGES)
