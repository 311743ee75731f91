"""The project that the demo links: small, of several kinds of files, the same each time."""

from __future__ import annotations

import random
from pathlib import Path

LAYERS = 64
TABLES = 12
TABLE_ROWS = 1500

PLAIN = {
    "pyproject.toml": '[project]\nname = "sample"\nversion = "0"\n',
    "README.md": "# A sample\n\nMade by `towline demo`; it is gone when the demo is.\n",
    "notes.txt": "what we know so far\n",
    "rate.py": "VALUE = 1\n",
    "train.py": "from rate import VALUE\n\nprint(VALUE)\n",
    "model/__init__.py": '"""Layers upon layers."""\n',
}


def make_sample(project: Path) -> None:
    for directory in (project, project / "model", project / "data"):
        directory.mkdir()
    for name, content in PLAIN.items():
        (project / name).write_text(content)
    for number in range(LAYERS):
        lines = [f"def weight_{row}():\n    return {number * row}\n" for row in range(number)]
        (project / f"model/layer_{number:02}.py").write_text("\n\n".join(lines))
    numbers = random.Random(1)  # noqa: S311 - a table, not a secret.
    for number in range(TABLES):
        rows = [f"{row},{numbers.random()}\n" for row in range(TABLE_ROWS)]
        (project / f"data/part_{number:02}.csv").write_text("".join(rows))


def contents(root: Path) -> dict[str, bytes]:
    """Return what lies below `root`, without what is towline's or Python's own."""
    own = {".towline", "__pycache__"}
    files: dict[str, bytes] = {}
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if own.isdisjoint(relative.parts) and path.is_file():
            files[relative.as_posix()] = path.read_bytes()
    return files
