"""Snapshots on the machine: what passes ends nothing, and what comes back is watched again."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from towline.agent import keeper
from towline.agent.courier import CourierError
from towline.agent.keeper import Call, Keeper


class KeptError(Exception):
    pass


class BegunAnew(Keeper):
    """Its folder is made anew after the first snapshot; the one that holds it is the last."""

    def snapshot(self) -> None:
        super().snapshot()
        if (self._root / "anew").exists():
            raise KeptError
        shutil.rmtree(self._root)
        self._root.mkdir()
        (self._root / "anew").touch()


def call_for(root: Path) -> Call:
    return Call(str(root), (), {}, 0.0, ())


def test_no_room_for_a_file_is_one_snapshot_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Keeper(call_for(tmp_path), ["true"], dict(os.environ))
    kept.snapshot()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(CourierError, match="No such file"):
        kept.snapshot()
    monkeypatch.undo()
    kept.snapshot()


def test_a_folder_that_is_made_anew_is_kept_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.setattr(keeper, "LOOK_S", 0.01)
    with pytest.raises(KeptError):
        BegunAnew(call_for(root), ["true"], dict(os.environ)).run()
