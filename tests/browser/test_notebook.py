"""What a person sees of it: JupyterLab in a real Chromium, a real kernel, a real link.

Run by `nox -s browser`, which has the browser. It makes docs/img/notebook.png anew.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.conftest import laptop, machine  # noqa: F401 - Fixtures.
from tests.end_to_end.laptop import Laptop, save, wait_until

pytestmark = pytest.mark.browser

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PICTURE = Path(__file__).parents[2] / "docs/img/notebook.png"
TOKEN = "shown-to-nobody"  # noqa: S105 - Of a server that lives for this test.
RUN = "import model\nmodel.accuracy(weights=3)"
CELLS = ["%run ~/.cache/towline/notebook.py", RUN, RUN, "%towline policy strict", RUN]
WORKS = "def accuracy(weights):\n    return 0.91 + weights / 100\n"
BETTER = "def accuracy(weights):\n    return 0.95 + weights / 100\n"
BROKEN = "def accuracy(weights:\n    return 0.95 + weights / 100\n"


def test_the_messages_in_jupyterlab(laptop: Laptop, tmp_path: Path) -> None:  # noqa: F811
    pytest.importorskip("jupyterlab")
    playwright = pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM}: not there")
    save(laptop.project / "model.py", WORKS)
    write_notebook(laptop.machine.home / "a.ipynb")
    with (
        laptop.linked(),
        jupyterlab(laptop.machine.home, tmp_path) as url,
        playwright.sync_playwright() as starting,
    ):
        browser = starting.chromium.launch_persistent_context(
            str(tmp_path / "profile"),
            executable_path=CHROMIUM,
            args=FLAGS,
            viewport={"width": 900, "height": 620},
            device_scale_factor=2,
        )
        page = browser.pages[0]
        page.goto(f"{url}/doc/tree/a.ipynb?token={TOKEN}")
        page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for(timeout=60_000)
        assert "towline: revision" in run_cell(page, 0)
        assert "0.94" in run_cell(page, 1)
        save(laptop.project / "model.py", BROKEN)
        said = run_cell(page, 2)
        assert "model.py:1: SyntaxError" in said
        assert "0.94" in said
        assert "policy strict" in run_cell(page, 3)
        assert "cell NOT run: model.py:1: SyntaxError" in run_cell(page, 4)
        page.locator(".jp-Notebook").first.screenshot(path=str(PICTURE))
        save(laptop.project / "model.py", BETTER)
        assert "0.98" in run_cell(page, 4)
        browser.close()


def run_cell(page: object, number: int) -> str:
    """Run a cell with Shift+Enter; return what stands below it then."""
    cell = page.locator(".jp-Notebook .jp-Cell").nth(number)  # type: ignore[attr-defined]
    cell.locator(".cm-content").click()
    before = cell.locator(".jp-InputPrompt").inner_text()
    page.keyboard.press("Shift+Enter")  # type: ignore[attr-defined]

    def is_done() -> bool:
        prompt = str(cell.locator(".jp-InputPrompt").inner_text())
        return prompt != before and "*" not in prompt and prompt.strip("[]: ").isdigit()

    wait_until(is_done, f"cell {number} has run", 30)
    output = cell.locator(".jp-OutputArea-output")
    wait_until(lambda: output.count() > 0, f"cell {number} has an output", 30)
    return "\n".join(output.all_inner_texts())


def write_notebook(path: Path) -> None:
    cells = [
        {
            "cell_type": "code",
            "id": f"cell{number}",
            "execution_count": None,
            "metadata": {},
            "outputs": [],
            "source": source,
        }
        for number, source in enumerate(CELLS)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4}
    path.write_text(json.dumps({**notebook, "nbformat_minor": 5}))


@contextmanager
def jupyterlab(home: Path, place: Path) -> Generator[str]:
    """JupyterLab on the machine, in its home; yield where it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = place / "config"
    (config / "labconfig").mkdir(parents=True)
    disabled = {"@jupyterlab/apputils-extension:announcements": True}
    (config / "labconfig/page_config.json").write_text(json.dumps({"disabledExtensions": disabled}))
    directories = {f"JUPYTER_{name}_DIR": str(place / name) for name in ("DATA", "RUNTIME")}
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "JUPYTER_CONFIG_DIR": str(config),
        "IPYTHONDIR": str(place / "ipython"),
        **directories,
    }
    argv = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    argv += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}"]
    argv += ["--ip=127.0.0.1", f"--ServerApp.root_dir={home}"]
    argv += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    url = f"http://127.0.0.1:{port}"
    with (place / "lab.log").open("w") as log:
        process = subprocess.Popen(argv, cwd=home, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: answers(f"{url}/api"), "JupyterLab answers", 60)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - Of our own server.
            return bool(answer.status == 200)
    except OSError:
        return False
