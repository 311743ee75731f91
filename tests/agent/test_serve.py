"""What an agent needs to have in memory. What it does is tested by whoever speaks to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"
PROGRAM = """\
import sys
sys.path.insert(0, sys.argv[1])
import towline.agent.attach, towline.agent.serve
print(*sys.modules)
"""


def test_an_agent_loads_no_openssl_for_the_sake_of_digests_and_names() -> None:
    argv = [sys.executable, "-I", "-S", "-c", PROGRAM, str(SOURCE)]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert "towline.core.digest" in loaded
    assert not {"_hashlib", "_ssl"} & set(loaded)
