"""A change in a large file sends the change, whichever way it goes, and `flush` waits for it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.laptop import Laptop, Link, conflict_copies, read, save, wait_until
from tests.end_to_end.relay import Relay, relay_to
from towline.core.digest import BLOCK

SIZE = 24 << 20
AROUND_MAX = 3 * BLOCK + (64 << 10)  # Blocks that the change touches, and what else was said.


@pytest.fixture
def relay(laptop: Laptop) -> Iterator[Relay]:
    laptop.environment["TOWLINE_SIZE_MAX"] = ""
    save(laptop.project / "model.bin", os.urandom(SIZE))
    with relay_to(laptop.machine.address, laptop.machine.port) as relay:
        yield relay


@pytest.fixture
def link(laptop: Laptop, relay: Relay) -> Iterator[Link]:
    with laptop.linked("-p", str(relay.port), "machine") as link:
        laptop.flush()
        yield link


def edits(content: bytes) -> dict[str, tuple[bytes, int]]:
    """Return new versions by what was done, each with how many bytes are new in it."""
    middle = len(content) // 2 + 777
    odd, even = os.urandom(10_001), os.urandom(BLOCK)
    return {
        "appended": (content + odd, len(odd)),
        "put in": (content[:middle] + odd + content[middle:], len(odd)),
        "put in, a whole block": (content[: 9 * BLOCK] + even + content[9 * BLOCK :], BLOCK),
        "taken out": (content[:middle] + content[middle + 999 :], 0),
        "cut off": (content[:middle], 0),
        "overwritten": (content[:middle] + odd + content[middle + len(odd) :], len(odd)),
    }


@pytest.mark.parametrize("way", ["there", "back"])
def test_a_change_sends_the_change(laptop: Laptop, relay: Relay, link: Link, way: str) -> None:
    here, there = laptop.project / "model.bin", laptop.there / "model.bin"
    source, target = (here, there) if way == "there" else (there, here)
    for what in edits(read(here) or b""):
        new, size = edits(read(source) or b"")[what]
        before = relay.up + relay.down
        _replace(source, new)
        if way == "there":
            laptop.flush()
        wait_until(partial(_holds, target, new), f"{what} is on the other side", 30)
        carried = relay.up + relay.down - before
        print(f"{way}, {what}: {carried} bytes for {size} new ones")
        assert carried < size + AROUND_MAX, what
    laptop.flush()
    laptop.assert_equal()
    assert conflict_copies(laptop.project, laptop.there) == []


def test_what_the_machine_changed_meanwhile_is_kept(laptop: Laptop, link: Link) -> None:
    """The old version, out of which the new one is made, is no longer there."""
    here, there = laptop.project / "model.bin", laptop.there / "model.bin"
    old = read(here) or b""
    mine, theirs = old + b"mine", old[:-5] + b"their"
    link.process.send_signal(signal.SIGSTOP)  # Both change before either side hears of it.
    _replace(there, theirs)
    _replace(here, mine)
    link.process.send_signal(signal.SIGCONT)
    wait_until(lambda: len(conflict_copies(laptop.project)) == 1, "the conflict is seen", 30)
    laptop.flush()
    laptop.wait_equal(30)
    (copy,) = conflict_copies(laptop.project)
    assert read(here) == mine
    assert read(laptop.project / copy) == theirs


def test_what_could_not_be_put_there_is_not_sent_again(
    laptop: Laptop, relay: Relay, link: Link
) -> None:
    in_the_way = laptop.there / "data" / "cache.pyc"  # Ignored: its directory is in no tree.
    save(in_the_way, b"")
    save(laptop.project / "data", content := os.urandom(SIZE))
    link.wait_for("problem", path="data")
    before = relay.up
    in_the_way.unlink()
    wait_until(partial(_holds, laptop.there / "data", content), "it has taken its place", 30)
    assert relay.up - before < SIZE // 100


def _holds(path: Path, content: bytes) -> bool:
    return read(path) == content


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name("." + path.name + ".swp")  # Ignored, as an editor's is.
    beside.write_bytes(content)
    beside.rename(path)
