"""Put back what a lock file lists, with uv or pip, and leave the image's own as it is.

Exactly the versions listed, without following dependencies: they are listed, too. Where that cannot
be (another Python, a version that is gone), what was asked for is resolved anew, within what the
image has. What is compared in the end is what is really there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from towline.agent.environment.python import Python

Json = dict[str, Any]
INSTALL_S = 3600.0  # A gigabyte of wheels on a slow network.
SAID_LINES = 12  # Of what an installer says when it fails.
POINTERS = ("UV_CONSTRAINT", "UV_BUILD_CONSTRAINT", "UV_OVERRIDE", "PIP_CONSTRAINT")
"""Images export these, pointing to files that are not always there."""
OF_THE_IMAGE = ("UV_SYSTEM_PYTHON", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONWARNINGS")
"""They would send uv to another Python than the one that is named."""
GPU_STACK = (
    "torch", "torchvision", "torchaudio", "triton", "pytorch-triton", "nvidia-", "cuda-",
    "jax", "jaxlib", "jax-cuda", "tensorflow", "tensorflow-", "cupy-", "libtpu", "tpu-",
)  # fmt: skip
"""Built for the image's driver and card. A name that ends in a dash stands for all so begun."""

_RELEASE = re.compile(
    r"v?(\d+!)?\d+(\.\d+)*"
    r"([-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?\d*)?"
    r"(-\d+|[-_.]?(post|rev|r)[-_.]?\d*)?"
    r"([-_.]?dev[-_.]?\d*)?"
    r"(\+[a-z0-9]+([-_.][a-z0-9]+)*)?",
    re.IGNORECASE | re.ASCII,
)
"""A version as PEP 440 has it."""


@dataclass
class Outcome:
    """What was not put back, and why, by name."""

    left: dict[str, str] = field(default_factory=dict[str, str])
    notes: list[str] = field(default_factory=list[str])


class Installer:
    """Uv where there is one, else pip, for one Python."""

    def __init__(self, python: Python, found: Json) -> None:
        self._environment = _clean(python.variables)
        self._python = python.executable
        self._system = bool(found["managed"]) and not found["in_venv"]
        self._uv = _find_uv(python)
        self.name = "uv" if self._uv else "pip"

    def install(
        self, lines: Iterable[str], image: Iterable[str] = (), *, follow: bool = False
    ) -> str:
        """Install; return what went wrong, empty if nothing did."""
        wanted = [*lines]
        if not wanted:
            return ""
        with tempfile.TemporaryDirectory(prefix="towline-") as directory:
            files = {"-r": wanted, "-c": [*image] if follow else []}
            arguments: list[str] = [] if follow else ["--no-deps"]
            for flag, content in files.items():
                path = os.path.join(directory, f"list{flag}.txt")
                with open(path, "w", encoding="utf-8") as file:
                    file.writelines(f"{line}\n" for line in content)
                arguments += [flag, path]
            return self._run(["install", *self._confirmed(), *arguments])

    def remove(self, names: Sequence[str]) -> str:
        sure = [] if self._uv else ["--yes"]
        return self._run(["uninstall", *self._confirmed(), *sure, *names]) if names else ""

    def _confirmed(self) -> list[str]:
        return ["--break-system-packages"] if self._system else []

    def _run(self, arguments: Sequence[str]) -> str:
        verb, *rest = arguments
        if self._uv:
            argv = [*self._uv, "pip", verb, "--python", self._python, *rest]
        else:
            quiet = ["--disable-pip-version-check", "--no-input", "-q"]
            argv = [self._python, "-m", "pip", verb, *quiet, *rest]
        return run(argv, self._environment)


