"""What a machine says of its ways in, where it cannot be written down."""

from __future__ import annotations

from pathlib import Path

import anyio
import trio
from trio.testing import MockClock

from towline.machine.place import read_json
from towline.machine.status import AGAIN_S, StatusFile


def test_what_cannot_be_written_is_once_it_can(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "status"
    file = StatusFile(path, said.append)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(file.keep)
            file.write({"routes": 1})
            path.unlink()
            path.mkdir()  # No file gets this name, whoever tries.
            file.write({"routes": 2})
            await anyio.sleep(3 * AGAIN_S)
            path.rmdir()
            await anyio.sleep(2 * AGAIN_S)
            tasks.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert read_json(path) == {"routes": 2}
    assert len(said) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["status"]
