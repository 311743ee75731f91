"""Kernels for tests that need no laptop: they watch a folder of their own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notebook.kernel import ROOT, Kernel, kernel_in, stack_named

ANEW = """
import os, sys
os.chdir("{project}")
for name, module in list(sys.modules.items()):
    if (getattr(module, "__file__", None) or "").startswith("{home}"):
        del sys.modules[name]
sys.path[:] = [path for path in sys.path if not path.startswith("{home}")]
%reset -f
"""


@pytest.fixture(scope="module", params=("today", "colab"))
def running(request: pytest.FixtureRequest) -> Iterator[Kernel]:
    """Today's IPython and ipykernel, and the pair that Colab has. One kernel serves many tests."""
    stack = stack_named(request.param)
    home = Path(tempfile.mkdtemp(prefix="tow-"))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    with kernel_in(home, environment, stack.python) as kernel:
        yield kernel
    shutil.rmtree(home)


@pytest.fixture
def project(short_path: Path) -> Path:
    project = short_path / "project"
    project.mkdir()
    return project


@pytest.fixture
def kernel(project: Path, running: Kernel) -> Kernel:
    """A kernel in the project's folder that watches it."""
    running.run("%unload_ext towline")
    anew = running.run(ANEW.format(home=project.parent.parent / "tow-", project=project))
    assert anew.status == "ok", anew.error[-600:]
    assert running.run("%load_ext towline").status == "ok"
    watching = running.run("%towline watch")
    assert "watched here" in watching.stdout, watching.error[-600:]
    return running
