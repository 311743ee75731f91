"""What a snapshot holds: restic is told exactly what the project's rules leave out."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.snapshots.repositories import KEY, NEEDS_RESTIC, repository_at
from towline.core.ignore import Rules, Source, SourceKind
from towline.disk.extent import SEVERAL, escaped, exclude_lines
from towline.folders import left_out

NAMES = (
    "a", "b.py", "we[ir]d", "st*r", "wh?t", "back\\slash", "$HOME", "${HOME}", "$$", "#hash",
    "!bang", " lead", "trail ", "tab\t", "new\nline", "ret\rurn", "ünïcode", "bytes\udcff",
)  # fmt: skip


def make(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path.encode("utf-8", "surrogateescape").hex())


def test_the_rules_of_sync_count_and_its_limit_of_size_does_not(tmp_path: Path) -> None:
    make(tmp_path, "a.py", "ig/x", "sub/b.log", "sub/.gitignore", ".venv/bin/python", ".git/HEAD")
    (tmp_path / "sub/.gitignore").write_text("*.log\n")
    (tmp_path / ".towlineignore").write_text("/ig\n")
    with (tmp_path / "checkpoint").open("wb") as large:
        large.truncate(1 << 30)
    lines = left_out(tmp_path, ["*.tmp"])
    told = {line for line in lines if line.startswith("/")}
    assert told == {f"{tmp_path}/{path}" for path in (".git", ".venv", "ig", "sub/b.log")}


def test_many_of_one_name_are_one_pattern_unless_something_kept_has_the_name(
    tmp_path: Path,
) -> None:
    make(tmp_path, *(f"p{number}/cache/x" for number in range(SEVERAL)))
    make(tmp_path, *(f"p{number}/out/x" for number in range(SEVERAL)), "keep/out/x")
    rules = Rules([Source(SourceKind.CONFIGURATION, "", "", ("cache", "/p*/out"))])
    lines = exclude_lines(tmp_path, rules)
    assert "cache" in lines
    assert sum(line.endswith("/out") for line in lines) == SEVERAL
    assert "out" not in lines


@NEEDS_RESTIC
def test_no_name_is_misread_by_restic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    project = tmp_path / "proj"
    make(project, *(f"out/{name}" for name in NAMES), *(f"in/{name}" for name in NAMES))
    rules = Rules([Source(SourceKind.CONFIGURATION, "", "", ("/out/*",))])

    async def held() -> set[str]:
        repository = await repository_at(tmp_path / "repo")
        await repository.create()
        summary = await repository.backup(project, exclude_lines(project, rules))
        return {node.path for node in await repository.nodes(summary.snapshot)}

    paths = anyio.run(held)
    assert len([path for path in paths if path.startswith("in/")]) == len(NAMES)
    assert [path for path in paths if path.startswith("out/")] == []


@settings(max_examples=50)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=20))
def test_a_pattern_is_one_line_that_survives_being_stripped(name: str) -> None:
    pattern = escaped(f"/p/{name}")
    assert not {"\n", "\r"} & set(pattern)
    assert pattern.strip() == pattern
