"""The steps of the demo, in the order they are played. Each returns what it measured and saw."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from towline.demo.engine import Json, UnexpectedError
from towline.demo.sample import contents
from towline.demo.scene import (
    Scene,
    is_gone,
    processes_of,
    read_text,
    wait_text,
    wait_until,
)

SAVES = 10  # A handful each of the two ways editors save.
RETURNS = 5
FLUSH_S = 5.0
TREE_LOOK_S = 0.01  # Between two looks at all files.
LINE_MAX = 1000

# A Python that lives on, as a notebook's kernel does; it reloads at each line.
KERNEL = """\
import importlib, sys, rate
print(rate.VALUE, flush=True)
for line in sys.stdin:
    print(importlib.reload(rate).VALUE, flush=True)
"""

Played = tuple[float, str]  # Milliseconds, and what was seen.
Play = Callable[[Scene], Awaitable[Played]]


async def start_machine(scene: Scene) -> Played:
    began = time.perf_counter()
    await scene.open_machine()
    machine = scene.machine
    return _ms_since(began), f"an SSH server on {machine.address}:{machine.port}, a home of its own"


async def link(scene: Scene) -> Played:
    began = time.perf_counter()
    await scene.open_engine()
    ready = await scene.engine.wait_event("ready")
    ms = _ms_since(began)
    if contents(scene.there) != contents(scene.project):
        raise UnexpectedError("the same files on both sides", str(sorted(contents(scene.there))))
    scene.agent_pid = await _agent_pid(scene)
    return (
        ms,
        f"{ready['files']} files, {ready['size'] / 1000:.0f} kB to a machine with only Python",
    )


async def edit(scene: Scene) -> Played:
    times: list[float] = []
    for number in range(SAVES):
        text = f"print({number!r})\n"
        save = _save_beside if number % 2 else _save_in_place
        began = time.perf_counter()
        save(scene.project / "train.py", text)
        await wait_text(scene.there / "train.py", text)
        times.append(_ms_since(began))
    p50 = statistics.median(times)
    return p50, f"save to visible: p50 {p50:.1f} ms, max {max(times):.1f} ms of {SAVES} saves"


async def flush(scene: Scene) -> Played:
    text = "print('flushed')\n"
    began = time.perf_counter()
    _save_in_place(scene.project / "train.py", text)
    answer = await scene.engine.command("flush", "--timeout", f"{FLUSH_S:g}")
    ms = _ms_since(began)
    if read_text(scene.there / "train.py") != text or "revision" not in answer:
        raise UnexpectedError("the save on the machine once flush answers", json.dumps(answer))
    waited = f"the command waited {answer['ms']:.1f} ms of it"
    return ms, f"revision {answer['revision']} holds the save before it; {waited}"


async def bytecode(scene: Scene) -> Played:
    """Two equal-size saves in one second: what judges a .pyc by second and size runs old code."""
    command = f"cd {scene.project.name} && exec python3 -u -c '{KERNEL}'"
    began = time.perf_counter()
    async with await anyio.open_process(scene.ssh(command), stderr=None) as kernel:
        assert kernel.stdin is not None
        assert kernel.stdout is not None
        said = BufferedByteReceiveStream(kernel.stdout)
        await _expect_said(said, "1")
        saved: list[float] = []
        for value in ("2", "3"):
            saved.append(time.perf_counter())
            _save_in_place(scene.project / "rate.py", f"VALUE = {value}\n")
            await wait_text(scene.there / "rate.py", f"VALUE = {value}\n")
            await kernel.stdin.send(b"\n")
            await _expect_said(said, value)
        await kernel.stdin.aclose()
        await kernel.wait()
    fresh = f"cd {scene.project.name} && python3 -c 'import rate; print(rate.VALUE)'"
    if (printed := await scene.run_there(fresh)) != "3":
        raise UnexpectedError("a fresh Python to print 3", printed)
    apart = (saved[1] - saved[0]) * 1000
    return _ms_since(
        began
    ), f"saved twice in {apart:.0f} ms, same size: reload and a new Python see it"


async def come_back(scene: Scene) -> Played:
    times: list[float] = []
    for number in range(RETURNS):
        text = f'{{"loss": 0.{number}}}\n'
        began = time.perf_counter()
        _save_in_place(scene.there / "results.json", text)
        await wait_text(scene.project / "results.json", text)
        times.append(_ms_since(began))
    p50 = statistics.median(times)
    return p50, f"written there, visible here: p50 {p50:.1f} ms, max {max(times):.1f} ms"


async def conflict(scene: Scene) -> Played:
    ours, theirs = "what the laptop says\n", "what the machine says\n"
    since = len(scene.engine.events)
    began = time.perf_counter()
    _save_in_place(scene.project / "notes.txt", ours)
    _save_in_place(scene.there / "notes.txt", theirs)
    kept = await scene.engine.wait_event("conflict", since)

    def versions(root: Path) -> list[str | None]:
        return [read_text(root / kept[name]) for name in ("path", "copy")]

    def both_are_kept() -> bool:
        here, there = versions(scene.project), versions(scene.there)
        return here == there and set(here) == {ours, theirs}

    await wait_until(
        both_are_kept,
        "both versions on both sides",
        lambda: (versions(scene.project), versions(scene.there)),
    )
    return _ms_since(began), f"both versions are kept: {kept['path']} and {kept['copy']}"


async def cut(scene: Scene) -> Played:
    engine = scene.engine
    since = len(engine.events)
    edits = {f"model/layer_{n:02}.py": f"print('edited while away, {n}')\n" for n in range(3)}
    edits["new.py"] = "print('made while away')\n"
    scene.machine.block()
    scene.machine.cut_connections()
    await engine.wait_event("disconnected", since)
    for name, text in edits.items():
        _save_beside(scene.project / name, text)
    scene.machine.unblock()
    began = time.perf_counter()
    for name, text in edits.items():
        await wait_text(scene.there / name, text)
    ms = _ms_since(began)
    resumed = await engine.wait_event("resumed", since)
    await engine.command("flush", "--timeout", f"{FLUSH_S:g}")
    _check_sent_once(engine.events[since:], len(edits))
    pid = await _agent_pid(scene)
    if resumed["new_life"] or pid != scene.agent_pid:
        raise UnexpectedError(f"the agent with pid {scene.agent_pid}", f"pid {pid}, {resumed}")
    what = f"{len(edits)} edits made meanwhile arrive, each once"
    return ms, f"from the network's return; {what}; same agent (pid {pid})"


def _check_sent_once(events: list[Json], edits: int) -> None:
    sent = [event for event in events if event["event"] == "revision"]
    if sum(revision["changes"] for revision in sent) != edits:
        raise UnexpectedError(f"{edits} changes, each sent once", json.dumps(sent))


async def emptied(scene: Scene) -> Played:
    before = contents(scene.project)
    since = len(scene.engine.events)
    await scene.run_there(f"cd {scene.project.name} && find . -mindepth 1 -delete")
    held = await scene.engine.wait_event("held", since)
    if contents(scene.project) != before:
        raise UnexpectedError("an untouched laptop", str(sorted(contents(scene.project))))
    began = time.perf_counter()
    await scene.engine.command("refuse")
    await wait_until(
        lambda: contents(scene.there) == before,
        "all files back on the machine",
        lambda: sorted(before.keys() - contents(scene.there).keys()),
        TREE_LOOK_S,
    )
    ms = _ms_since(began)
    if contents(scene.project) != before:
        raise UnexpectedError("an untouched laptop", str(sorted(contents(scene.project))))
    return ms, f"held ({held['reason']}); `refuse` brings {len(before)} files back"


async def stop(scene: Scene) -> Played:
    began = time.perf_counter()
    await scene.engine.command("stop")
    await scene.engine.wait_event("stopped")
    code = await scene.engine.wait_exit()
    if code:
        raise UnexpectedError("the engine to end with 0", f"{code}: {scene.engine.last_words()}")
    await scene.ask_agent("stop")
    await wait_until(
        lambda: is_gone(scene.agent_pid), "the agent to end", lambda: f"pid {scene.agent_pid}"
    )
    await scene.close()
    if left := list(processes_of(scene.machine.home)):
        raise UnexpectedError("no process left", f"pids {left}")
    shutil.rmtree(scene.directory)
    return _ms_since(began), "no process left, nothing left behind"


STEPS: tuple[tuple[str, str, Play], ...] = (
    ("machine", "start a machine", start_machine),
    ("link", "link and first sync", link),
    ("edit", "an edit is seen there", edit),
    ("flush", "flush answers", flush),
    ("bytecode", "Python runs the new code", bytecode),
    ("return", "an edit there comes back", come_back),
    ("conflict", "both sides edit one file", conflict),
    ("cut", "the connection is cut", cut),
    ("emptied", "the machine is emptied", emptied),
    ("stop", "stop", stop),
)


# Parts of steps


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def _save_in_place(path: Path, text: str) -> None:
    path.write_text(text)


def _save_beside(path: Path, text: str) -> None:
    """Save as many editors do: beside, then over it."""
    beside = path.with_name(f".{path.name}.swp")
    beside.write_text(text)
    os.replace(beside, path)


async def _agent_pid(scene: Scene) -> int:
    pid: int = json.loads(await scene.ask_agent("status"))["pid"]
    return pid


async def _expect_said(stream: BufferedByteReceiveStream, expected: str) -> None:
    try:
        said = (await stream.receive_until(b"\n", LINE_MAX)).decode()
    except (anyio.IncompleteRead, anyio.EndOfStream):
        said = "nothing"
    if said != expected:
        raise UnexpectedError(f"Python on the machine to see VALUE = {expected}", said)
