"""Timestamps of the stages of a save, taken inside of the engine and the agent.

The programs measured are the real ones: before they start, the functions at which a stage begins
or ends are wrapped, here and nowhere else, so that being measurable costs the product nothing.
As a program it becomes another one: `python stamps.py LOG engine|agent ARGUMENTS`.
"""

from __future__ import annotations

import functools
import importlib
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ENGINE = (  # Module, what in it, at its start or its end, the name of the moment.
    ("towline.disk.follow", "Follower.step", "start", "in the thread"),
    ("towline.disk.replica", "Replica.observe", "start", "event read, gathered"),
    ("towline.disk.replica", "Replica.observe", "end", "looked at and hashed"),
    ("towline.engine.live", "Live._absorb", "start", "back in the loop"),
    ("towline.engine.plan", "Planner.plan", "start", "planner awake"),
    ("towline.engine.push", "Pusher.send_small", "start", "reconciled"),
    ("towline.engine.push", "Pusher._with_contents", "end", "content read"),
    ("towline.core.wire.line", "Line.send", "start", "encoded"),
    ("towline.core.wire.line", "Line.bytes_to_send", "end", "framed"),
)
AGENT = (
    ("towline.agent.serve", "AgentService.receive", "start", "through ssh"),
    ("towline.agent.mirror", "Mirror._apply", "start", "decoded"),
    ("towline.disk.supply", "Supply._write", "end", "staged"),
    ("towline.disk.folder", "Folder.exchange", "end", "renamed: visible"),
    ("towline.agent.mirror", "Mirror._apply", "end", "answered"),
)
ANSWER = (
    ("towline.engine.live", "Live._landed_there", "start", "answer decoded"),
    ("towline.engine.live", "Live._landed_there", "end", "ancestor written"),
)
SIDES = {"engine": ENGINE + ANSWER, "agent": AGENT}
FLUSH_AT = {"answered", "ancestor written"}

Stamps = list[tuple[float, str]]


def install(side: str, log: Path) -> None:
    """Wrap what this side's table names. Stamps go to `log` at the end of each save."""
    stamps: Stamps = []

    def note(name: str) -> None:
        stamps.append((time.perf_counter(), name))
        if name in FLUSH_AT:
            with log.open("a") as file:  # Opened each time: a daemon closes what it inherits.
                file.writelines(f"{at!r} {moment}\n" for at, moment in stamps)
            stamps.clear()

    for module, what, edge, name in SIDES[side]:
        try:
            _wrap(importlib.import_module(module), what, edge, functools.partial(note, name))
        except (ImportError, AttributeError) as error:  # It has another name by now.
            print(f"no stamp for “{name}”: {error}", file=sys.stderr)


def _wrap(module: Any, what: str, edge: str, note: Callable[[], None]) -> None:
    owner_name, _, name = what.partition(".")
    owner = getattr(module, owner_name)
    plain = getattr(owner, name)

    @functools.wraps(plain)
    def timed(*args: Any, **kwargs: Any) -> Any:
        if edge == "start":
            note()
        result = plain(*args, **kwargs)
        if edge == "end" and not hasattr(result, "__await__"):
            note()
            return result
        return _awaited(result, note) if edge == "end" else result

    setattr(owner, name, timed)


async def _awaited(result: Any, note: Callable[[], None]) -> Any:
    value = await result
    note()
    return value


def read_stamps(*logs: Path) -> Stamps:
    """Return the stamps of these logs in order of time."""
    found: Stamps = []
    for log in logs:
        for line in log.read_text().splitlines() if log.exists() else []:
            at, _, name = line.partition(" ")
            found.append((float(at), name))
    return sorted(found)


def agent_python(name: Path, python: Path, log: Path) -> str:
    """Return a script, to lie at `name`, that is `python` but traces an agent it starts."""
    return (
        "#!/bin/bash\n"
        f'case "$3" in *.pyz) shift 2; exec {python} -I -S {Path(__file__).resolve()}'
        f' {log} agent "$@" ;; esac\nexec -a {name} {python} "$@"\n'
    )


def main() -> None:
    log, side, *sys.argv = sys.argv[1:]
    if side == "agent":
        sys.path.insert(0, sys.argv[0])
        install(side, Path(log))
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        sys.argv.insert(0, "towline")
        install(side, Path(log))
        runpy.run_module("towline", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