def restore(
    installer: Installer, lock: Json, found: Json, image: Json, project: str
) -> Iterator[tuple[str, Outcome]]:
    """Put the packages back; yield after each step its name and what it left."""
    plan = _planned(lock, found, image)
    outcome = Outcome(left=dict(plan.left))
    constraints = [
        f"{entry['name']}=={entry['version']}"
        for name, entry in image.items()
        if name not in plan.exact
        and ("url" not in entry or is_gpu_stack(name))
        and "editable" not in entry
        and _is_release(entry["version"])
    ]
    exact = [f"{name}=={version}" for name, version in plan.exact.items()]
    exact += [f"{name} @ {url}" for name, url in plan.urls.items()]
    if said := installer.install(exact):
        outcome.notes.append(f"not as listed: {said}")
        wanted = [n for n in lock["requested"] if n in plan.exact] or [*plan.exact]
        pinned = [f"{name}=={plan.exact[name]}" for name in wanted]
        if installer.install(pinned, constraints, follow=True):
            for name in wanted:
                if said := installer.install([name], constraints, follow=True):
                    outcome.left[name] = said.splitlines()[-1]
        for name, url in plan.urls.items():
            if said := installer.install([f"{name} @ {url}"]):
                outcome.left[name] = said.splitlines()[-1]
    yield "packages", outcome
    if said := installer.remove(plan.removed):
        outcome.notes.append(said)
    for name, folder in plan.editable.items():
        if said := installer.install([f"-e {_as_url(os.path.join(project, folder))}"]):
            outcome.left[name] = said.splitlines()[-1]
    yield "editable", outcome


def _as_url(folder: str) -> str:
    """In a list, pip takes the word after a path with a space in it for an option."""
    return f"file://{quote(os.fsencode(os.path.abspath(folder)))}"


@dataclass
class _Plan:
    exact: dict[str, str]
    urls: dict[str, str]
    editable: dict[str, str]
    removed: list[str]
    left: dict[str, str]


def _planned(lock: Json, found: Json, image: Json) -> _Plan:
    """Leave out what is there already, and what is the image's to decide."""
    now = found["packages"]
    changed = {name: versions["now"] for name, versions in lock["changed"].items()}
    wanted = {**lock["added"], **changed}
    missing = {n: v for n, v in wanted.items() if n not in now or now[n]["version"] != v}
    left = {n: f"{v} is no version of an index" for n, v in missing.items() if not _is_release(v)}
    urls = {n: u for n, u in lock["urls"].items() if now.get(n, {}).get("url") != u}
    for name in (*missing, *urls):
        if name not in image or name in left:
            continue
        if is_gpu_stack(name):
            left[name] = f"the image's {image[name]['version']} fits its driver"
        elif name in lock["added"] and lock["requested"] and name not in lock["requested"]:
            left[name] = f"the image has its own, {image[name]['version']}"
    return _Plan(
        exact={name: version for name, version in missing.items() if name not in left},
        urls={name: url for name, url in urls.items() if name not in left},
        editable={n: f for n, f in lock["editable"].items() if "editable" not in now.get(n, {})},
        removed=[n for n in lock["removed"] if n in now and not is_gpu_stack(n)],
        left=left,
    )


def _is_release(version: str) -> bool:
    """Whether installers can read it. Debian's own `1.1build1` would end all that is in a list."""
    return _RELEASE.fullmatch(version) is not None


def is_gpu_stack(name: str) -> bool:
    return any(
        name.startswith(known) if known.endswith("-") else name == known for known in GPU_STACK
    )


def install_system_packages(names: Sequence[str]) -> str:
    """Install packages of the system; return what went wrong, empty if nothing did."""
    if shutil.which("apt-get") is None:
        return "there is no apt-get"
    before = [] if os.getuid() == 0 else ["sudo", "-n"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = [*before, "apt-get", "install", "-qq", "-y", "--no-install-recommends", *names]
    if not run(install, environment):
        return ""
    # An image is shipped without lists, as a rule.
    return run([*before, "apt-get", "update", "-qq"], environment) or run(install, environment)


def run(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a program; return the end of what it said if it failed."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            timeout=INSTALL_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stdout.decode(errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-SAID_LINES:]) or f"{argv[0]}: exit code {done.returncode}"


def _clean(variables: Mapping[str, str]) -> dict[str, str]:
    broken = {
        name
        for name in POINTERS
        if any(not os.path.exists(path) for path in variables.get(name, "").split())
    }
    return {n: v for n, v in variables.items() if n not in broken and n not in OF_THE_IMAGE}


def _find_uv(python: Python) -> list[str]:
    places = [
        python.variables.get("PATH", ""),
        os.path.dirname(python.executable),
        os.path.expanduser("~/.local/bin"),
        os.path.expanduser("~/.cargo/bin"),
    ]
    found = shutil.which("uv", path=os.pathsep.join(places))
    if found:
        return [found]
    module = [python.executable, "-m", "uv"]
    with suppress(OSError):
        if subprocess.run([*module, "--version"], capture_output=True).returncode == 0:
            return module
    return []
