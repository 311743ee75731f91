"""The soak itself: what it counts as lost, and a short one with the real parts."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from random import Random

import pytest

from bench.soak.__main__ import soak
from bench.soak.editor import Editor
from bench.soak.ledger import Ledger
from bench.soak.story import Story, picture, read_story, table
from bench.soak.vitals import Vitals, growth
from lab.wan import why_not as why_no_wan
from tests.end_to_end.sshd import why_not as why_no_machine

WHY_NOT = why_no_wan() or why_no_machine()
EDITS = 400


def editor_in(root: Path, seed: int) -> tuple[Editor, Ledger]:
    chance = Random(seed)  # noqa: S311
    ledger = Ledger(chance)
    (root / "proj").mkdir(parents=True)
    return Editor("laptop", root / "proj", root / "aside", ledger, chance), ledger


@pytest.mark.parametrize("seed", range(5))
def test_an_editor_alone_loses_nothing(tmp_path: Path, seed: int) -> None:
    editor, ledger = editor_in(tmp_path, seed)
    editor.fill(20)
    for _ in range(EDITS):
        if (rest := editor.act()) is not None:
            rest()
    assert len(editor.done) >= 10
    assert ledger.missing(tmp_path / "proj") == []


def test_a_content_that_is_nowhere_is_missing_with_its_place(tmp_path: Path) -> None:
    editor, ledger = editor_in(tmp_path, 1)
    editor.fill(20)
    victim = min(path for path in (tmp_path / "proj").rglob("*") if path.is_file())
    victim.unlink()
    assert ledger.missing(tmp_path / "proj") == [f"laptop: {victim.relative_to(tmp_path / 'proj')}"]


def look(at_s: float, memory: int, *, rests: bool = True) -> Vitals:
    return Vitals(at_s, memory, 18, 20_000_000, 11, 100, rests)


def test_growth_is_judged_at_rest_and_without_the_beginning() -> None:
    looks = [look(n, 10 + n) for n in range(8)] + [look(3.5, 999, rests=False)]
    assert growth(looks)["engine_memory"] == (12.5, 16.5)
    assert growth([]) == {}


def test_a_story_is_kept_and_told(tmp_path: Path) -> None:
    story = Story(7, lasted_s=60, looks=[look(0, 1), look(60, 2)], troubles=[3.0], lost=["x"])
    story.save(tmp_path / "story")
    assert read_story(tmp_path / "story") == story
    assert not story.is_well
    assert "| edits lost | 1 |" in table(story)
    words = "".join(ElementTree.fromstring(picture(story)).itertext())  # noqa: S314
    assert "Memory, MB" in words


@pytest.mark.skipif(bool(WHY_NOT), reason=f"WAN: {WHY_NOT}")
def test_twenty_seconds_of_a_bad_network_lose_nothing() -> None:
    story = soak(20, seed=20, check_every_s=10)
    assert story.lost == []
    assert story.unlike == []
    assert story.contents > 300
    assert story.troubles
