"""`towline code` with a real code-server on a real machine: its door, and settings kept here."""

from __future__ import annotations

import http.cookiejar
import json
import shutil
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.laptop import Laptop, is_alive, save, wait_until

START_S = 60.0
SETTINGS = "data/User/settings.json"
CODE_SERVER = shutil.which("code-server")

if CODE_SERVER is None:
    pytest.skip("code-server is not in PATH", allow_module_level=True)


@pytest.fixture(autouse=True)
def _environment(laptop: Laptop) -> None:
    assert CODE_SERVER
    (laptop.machine.home / ".profile").write_text(f'PATH="{Path(CODE_SERVER).parent}:$PATH"\n')


def code(laptop: Laptop, *words: str) -> dict[str, Any]:
    done = laptop.run("code", *words, "--json", timeout_s=START_S)
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def servers(laptop: Laptop) -> list[int]:
    return [
        pid for pid, line in laptop.machine.processes().items() if "/config.yaml --socket" in line
    ]


def page_after(url: str, password: str) -> str:
    """Return where the form of the door leads with this password."""
    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    form = urllib.parse.urlencode({"password": password}).encode()
    with urllib.request.build_opener(cookies).open(f"{url}login", form, timeout=30) as answer:
        where: str = answer.geturl()
    return where


def test_it_starts_asks_for_its_password_and_its_settings_are_kept(laptop: Laptop) -> None:
    save(laptop.project / "a.py", "x = 1\n")
    with laptop.linked():
        first = code(laptop)
        url, password = first["url"], first["password"]
        assert not first["was_running"]
        assert page_after(url, "wrong").endswith("/login")
        assert not page_after(url, password).endswith("/login")
        assert servers(laptop)
        assert code(laptop, "--no-browser") == {**first, "was_running": True}
        assert password not in "".join(laptop.machine.processes().values())

        (there,) = (laptop.machine.home / ".local/share/towline/services").glob("code-*")
        assert password not in (there / "log").read_text()
        save(there / SETTINGS, '{"editor.fontSize": 17}')
        running = servers(laptop)
        laptop.run("code", "stop", timeout_s=START_S)
        wait_until(lambda: not any(map(is_alive, running)), "all of it has ended")
        shutil.rmtree(there)  # As on the next machine.
        again = code(laptop)
        assert again["password"] != password, "a new machine has secrets of its own"
        assert again["url"] == url
        assert (there / SETTINGS).read_text() == '{"editor.fontSize": 17}'
        laptop.run("code", "stop", timeout_s=START_S)
