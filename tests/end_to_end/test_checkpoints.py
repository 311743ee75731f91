"""Checkpoints come back whole, the newest first, and their mark after them, whatever is killed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.end_to_end.laptop import (
    Laptop,
    Link,
    conflict_copies,
    read,
    staged,
    wait_content,
    wait_gone,
    wait_until,
)
from tests.end_to_end.relay import Relay, relay_to
from tests.end_to_end.test_kills import KILL, VICTIMS, go_on, staged_size

SIZE = 24 << 20
RATE = "8 MB/s"


@pytest.fixture
def relay(laptop: Laptop) -> Iterator[Relay]:
    laptop.configure(f'bandwidth = "{RATE}"\n')
    with relay_to(laptop.machine.address, laptop.machine.port) as relay:
        yield relay


@pytest.fixture
def link(laptop: Laptop, relay: Relay) -> Link:
    link = laptop.start("-p", str(relay.port), "machine")
    link.wait_for("ready")
    return link


def test_half_a_checkpoint_never_has_its_name_and_its_mark_comes_after_it(
    laptop: Laptop, link: Link
) -> None:
    path, mark = laptop.project / "runs/epoch_1.pt", laptop.project / "runs/latest"
    (laptop.there / "runs").mkdir()
    content = os.urandom(SIZE)
    with (laptop.there / "runs/epoch_1.pt").open("wb") as file:
        for at in range(0, SIZE, 1 << 20):
            file.write(content[at : at + (1 << 20)])
            file.flush()
            time.sleep(0.02)  # The pace of the writer; nothing is waited for.
        wait_until(lambda: laptop.status()["being_written"] == 1, "it is seen")
        assert read(path) is None
        assert staged_size(laptop.project) == 0
    (laptop.there / "runs/latest").write_text("epoch_1.pt")
    (laptop.there / "runs/later.txt").write_text("no mark")
    wait_content(laptop.project / "runs/later.txt", "no mark")
    assert read(mark) is None
    assert read(path) is None
    wait_content(path, content, 30)
    wait_content(mark, "epoch_1.pt")
    wait_until(lambda: laptop.status()["safe_behind"] == 0, "it is safe")
    assert laptop.status()["being_written"] == 0
    assert link.end() == 0


def test_the_newest_goes_first_and_what_was_removed_is_not_sent(
    laptop: Laptop, link: Link, relay: Relay
) -> None:
    for number in range(1, 5):
        (laptop.there / f"epoch_{number}.pt").write_bytes(os.urandom(SIZE))
        if number == 1:
            wait_until(lambda: staged_size(laptop.project) > 0, "the first is under way")
    wait_until(lambda: laptop.status()["safe_behind"] > 3 * SIZE, "all are told")
    (laptop.there / "epoch_2.pt").unlink()
    last = laptop.project / "epoch_3.pt"
    wait_until((laptop.project / "epoch_4.pt").exists, "the newest is there", 30)
    assert not last.exists()
    wait_until(last.exists, "the older one, too", 30)
    laptop.wait_equal()
    assert relay.down < 3.2 * SIZE
    assert link.end() == 0


def test_of_a_checkpoint_that_is_gone_nothing_stays_in_the_stage(
    laptop: Laptop, link: Link
) -> None:
    (laptop.there / "epoch_1.pt").write_bytes(os.urandom(SIZE))
    wait_until(lambda: staged_size(laptop.project) > 0, "it is under way")
    (laptop.there / "epoch_1.pt").unlink()
    (laptop.there / "epoch_2.pt").write_bytes(os.urandom(2 << 20))
    wait_until((laptop.project / "epoch_2.pt").exists, "the next is there", 30)
    wait_until(lambda: staged(laptop.project) == [], "nothing is left")
    wait_gone(laptop.project / "epoch_1.pt")
    assert link.end() == 0


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_checkpoint_goes_on_where_it_was_after_a_kill(
    laptop: Laptop, link: Link, relay: Relay, victim: str
) -> None:
    content = os.urandom(SIZE)
    (laptop.there / "epoch_1.pt").write_bytes(content)
    (laptop.there / "latest").write_text("epoch_1.pt")
    wait_until(lambda: staged_size(laptop.project) > SIZE // 3, "a third is there")
    mark = link.mark()
    KILL[victim](laptop, link)
    assert read(laptop.project / "epoch_1.pt") is None
    link = go_on(laptop, link, victim, mark, "-p", str(relay.port), "machine")
    wait_content(laptop.project / "latest", "epoch_1.pt", 30)
    assert read(laptop.project / "epoch_1.pt") == content
    print(f"{relay.down / SIZE - 1:+.1%} went twice")
    assert relay.down < 1.3 * SIZE
    assert conflict_copies(laptop.project, laptop.there) == []
    assert link.end() == 0
