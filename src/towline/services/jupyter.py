"""JupyterLab: the person's own if there is one, else one in an environment of ours.

Either way notebooks run in the person's Python: where the server is not in their environment, it is
told of that one as the kernel `python3`. Their Jupyter and IPython settings are used, not changed.
"""

from __future__ import annotations

import html
import json
import shlex
from urllib.parse import urlencode

from towline.services.base import Found, Service, Start, for_shell

PACKAGES = ("jupyterlab>=4,<5", "ipykernel")
QUIET = json.dumps({"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}})


class JupyterLab(Service):
    """`loads` is the line that loads the extension in each kernel; empty: none does."""

    name = "jupyter"
    title = "JupyterLab"
    programs = ("jupyter-lab", "uv")
    modules = ("ipykernel",)
    secret = "token"  # noqa: S105 - Its name.

    def __init__(self, program: str = "", loads: str = "") -> None:
        self._program = program
        self._loads = loads

    def program(self, found: Found) -> str:
        return self._program or found.programs.get("jupyter-lab", "")

    def install(self, found: Found) -> str:
        packages = " ".join(f"'{package}'" for package in PACKAGES)
        begin = f'set -e; D={for_shell(self.own)}; rm -rf "$D"; mkdir -p "${{D%/*}}"; umask 077; '
        if "uv" in found.programs:
            return begin + (f'uv venv "$D" && uv pip install --python "$D/bin/python" {packages}')
        python = shlex.quote(found.python or "python3")
        return begin + (
            f'{python} -m venv "$D" && "$D/bin/python" -m pip install '
            f"--disable-pip-version-check --progress-bar off {packages}"
        )

    def start(self, found: Found, program: str, folder: str) -> Start:
        is_ours = program.startswith(f"{found.home}/{self.own.removeprefix('~/')}/")
        files = {"config/labconfig/page_config.json": QUIET} if is_ours else {}
        env = {"JUPYTER_TOKEN_FILE": "{directory}/secret-token", "JUPYTER_TOKEN": ""}
        notes: list[str] = []
        has_kernel = bool(found.python) and found.modules.get("ipykernel", False)
        if has_kernel and (is_ours or self._loads):
            files["share/kernels/python3/kernel.json"] = self._kernel(found.python)
            env["JUPYTER_PATH"] = "{directory}/share"
        elif is_ours:
            notes.append(
                f"{found.python or 'the Python there'} has no ipykernel: notebooks run in an"
                " environment of their own; `pip install ipykernel` there to have yours"
            )
        if is_ours:
            env["JUPYTER_CONFIG_PATH"] = "{directory}/config"
        return Start(
            argv=[
                *(program, "--no-browser", "--allow-root"),
                *("--ServerApp.sock={socket}", "--ServerApp.sock_mode=0600"),
                f"--ServerApp.root_dir={folder}",
                # Names of hosts guard servers without a token; this one has one.
                "--ServerApp.allow_remote_access=True",
            ],
            env=env,
            files=files,
            secrets=(self.secret,),
            ready="/api",
            notes=notes,
        )

    def url(self, port: int, secret: str) -> str:
        return self.public_url(f"http://127.0.0.1:{port}", secret)

    def public_url(self, base: str, secret: str) -> str:
        return f"{base}/lab?{urlencode({'token': secret})}"

    def door(self, port: int, secret: str) -> str:
        target = html.escape(self.url(port, secret), quote=True)
        return (
            f'<!DOCTYPE html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
            f'<meta http-equiv="refresh" content="0; url={target}"><title>{self.title}</title>'
            f'<a href="{target}">{self.title}</a>\n'
        )

    def _kernel(self, python: str) -> str:
        loads = [f"--IPKernelApp.code_to_run={self._loads}"] if self._loads else []
        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}", *loads]
        kernel = {"argv": argv, "display_name": "Python 3 (ipykernel)", "language": "python"}
        return json.dumps({**kernel, "metadata": {"debugger": True}})
