"""What services decide, from what was found on a machine."""

from __future__ import annotations

import json
import subprocess

import pytest

from towline.errors import UserError
from towline.services.base import Found
from towline.services.code_server import CodeServer
from towline.services.jupyter import JupyterLab

HOME = "/home/ana"
OURS = f"{HOME}/.local/share/towline/jupyter/bin/jupyter-lab"
THEIRS = "/opt/conda/bin/jupyter-lab"
SHA256 = "0" * 64


def found(*, ipykernel: bool = True, **programs: str) -> Found:
    named = {name.replace("_", "-"): path for name, path in programs.items()}
    return Found(named, "/opt/conda/bin/python3", {"ipykernel": ipykernel}, "/bin", HOME)


def kernel_of(service: JupyterLab, program: str, machine: Found) -> list[str] | None:
    files = service.start(machine, program, "/p").files
    text = files.get("share/kernels/python3/kernel.json")
    return None if text is None else json.loads(text)["argv"]


def test_the_persons_own_jupyterlab_goes_first_and_a_named_one_before_it() -> None:
    machine = found(jupyter_lab=THEIRS)
    assert JupyterLab().program(machine) == THEIRS
    assert JupyterLab("/x/jupyter-lab").program(machine) == "/x/jupyter-lab"
    assert JupyterLab().program(found()) == ""


def test_notebooks_run_in_the_persons_python_whosever_the_server_is() -> None:
    argv = kernel_of(JupyterLab(), OURS, found())
    assert argv is not None
    assert argv[0] == "/opt/conda/bin/python3"
    assert kernel_of(JupyterLab(), THEIRS, found()) is None, "its own kernels are right already"
    assert kernel_of(JupyterLab(), OURS, found(ipykernel=False)) is None
    (note,) = JupyterLab().start(found(ipykernel=False), OURS, "/p").notes
    assert "pip install ipykernel" in note


def test_kernels_load_the_extension_only_if_asked() -> None:
    argv = kernel_of(JupyterLab(loads="%run ~/n.py"), THEIRS, found())
    assert argv is not None
    assert argv[-1] == "--IPKernelApp.code_to_run=%run ~/n.py"


def test_settings_of_the_persons_own_server_are_left_alone() -> None:
    assert "JUPYTER_CONFIG_PATH" not in JupyterLab().start(found(), THEIRS, "/p").env
    assert "JUPYTER_CONFIG_PATH" in JupyterLab().start(found(), OURS, "/p").env


@pytest.mark.parametrize("service", [JupyterLab(), CodeServer()])
def test_no_secret_stands_in_an_argument(service: JupyterLab | CodeServer) -> None:
    start = service.start(found(), "/x", "/p")
    assert not [word for word in start.argv if "{secret" in word]
    assert start.secrets == (service.secret,)


@pytest.mark.parametrize(
    "script",
    [
        JupyterLab().install(found()),
        JupyterLab().install(found(uv="/bin/uv")),
        CodeServer().install(found(npm="/bin/npm")),
        CodeServer(download="https://x/y.tar.gz", sha256=SHA256).install(found()),
        CodeServer(download="~/it's.tar.gz", sha256=SHA256).install(found()),
    ],
)
def test_what_installs_is_a_script_that_sh_can_read(script: str) -> None:
    assert subprocess.run(["sh", "-n", "-c", script]).returncode == 0


def test_uv_is_used_where_it_is() -> None:
    assert "uv pip install" in JupyterLab().install(found(uv="/bin/uv"))
    assert "-m venv" in JupyterLab().install(found())


@pytest.mark.parametrize(
    "service",
    [
        CodeServer(),
        CodeServer(download="https://x/y.tar.gz"),
        CodeServer(download="https://x/y.tar.gz", sha256="12"),
        CodeServer(download="http://x/y.tar.gz", sha256=SHA256),
    ],
    ids=["no npm", "no digest", "no whole digest", "no https"],
)
def test_nothing_unknown_is_installed(service: CodeServer) -> None:
    with pytest.raises(UserError):
        service.install(found())


def test_a_door_holds_the_secret_as_text() -> None:
    assert "&quot;&gt;" in CodeServer().door(1, '">')
    assert '">' not in JupyterLab().url(1, '">')
