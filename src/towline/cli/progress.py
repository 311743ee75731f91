"""How far restic is, for who waits for it: a line that is written over, or JSON."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable

from towline.cli.output import json_line
from towline.snapshots.report import Progress
from towline.ui.words import count_text, size_text


def progress_shown(as_json: bool) -> Callable[[Progress], None]:
    """Return what shows progress: nothing where nobody looks."""
    if as_json:
        return lambda progress: json_line({"event": "progress", **dataclasses.asdict(progress)})
    return _show if sys.stderr.isatty() else lambda _: None


def _show(progress: Progress) -> None:
    amount = f"{count_text(progress.files, 'file')}, {size_text(progress.size)}"
    end = "\r" if progress.part < 1 else "\n"
    sys.stderr.write(f"\x1b[K{progress.part:4.0%}  {amount}{end}")
    sys.stderr.flush()
