"""The project that the demo links: small, of several kinds of files, the same each time."""

from __future__ import annotations

import os
import random
from contextlib import suppress
from pathlib import Path

OWN = {".towline", "__pycache__"}
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
    """Return what lies below `root`, without what is towline's or Python's own.

    It may be looked at while it changes: what is gone by the time it is read is not there.
    """
    files: dict[str, bytes] = {}
    for directory, below, names in os.walk(root):
        below[:] = [name for name in below if name not in OWN]
        for path in (Path(directory, name) for name in names):
            with suppress(FileNotFoundError):
                files[path.relative_to(root).as_posix()] = path.read_bytes()
    return files
