"""`towline jupyter` with a real JupyterLab on a real machine: started, reused, used, ended."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.laptop import Laptop, is_alive, save, wait_until

START_S = 60.0

if importlib.util.find_spec("jupyterlab") is None:
    pytest.skip("JupyterLab is not in this environment", allow_module_level=True)


@pytest.fixture(autouse=True)
def _environment(laptop: Laptop) -> None:
    """The machine's logins have JupyterLab in their PATH, as an activated environment gives it."""
    (laptop.machine.home / ".profile").write_text(f'PATH="{Path(sys.executable).parent}:$PATH"\n')


def jupyter(laptop: Laptop, *words: str) -> dict[str, Any]:
    done = laptop.run("jupyter", *words, "--json", timeout_s=START_S)
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def get(url: str, token: str = "") -> tuple[int, Any]:
    headers = {"Authorization": f"token {token}"} if token else {}
    try:
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - Our own server.
        with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, None


def post(url: str, token: str, value: Any) -> Any:
    headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(value).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def taken_apart(url: str) -> tuple[str, str]:
    found = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/lab\?token=([\w-]+)", url)
    assert found, url
    return found[1], found[2]


def servers(laptop: Laptop) -> list[int]:
    return [pid for pid, line in laptop.machine.processes().items() if "jupyter-lab --no-b" in line]


def test_it_starts_is_reused_and_ends(laptop: Laptop) -> None:
    save(laptop.project / "a.py", "x = 1\n")
    with laptop.linked() as link:
        first = jupyter(laptop)
        assert not first["was_running"]
        base, token = taken_apart(first["url"])
        assert get(f"{base}/api/contents")[0] == 403, "nothing without the token"
        status, listing = get(f"{base}/api/contents", token)
        assert status == 200
        assert "a.py" in [item["name"] for item in listing["content"]], "it is in the project"
        (server,) = servers(laptop)
        assert jupyter(laptop) == {**first, "was_running": True}
        assert jupyter(laptop, "status")["url"] == first["url"]
        assert servers(laptop) == [server]
        assert token not in "".join(laptop.machine.processes().values()), "no token in an argv"
        link.end()
    with laptop.linked():  # Another engine: the server went on, at the same address.
        assert jupyter(laptop, "--no-browser") == {**first, "was_running": True}
        assert servers(laptop) == [server]
        kept = laptop.machine.home / ".local/share/towline/services"
        assert token not in "".join(log.read_text() for log in kept.glob("*/log"))
        modes = {path.stat().st_mode & 0o077 for path in kept.rglob("*")}
        assert modes == {0}, "nobody else reads them"
        (ran,) = (laptop.directory / "state").rglob("*.ran.json")
        assert json.loads(ran.read_text()) == {"jupyter": {"title": "JupyterLab", "kept": []}}
        done = laptop.run("jupyter", "stop", timeout_s=START_S)
        assert json.loads(ran.read_text()) == {}
        assert "stopped" in done.stderr
        wait_until(lambda: not is_alive(server), "the server has ended")
        assert laptop.run("jupyter", "status").returncode == 1
        assert laptop.tell("forward", "--list") == []
        again = jupyter(laptop)
        assert again == first, "the same token and port, so that a page that is open goes on"
        laptop.run("jupyter", "stop", timeout_s=START_S)


def test_kernels_load_the_extension_if_asked(laptop: Laptop) -> None:
    laptop.configure("notebook.autoload = true\n")
    save(laptop.project / "model.py", "value = 42\n")
    with laptop.linked():
        base, token = taken_apart(jupyter(laptop)["url"])
        _, specs = get(f"{base}/api/kernelspecs", token)
        argv = specs["kernelspecs"]["python3"]["spec"]["argv"]
        assert Path(argv[0]).parent == Path(sys.executable).parent, "the environment's own Python"
        kernel = post(f"{base}/api/kernels", token, {"name": "python3"})
        source = "import model; print(model.value, get_ipython().find_line_magic('towline'))"
        printed = run_in_kernel(base, token, kernel["id"], source)
        assert printed.startswith("towline: revision"), "the first cell says where it stands"
        assert "\n42 <bound method" in printed
        assert not list(laptop.machine.home.glob(".ipython/profile_default/startup/*.py"))
        laptop.run("jupyter", "stop", timeout_s=START_S)


def run_in_kernel(base: str, token: str, kernel: str, source: str) -> str:
    """Run a cell over the kernel's WebSocket, through the forward; return what it printed."""
    from websockets.sync.client import connect

    header = {"msg_id": os.urandom(8).hex(), "msg_type": "execute_request", "session": "test"}
    content = {"code": source, "silent": False, "store_history": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    url = f"ws{base[4:]}/api/kernels/{kernel}/channels"
    printed = ""
    with connect(url, additional_headers={"Authorization": f"token {token}"}) as socket:
        socket.send(json.dumps({**message, "channel": "shell"}))
        for text in socket:
            told = json.loads(text)
            if told["parent_header"].get("msg_id") != header["msg_id"]:
                continue
            if told["msg_type"] == "stream":
                printed += told["content"]["text"]
            elif told["msg_type"] == "error":
                printed += "\n".join(told["content"]["traceback"])
            elif told["content"].get("execution_state") == "idle":  # After all that it printed.
                return printed
    raise AssertionError("the kernel's channel ended")
