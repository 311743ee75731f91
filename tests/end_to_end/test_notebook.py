"""A notebook in step: save on the laptop, run the cell at once. Real sshd, real kernels."""

from __future__ import annotations

import os
import random
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.laptop import Laptop, save
from tests.notebook.kernel import Kernel, Stack, kernel_in, stack_named

STACKS = ("today", "colab")


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest) -> Stack:
    return stack_named(request.param)


def environment_of(laptop: Laptop) -> dict[str, str]:
    """What a kernel on the machine has: the machine's home."""
    return {"PATH": os.environ["PATH"], "HOME": str(laptop.machine.home), "LANG": "C.UTF-8"}


@contextmanager
def notebook(laptop: Laptop, stack: Stack, *, load: bool = True) -> Generator[Kernel]:
    """A kernel on the machine with nothing of ours installed, in step with the laptop."""
    with kernel_in(laptop.machine.home, environment_of(laptop), stack.python) as kernel:
        if load:
            loaded = kernel.run("%run ~/.cache/towline/notebook.py")
            assert "revision" in loaded.stdout, loaded
        yield kernel


def test_save_and_run_at_once(laptop: Laptop, stack: Stack) -> None:
    save(laptop.project / "module.py", "VALUE = 0\n")
    with laptop.linked() as link, notebook(laptop, stack) as kernel:
        told = link.named("ready")[0]["notebook"]
        assert told == "%run ~/.cache/towline/notebook.py"
        assert kernel.run("import module").said == ""
        for value in range(1, 20):
            save(laptop.project / "module.py", f"VALUE = {value}\n")
            ran = kernel.run("module.VALUE")
            assert (ran.result, ran.said) == (str(value), "")
