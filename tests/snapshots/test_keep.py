"""What a project's snapshots meet on the laptop is told, and passes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.snapshots.repositories import KEY, NEEDS_RESTIC
from towline.config import load
from towline.errors import ExitCode, UserError
from towline.keep import Keep

pytestmark = [NEEDS_RESTIC, pytest.mark.anyio]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_no_room_for_a_file_is_one_snapshot_that_failed(
    homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a").touch()
    monkeypatch.setenv("RESTIC_PASSWORD", KEY)
    keep = Keep(project, load(project, {}, {"keep.to": str(tmp_path / "repo")}))
    with monkeypatch.context() as full:
        full.setattr(tempfile, "tempdir", str(tmp_path / "none"))
        with pytest.raises(UserError, match="No such file") as caught:
            await keep.take()
    assert caught.value.exit_code is ExitCode.CANNOT_WRITE
    assert (await keep.take()).snapshot
