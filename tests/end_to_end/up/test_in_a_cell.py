"""`towline.up()` in the cell of a real kernel."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from tests.end_to_end.borrowed import Borrowed, Laptop
from tests.notebook.kernel import CELL_S, Kernel, kernel_in
from towline.core.ticket import decode


@pytest.fixture
def machine(machine: Borrowed) -> Borrowed:
    machine.ticket()  # It chooses the port that the tunnel leads to.
    machine.towline("down")
    return machine


@pytest.fixture
def kernel(machine: Borrowed) -> Iterator[Kernel]:
    directory = Path(tempfile.mkdtemp(prefix="tow-"))
    with kernel_in(directory, machine.environment) as kernel:
        yield kernel
    rmtree(directory)


def cell(machine: Borrowed) -> str:
    settings = {"direct.address": f"127.0.0.1:{machine.tunnel.port}"}
    return f"import towline; up = towline.up(route='direct', name='box', settings={settings})\nup"


def shown(kernel: Kernel, code: str) -> list[tuple[str, dict[str, Any]]]:
    """Return what a front end is told to show, and whether anew or in its place."""
    message = kernel.send(code)
    told: list[tuple[str, dict[str, Any]]] = []
    while True:
        one = kernel.client.get_iopub_msg(timeout=CELL_S)
        if one["parent_header"].get("msg_id") != message:
            continue
        if one["msg_type"] == "status" and one["content"]["execution_state"] == "idle":
            return told
        told.append((one["msg_type"], one["content"]))


def test_a_card_with_the_line_to_copy_and_it_outlives_the_kernel(
    machine: Borrowed, kernel: Kernel, tmp_path: Path
) -> None:
    told = [one for one in shown(kernel, cell(machine)) if one[0].endswith("display_data")]
    assert told[0][0] == "display_data"
    assert {kind for kind, _ in told[1:]} == {"update_display_data"}, "one place, written anew"
    assert "starting an SSH server" in told[0][1]["data"]["text/html"]
    card = told[-1][1]["data"]["text/html"]
    line = re.search(r"<code[^>]*>towline link (\S+)</code>", card)
    assert line is not None
    assert "copy</button>" in card
    ticket = decode(line[1])
    assert ticket.alias == "box"

    kernel.restart()
    again = [one for one in shown(kernel, cell(machine)) if one[0] == "display_data"]
    assert len(again) == 1
    assert line[1] in again[0][1]["data"]["text/html"]

    laptop = Laptop(tmp_path / "laptop")
    laptop.towline("enrol", line[1])
    assert kernel.value("'JPY_PARENT_PID' in __import__('os').environ") == "True"
    asked = laptop.towline("ssh", "box", "--", "echo ${JPY_PARENT_PID-none}")
    assert asked.stdout == "none\n", "what belongs to one kernel is not passed on"
    laptop.close()

    assert kernel.value("towline.status()['routes'][0]['route']") == "'direct'"
    assert kernel.value("towline.down(), towline.down(), towline.status()") == "(True, False, None)"
