"""Rewrite the parts of the pages that come from the sources: `python docs/generate.py NAME`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from towline.config import OPTIONS, Option

DOCS = Path(__file__).parent


def configuration() -> str:
    """Return the table of options."""
    rows = ["| key | value | default | what it does |", "| --- | --- | --- | --- |"]
    rows += [_row(option) for option in OPTIONS]
    return "\n".join(rows)


def _row(option: Option) -> str:
    default = "" if option.default is None else f"`{json.dumps(option.default)}`"
    variable = f" (`{option.variable}`)" if option.variable else ""
    return f"| `{option.key}` | {option.kind.name} | {default} | {option.help}{variable} |"


BLOCKS: dict[str, Callable[[], str]] = {"configuration": configuration}


def page_with_block(name: str, page: str) -> str:
    """Return the page with the block between its marks made anew."""
    begin, end = f"<!-- {name}: begin -->\n", f"\n<!-- {name}: end -->"
    before, mark, rest = page.partition(begin)
    _, last, after = rest.partition(end)
    if not mark or not last:
        raise SystemExit(f"the page {name}.md lacks {begin.strip()} or {end.strip()}")
    return f"{before}{begin}{BLOCKS[name]()}{end}{after}"


def main(names: list[str]) -> None:
    for name in names or BLOCKS:
        if name not in BLOCKS:
            raise SystemExit(f"no such block: {name}; there are: {', '.join(BLOCKS)}")
        file = DOCS / f"{name}.md"
        file.write_text(page_with_block(name, file.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
