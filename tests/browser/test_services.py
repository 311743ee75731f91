"""JupyterLab and code-server on the machine, used from a real Chromium here, over a real link.

Run by `nox -s browser`, which has them. It makes docs/img/jupyter.png and docs/img/code.png anew.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_notebook import CHROMIUM, FLAGS, write_notebook
from tests.end_to_end.conftest import laptop, machine  # noqa: F401 - Fixtures.
from tests.end_to_end.laptop import Laptop, read, save, wait_content, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

IMAGES = Path(__file__).parents[2] / "docs/img"
START_S = 60.0
WAIT_MS = 90_000  # On a busy computer code-server stands still for most of a minute at times.
PRESSES = 5
MODEL = "def accuracy(weights):\n    return 0.91 + weights / 100\n"
SETTINGS = {
    "workbench.startupEditor": "none",
    "chat.disableAIFeatures": True,
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "editor.fontSize": 15,
    "files.participants.timeout": 500,  # They wait for a registry that tests do not reach.
    "files.autoSave": "off",
    "extensions.ignoreRecommendations": True,
}


@contextmanager
def page_of(place: Path) -> Generator[Any]:
    """A page of a Chromium with a profile of its own."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"{CHROMIUM}: not there")
    with playwright.sync_playwright() as starting:
        browser = starting.chromium.launch_persistent_context(
            str(place / "profile"),
            executable_path=CHROMIUM,
            args=FLAGS,
            viewport={"width": 1100, "height": 680},
        )
        try:
            yield browser.pages[0]
        except BaseException:
            browser.pages[0].screenshot(path=str(place / "failed.png"))  # What it looked like.
            raise
        browser.close()


def with_programs(laptop: Laptop, *directories: Path) -> None:  # noqa: F811
    """The machine's logins find these programs, as in an activated environment."""
    path = ":".join(map(str, directories))
    (laptop.machine.home / ".profile").write_text(f'PATH="{path}:$PATH"\n')


