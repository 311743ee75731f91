"""A large content on its way to the laptop over a slow line."""

from __future__ import annotations

import math
import os
from pathlib import Path

from tests.engine.two_sided import PART_S, Machine, SmallDisk, run_linked, until
from towline.core.wire.messages import PART_SIZE
from towline.engine.live import Live

PARTS = 400  # Of the large file: the line takes longer for it than it is waited for another try.


def test_what_met_a_full_disk_arrives_once_there_is_room(tmp_path: Path) -> None:
    (tmp_path / "machine").mkdir()
    content = os.urandom(PARTS * PART_SIZE)
    (tmp_path / "machine/large.bin").write_bytes(content)

    async def scenario(live: Live, machine: Machine, disk: SmallDisk) -> None:
        disk.room = 0
        await until(lambda: ("laptop", "large.bin") in live.problems, PARTS * PART_S)
        disk.room = math.inf
        await until(lambda: not live.problems and not live.puller.waiting, 4 * PARTS * PART_S)
        assert (tmp_path / "laptop/large.bin").read_bytes() == content
        assert machine.sent < 3 * PARTS

    run_linked(tmp_path, scenario)
