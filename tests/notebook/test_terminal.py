"""Plain IPython in a terminal, without any kernel: the same extension."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.notebook.kernel import ROOT, stack_named

LINES = """\
%load_ext towline
%towline watch
import module
print("first", module.VALUE)
import pathlib; _ = pathlib.Path("module.py").write_text("VALUE = 2")
print("second", module.VALUE)
_ = pathlib.Path("module.py").write_text("VALUE = ")
%towline policy strict
print("third", module.VALUE)
%towline off
print("fourth", module.VALUE)
"""


def test_it_works_in_plain_ipython(project: Path) -> None:
    stack = stack_named("today")
    (project / "module.py").write_text("VALUE = 1\n")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(project.parent),
        "PYTHONPATH": str(ROOT / "src"),
        "LANG": "C.UTF-8",
    }
    argv = [stack.python, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"]
    done = subprocess.run(
        argv, input=LINES, cwd=project, env=environment, capture_output=True, text=True, timeout=60
    )
    said = done.stdout + done.stderr
    assert "first 1" in said
    assert "second 2" in said
    assert "cell NOT run: module.py:1: SyntaxError" in said
    assert "third" not in said
    assert "fourth 2" in said