def opened_by(laptop: Laptop, command: str) -> str:  # noqa: F811
    """Run the command as a person does; return what it had the browser open."""
    browser, seen = laptop.directory / "browser", laptop.directory / "seen"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {seen}\n')
    browser.chmod(0o755)
    environment = {"BROWSER": f"{browser} %s"}
    done = laptop.run(command, timeout_s=START_S, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    wait_until(lambda: bool(read(seen)), "the browser is opened")
    return seen.read_text()


def test_jupyterlab_is_used_from_here(laptop: Laptop, tmp_path: Path) -> None:  # noqa: F811
    pytest.importorskip("jupyterlab")
    with_programs(laptop, Path(sys.executable).parent)
    laptop.configure("notebook.autoload = true\n")
    save(laptop.project / "model.py", MODEL)
    save(laptop.project / "notes.txt", "written on the laptop\n")
    write_notebook(laptop.project / "a.ipynb")
    with laptop.linked(), page_of(tmp_path) as page:
        address = opened_by(laptop, "jupyter")
        assert address.startswith("file://"), "no token among the arguments of a browser"
        page.goto(address)
        page.locator("#jp-main-dock-panel").wait_for(timeout=WAIT_MS)
        base = page.url.partition("/lab")[0]

        page.goto(f"{base}/lab/tree/a.ipynb")
        idle = page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
        idle.wait_for(timeout=WAIT_MS)
        assert "0.94" in run_cell(page, 1), "the project can be imported: the extension is loaded"

        page.goto(f"{base}/lab/tree/notes.txt")
        editor = page.locator(".jp-FileEditor .cm-content")
        editor.click()
        page.keyboard.press("Control+End")
        page.keyboard.type("written in JupyterLab")
        page.keyboard.press("Control+s")
        wait_content(laptop.project / "notes.txt", "written on the laptop\nwritten in JupyterLab")

        page.locator('.lm-MenuBar-item:has-text("File")').click()
        page.locator('.lm-Menu-item:has-text("New")').first.hover()
        page.locator('.lm-Menu-item:has-text("Terminal")').first.click()
        typed = laptop.project / "typed.txt"
        type_in_terminal(page, ".jp-Terminal", "cat model.py > typed.txt", typed, MODEL)

        save(laptop.project / "model.py", MODEL.replace("0.91", "0.95"))
        laptop.flush()
        page.goto(f"{base}/lab/tree/a.ipynb")
        idle.wait_for(timeout=WAIT_MS)
        assert "0.98" in run_cell(page, 2), "what was saved on the laptop runs in the next cell"
        with suppress(Exception):  # A question that JupyterLab asks new users, sooner or later.
            page.get_by_role("button", name="No", exact=True).click(timeout=2000)
            page.locator(".Toastify__toast").wait_for(state="hidden", timeout=5000)
        page.screenshot(path=str(IMAGES / "jupyter.png"))
        laptop.run("jupyter", "stop", timeout_s=START_S)


def run_cell(page: Any, number: int) -> str:
    """Run a cell, as a person does: JupyterLab drops what is asked of a kernel that only begins."""
    cell = page.locator(".jp-Notebook .jp-Cell").nth(number)
    prompt = cell.locator(".jp-InputPrompt")
    output = cell.locator(".jp-OutputArea-output")

    def is_done() -> bool:
        return prompt.inner_text().strip("[]: ").isdigit() and output.count() > 0

    for _ in range(PRESSES):
        cell.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        with suppress(AssertionError):
            wait_until(is_done, f"cell {number} has run", 6)
            break
    return "\n".join(output.all_inner_texts())


def type_in_terminal(page: Any, inside: str, line: str, made: Path, content: str) -> None:
    """Type a line until what it makes is here; a terminal that only begins drops what is typed."""
    area = page.locator(f"{inside} .xterm-helper-textarea").first
    area.wait_for(state="attached", timeout=WAIT_MS)
    for _ in range(PRESSES):
        area.focus()
        page.keyboard.type(line)
        page.keyboard.press("Enter")
        with suppress(AssertionError):
            wait_content(made, content, 6)
            return
    raise AssertionError(f"{line}: nothing came of it")


def test_code_server_is_used_from_here(laptop: Laptop, tmp_path: Path) -> None:  # noqa: F811
    program = shutil.which("code-server")
    if program is None:
        pytest.skip("code-server is not in PATH")
    with_programs(laptop, Path(program).parent)
    save(laptop.project / "model.py", MODEL)
    save(laptop.project / "notes.txt", "from the laptop\n")
    kept = laptop.directory / "state/towline/services/code.data.User.settings.json"
    save(kept, json.dumps(SETTINGS))  # As from an earlier machine.
    with laptop.linked(), page_of(tmp_path) as page:
        address = opened_by(laptop, "code")
        assert address.startswith("file://"), "no password among the arguments of a browser"
        page.goto(address)
        page.locator(".monaco-workbench").wait_for(timeout=WAIT_MS)

        page.locator('.explorer-folders-view [aria-label*="notes.txt"]').first.dblclick()
        editor = page.locator(".editor-instance .monaco-editor").first
        editor.wait_for(timeout=WAIT_MS)
        editor.click()
        page.keyboard.press("Control+End")
        page.keyboard.type("typed_in_code-server")
        page.keyboard.press("Control+s")
        wait_content(laptop.project / "notes.txt", "from the laptop\ntyped_in_code-server", 90)

        # The edit is here before the editor over there knows that it has saved it.
        page.locator(".tab.dirty").wait_for(state="detached", timeout=WAIT_MS)
        page.wait_for_timeout(1000)
        save(laptop.project / "notes.txt", "from the laptop\nsaved_on_the_laptop_again\n")
        line = page.locator('.view-lines:has-text("saved_on_the_laptop_again")')
        line.first.wait_for(timeout=WAIT_MS)

        page.keyboard.press("Control+Backquote")
        typed = laptop.project / "typed.txt"
        type_in_terminal(page, ".terminal-wrapper", "cat model.py > typed.txt", typed, MODEL)
        page.screenshot(path=str(IMAGES / "code.png"))
        laptop.run("code", "stop", timeout_s=START_S)
