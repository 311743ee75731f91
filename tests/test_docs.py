"""What the documents point to is there, and what is generated in them is current."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generate import BLOCKS, page_of, page_with_block

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def heading_anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    for link in LINK.findall(document.read_text()):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), f"{link}: not there"
        assert not anchor or anchor in heading_anchors(target), f"{link}: no such heading"


@pytest.mark.parametrize("name", BLOCKS)
def test_generated_parts_are_current(name: str) -> None:
    page = page_of(name).read_text()
    assert page_with_block(name, page) == page, "run `nox -s docs`"


@pytest.mark.parametrize("fragment", sorted(ROOT.glob("changelog.d/*")), ids=lambda f: f.name)
def test_a_fragment_is_named_after_its_kind(fragment: Path) -> None:
    kinds = ("added", "changed", "fixed", "security")
    assert fragment.name == "README.md" or re.fullmatch(
        rf"[\w-]+\.(?:{'|'.join(kinds)})\.md", fragment.name
    )
