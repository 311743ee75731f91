"""kill -9 of ssh, of the engine and of the agent, in the middle of things.

Whatever dies: afterwards both sides hold the same, no half file was ever seen under its name, and
nothing was taken for a conflict.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.laptop import (
    Laptop,
    Link,
    conflict_copies,
    contents,
    read,
    save,
    wait_until,
)
from tests.end_to_end.relay import Relay, relay_to

VICTIMS = ("ssh", "engine", "agent")
LARGE = 200 << 20
LOOK_INTERVAL_S = 0.02
RESEND_MAX = 0.25  # Of a large file: what was in buffers, and what the stage had not kept.


class Wholeness:
    """Looks at a folder all the time: each file in it is one of `source`, and whole."""

    def __init__(self, source: Path, root: Path) -> None:
        self.looks = 0
        self.faults: list[str] = []
        self._sizes = {p.relative_to(source): p.stat().st_size for p in source.rglob("*")}
        self._root = root

    @contextmanager
    def watched(self) -> Generator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._look_until, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        assert self.faults == []
        assert self.looks > 1

    def _look_until(self, stop: threading.Event) -> None:
        while not stop.wait(LOOK_INTERVAL_S):
            self.looks += 1
            for directory, names, files in os.walk(self._root):
                names[:] = set(names) - {".towline"}
                for name in files:
                    path = Path(directory, name)
                    size = path.stat().st_size
                    if size != self._sizes.get(path.relative_to(self._root)):
                        self.faults.append(f"{path}: {size} bytes")


def kill_ssh(laptop: Laptop, link: Link) -> None:
    clients = laptop.ssh_clients()
    assert clients
    for pid in clients:
        os.kill(pid, signal.SIGKILL)


def kill_engine(laptop: Laptop, link: Link) -> None:
    link.kill()


def kill_agent(laptop: Laptop, link: Link) -> None:
    os.kill(laptop.agent(), signal.SIGKILL)


KILL: dict[str, Callable[[Laptop, Link], None]] = {
    "ssh": kill_ssh,
    "engine": kill_engine,
    "agent": kill_agent,
}


def go_on(laptop: Laptop, link: Link, victim: str, mark: int, *arguments: str) -> Link:
    """Return the link that goes on after the kill; only a dead engine needs to be started."""
    if victim == "engine":
        return laptop.start(*arguments)
    resumed = link.wait_for("resumed", after=mark)
    assert resumed["new_life"] is (victim == "agent")
    return link


@pytest.mark.parametrize("victim", VICTIMS)
def test_killed_in_the_middle_of_a_first_sync(
    laptop: Laptop, releases: dict[str, Path], victim: str
) -> None:
    source = releases["5.2"]
    shutil.copytree(source, laptop.project, dirs_exist_ok=True)
    laptop.environment["TOWLINE_BANDWIDTH"] = "10 MB/s"
    laptop.there.mkdir()
    with Wholeness(source, laptop.there).watched():
        link = laptop.start()
        wait_until((laptop.there / "django/contrib/auth/models.py").exists, "part of it is there")
        agent = laptop.agent()
        mark = link.mark()
        before = len(contents(laptop.there))
        KILL[victim](laptop, link)
        link = go_on(laptop, link, victim, mark)
        ready = link.wait_for("ready", timeout_s=60)
        print(f"killed {victim} with {before} of {ready['files']} files there")
    assert before < ready["files"], "the kill came too late"
    assert (laptop.agent() == agent) is (victim != "agent")
    laptop.flush()
    laptop.assert_equal()
    assert contents(laptop.there) == contents(source)
    assert conflict_copies(laptop.project, laptop.there) == []
    assert laptop.status()["conflicts"] == 0
    assert link.end() == 0


def staged_size(root: Path) -> int:
    size = 0
    for path in (root / ".towline/stage").rglob("*"):
        try:
            size += path.stat().st_size
        except FileNotFoundError:
            continue
    return size


@pytest.mark.parametrize("way", ["there", "back"])
@pytest.mark.parametrize("victim", VICTIMS)
def test_killed_in_the_middle_of_a_large_file(laptop: Laptop, victim: str, way: str) -> None:
    save(laptop.project / "a.py", "a\n")
    laptop.environment["TOWLINE_SIZE_MAX"] = ""
    source, target = laptop.project, laptop.there
    if way == "back":
        source, target = target, source
    with relay_to(laptop.machine.address, laptop.machine.port) as relay:
        port = str(relay.port)
        link = laptop.start("-p", port, "machine")
        link.wait_for("ready")
        agent = laptop.agent()
        beside = laptop.directory / "model.bin"
        with beside.open("wb") as file:
            for _ in range(LARGE >> 20):
                file.write(os.urandom(1 << 20))
        beside.rename(source / "model.bin")

        wait_until(lambda: staged_size(target) > LARGE // 3, "a third of it is staged", 60)
        mark = link.mark()
        KILL[victim](laptop, link)
        staged = staged_size(target)
        assert read(target / "model.bin") is None
        print(f"killed {victim} with {staged >> 20} MiB of {LARGE >> 20} staged")
        link = go_on(laptop, link, victim, mark, "-p", port, "machine")
        wait_until((target / "model.bin").exists, "it is there", 60)
        assert (laptop.agent() == agent) is (victim != "agent")
        laptop.flush()
        laptop.assert_equal()
        print_resent(relay, way)
        assert conflict_copies(laptop.project, laptop.there) == []
        assert link.end() == 0


def print_resent(relay: Relay, way: str) -> None:
    """Say how many bytes more than the file went over the wire; not much of it went twice."""
    sent = relay.up if way == "there" else relay.down
    resent = sent / LARGE - 1
    print(f"{sent >> 20} MiB over the wire for {LARGE >> 20} MiB: {resent:+.1%}")
    assert resent < RESEND_MAX
