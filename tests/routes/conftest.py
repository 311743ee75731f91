"""Surroundings for a route: a private directory and nothing of this computer's environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from towline.routes.base import Surroundings


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    directory = tmp_path / "routes"
    directory.mkdir(mode=0o700)
    return Surroundings(directory, {"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
