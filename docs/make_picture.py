"""Make docs/img/demo.svg from a real run of `towline demo`, as a terminal shows it."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PICTURE = Path(__file__).parent / "img/demo.svg"


def main() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "towline", "demo"],
        env={**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color"},
        capture_output=True,
        check=True,
        text=True,
    )
    lines = [Text.from_ansi(line) for line in done.stdout.splitlines()]
    width = max(line.cell_len for line in lines)
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ make demo", "bold"))
    for line in lines:
        console.print(line, soft_wrap=True)
    picture = console.export_svg(title="towline", theme=MONOKAI, unique_id="demo")
    # The reader's own monospaced font: nothing is fetched to show it.
    PICTURE.write_text(re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    main()
