"""How hard Hypothesis tries: few examples at the desk, more in CI, very many in the soak.

And a home, or a folder with a short name, of its own for every test that asks for one; and Ctrl-C.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

# No deadlines and no complaint about slow generation: both measure the machine, not the code.
COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("dev", COMMON, max_examples=100)
settings.register_profile("ci", COMMON, max_examples=300, print_blob=True)
settings.register_profile("nightly", COMMON, max_examples=20_000, print_blob=True)
settings.register_profile(
    "mutation",  # Quick, the same each time, and nothing remembered: see fuzz/mutate.py.
    COMMON,
    max_examples=25,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "dev"))

# A shell has what it starts in the background ignore Ctrl-C, and all that is started from there.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory of the test's own whose name leaves room for sockets below it."""
    directory = Path(tempfile.mkdtemp(prefix="tow-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def homes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A home of the test's own; the runtime directory has a short name, for sockets."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("state", "config", "cache", "data"):
        monkeypatch.setenv(f"XDG_{name.upper()}_HOME", str(home / name))
    with tempfile.TemporaryDirectory(prefix="tl") as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        yield home
