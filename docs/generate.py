"""Rewrite the parts of the pages that come from the sources: `python docs/generate.py NAME`."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from towline.config import OPTIONS, Option
from towline.core.entry import Directory, Entry, File, Symlink
from towline.core.reconcile import Verdict
from towline.core.wire import messages
from towline.routes import catalog

DOCS = Path(__file__).parent


# docs/configuration.md


def configuration() -> str:
    """Return the table of options."""
    rows = ["| key | value | default | what it does |", "| --- | --- | --- | --- |"]
    rows += [_row(option) for option in OPTIONS]
    return "\n".join(rows)


def _row(option: Option) -> str:
    default = "" if option.default is None else f"`{json.dumps(option.default)}`"
    variable = f" (`{option.variable}`)" if option.variable else ""
    return f"| `{option.key}` | {option.kind.name} | {default} | {option.help}{variable} |"


# docs/sync.md: the rows of tests/core/test_reconcile.py, with the comments that head them.

BOTH_WAYS = {
    Verdict.PUSH: "the laptop's goes to the machine",
    Verdict.PULL: "the machine's goes to the laptop",
    Verdict.AGREE: "nothing: they agree",
    Verdict.CONFLICT: "both are kept",
    None: "nothing, for now",
}
ONE_WAY = {
    True: "the truth goes to the other side",
    False: "nothing: it stays where it is",
    "conflict": "the truth's takes the name, the other's is kept beside it",
}


def sync() -> str:
    """Return the tables of verdicts."""
    both = _table("test_judge_both_ways", ("agreed last", "laptop", "machine"), BOTH_WAYS)
    one = _table("test_judge_one_way", ("agreed last", "the truth", "the other side"), ONE_WAY)
    return f"### Both ways\n\n{both}\n\n### One way\n\n{one}"


def _table(test: str, sides: tuple[str, str, str], words: dict[Any, str]) -> str:
    lines = [f"| {' | '.join(sides)} | what happens |", "| --- | --- | --- | --- |"]
    for head, row in _rows_of(test):
        if row is None:
            lines.append(f"| *{head}* | | | |")
        else:
            *entries, verdict = row
            cells = [_shown(entry) for entry in entries]
            lines.append(f"| {' | '.join(cells)} | {words[verdict]} |")
    return "\n".join(lines)


def _rows_of(test: str) -> Iterator[tuple[str, tuple[Any, ...] | None]]:
    """Yield the rows of a table test, and (text, None) for each comment between them."""
    module = _tests_of_reconcile()
    source = inspect.getsource(getattr(module, test))
    rows = source.partition("[\n")[2].partition("\n    ],\n")[0]
    for line in map(str.strip, rows.splitlines()):
        if line.startswith("#"):
            yield line.lstrip("# ").rstrip(".,"), None
        else:
            yield "", eval(line, vars(module))[0]  # noqa: S307 - our own test's row and comma.


def _tests_of_reconcile() -> ModuleType:
    return _imported("tests.core.test_reconcile")


def _imported(name: str) -> ModuleType:
    sys.path.insert(0, str(DOCS.parent))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


def _shown(entry: Entry | None) -> str:
    match entry:
        case None:
            return "\u2013"
        case File(digest, executable):
            return digest.decode().upper() + (", executable" if executable else "")
        case Symlink():
            return "a link"
        case Directory(children):
            inside = ", ".join(f"{name}: {_shown(child)}" for name, child in children.items())
            return f"{{{inside}}}"
        case _:
            return "*unreadable*"


# docs/protocol.md: a section for each message, from its class.

LANES = {
    "Begin": "sync", "Begun": "sync", "SetRules": "sync", "TreePart": "sync", "TreeEnd": "sync",
    "Apply": "sync if small, else bulk", "Applied": "sync", "Copy": "bulk",
    "Part": "bulk, or sync of what was appended to a file that is still read",
    "Adopt": "bulk, or sync before such a Part", "Ahead": "bulk", "Fetch": "sync",
    "Gone": "sync", "Observed": "sync", "Rescan": "sync", "Settle": "sync", "Settled": "sync",
    "Ends": "sync", "Flush": "sync", "Flushed": "sync", "Refusal": "sync", "Rename": "sync",
}  # fmt: skip
FIELD = re.compile(r"^ {4}(\w+): (.+?)(?: = .+?)?(?:  # (.*))?$")
ON_THE_WIRE = {
    "str": "text",
    "int": "integer",
    "bool": "true or false",
    "float": "integer, in milliseconds",
    "bytes": "digest",
    "bytes | None": "digest or null",
    "Any": "rules",
    "tuple[Row, ...]": "list of rows",
    "tuple[Problem, ...]": "list of problems",
    "tuple[Change, ...]": "list of changes",
    "tuple[Result, ...]": "list of results",
    "tuple[str, ...]": "list of paths",
    "tuple[tuple[bytes, int], ...]": "list of (digest, integer)",
    "dict[bytes, bytes]": "list of (digest, length); the bytes make up the body, in this order",
    "tuple[Want, ...]": "list of (path, file as it must be, offset in bytes, digest or null)",
}
OTHERWISE = {
    ("Part", "data"): "the body", ("Observed", "path"): "path", ("Gone", "path"): "path",
    ("Copy", "path"): "path or empty", ("Ahead", "path"): "path", ("Ahead", "data"): "the body",
    ("Rename", "source"): "path", ("Rename", "target"): "path",
}  # fmt: skip


def protocol() -> str:
    """Return what each message is: its use, way, lane and fields, in the order of the wire."""
    return "\n\n".join(_message(kind) for kind in get_args(messages.Message))


def _message(kind: type) -> str:
    doc = inspect.cleandoc(kind.__doc__ or "")
    way, _, use = doc.partition(": ")
    if "→" not in way and way != "Either way":  # Without a docstring of its own.
        way, use = "Machine → laptop", f"the answer to {kind.__name__.removesuffix('d')}."
    number = getattr(kind, "kind")  # noqa: B009 - of a class that only some types have.
    head = f"### {number} {kind.__name__}\n\n{way}, on the lane {LANES[kind.__name__]}: {use}"
    rows = [
        f"| `{name}` | {OTHERWISE.get((kind.__name__, name), ON_THE_WIRE[of])} | {note} |"
        for name, of, note in _fields_of(kind)
    ]
    return "\n".join([head, "", "| field | type | |", "| --- | --- | --- |", *rows])


def _fields_of(kind: type) -> Iterator[tuple[str, str, str]]:
    for line in inspect.getsource(kind).splitlines():
        match = FIELD.match(line)
        if match and not match[2].startswith("ClassVar"):
            yield match[1], match[2], match[3] or ""


# docs/routes.md: a row for each route.


def routes() -> str:
    """Return the table of routes, and what each can be given."""
    rows = [
        "| route | needs | limits | cost | carries | on the laptop |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rows += [
        f"| `{about.name}` | {about.needs} | {about.limits} | {about.cost}"
        f" | {about.carries.value.upper()} | {about.laptop} |"
        for about in (route.about for route in catalog.routes())
    ]
    rows += ["", "| route | variable | what it is |", "| --- | --- | --- |"]
    rows += [
        f"| `{route.name}` | `{setting.variable}` | {setting.help}"
        f"{f' (`{setting.default}`)' if setting.default else ''} |"
        for route in catalog.routes()
        for setting in route.about.settings
    ]
    return "\n".join(rows)


# docs/reload.md: the scenarios of tests/notebook/reload, and what bench.reload measured.

RELOADERS = ("towline", "%autoreload 2", "jurigged", "importlib.reload")
OUTCOMES = {"right": "yes", "told": "told", "silent": "**no**", "": ""}


def reload() -> str:
    """Return the table of scenarios, a part for each group, and the counts."""
    module = _imported("tests.notebook.reload.scenario")
    results = _reload_results()["scenarios"]
    groups: dict[str, list[str]] = {}
    for one in module.scenarios():
        cells = [OUTCOMES[results.get(name, {}).get(one.name, "")] for name in RELOADERS]
        row = f"| {one.title} | {one.holds} | {' | '.join(cells)} |"
        groups.setdefault(one.group, []).append(row)
    head = f"| what is edited | what must hold in the next cell | {' | '.join(RELOADERS)} |"
    rule = "| --- " * (2 + len(RELOADERS)) + "|"
    parts = [
        _counts(results),
        *(
            "\n".join([f"### {group.capitalize()}", "", head, rule, *rows])
            for group, rows in groups.items()
        ),
    ]
    return "\n\n".join(parts)


def _counts(results: dict[str, dict[str, str]]) -> str:
    rows = ["| | right | wrong, and told | wrong and silent |", "| --- | --- | --- | --- |"]
    for name in RELOADERS:
        outcomes = list(results.get(name, {}).values())
        cells = [str(outcomes.count(word)) for word in ("right", "told", "silent")]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def reload_costs() -> str:
    """Return the costs, side by side."""
    rows = ["| | towline | %autoreload 2 |", "| --- | --- | --- |"]
    rows += [f"| {' | '.join(row)} |" for row in _reload_results()["costs"]]
    return "\n".join(rows)


def reload_history() -> str:
    """Return the releases of a real package, taken over one by one."""
    head = ("release", "files changed", "tests", "same as in a fresh process", "named", "ms")
    rows = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    rows += [f"| {' | '.join(row)} |" for row in _reload_results()["history"]]
    return "\n".join(rows)


def _reload_results() -> dict[str, Any]:
    results: dict[str, Any] = json.loads((DOCS.parent / "bench/reload_results.json").read_text())
    return results


# The pages


BLOCKS: dict[str, Callable[[], str]] = {
    "configuration": configuration,
    "sync": sync,
    "protocol": protocol,
    "routes": routes,
    "reload": reload,
    "reload-costs": reload_costs,
    "reload-history": reload_history,
}


def page_of(name: str) -> Path:
    """Return the page that a block stands in: some pages have several, named `page-part`."""
    whole = DOCS / f"{name}.md"
    return whole if whole.exists() else DOCS / f"{name.partition('-')[0]}.md"


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
        file = page_of(name)
        file.write_text(page_with_block(name, file.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
