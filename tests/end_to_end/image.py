"""A managed image on a machine: an environment with packages that nobody may change.

Its packages come from the package index, but for a stand-in of the GPU's: a `torch` that is only
what an installer writes down of it.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.end_to_end.sshd import Machine

IMAGE = ("six==1.16.0", "packaging==23.2", "idna==3.6", "toml==0.10.2")
OTHER_IMAGE = ("six==1.16.0", "packaging==24.0", "idna==3.6", "toml==0.10.2")
INSTALL_S = 120
PASSED = ("SSL_CERT_FILE", "PIP_CERT", "PIP_INDEX_URL", "UV_INDEX_URL", "HTTPS_PROXY")
"""What this computer needs to reach the package index; a machine has it from its login files."""


class Image:
    """The environment `~/image` on a machine."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "image"
        self.python = self.folder / "bin/python"
        lines = [f"export {name}='{os.environ[name]}'\n" for name in PASSED if name in os.environ]
        (home / ".profile").write_text("".join(lines))

    def install(self, *words: str) -> str:
        """Install as a person does; return the reason if it cannot be."""
        argv = [self.python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=INSTALL_S)
        return (done.stderr.strip().splitlines() or ["pip failed"])[-1] if done.returncode else ""

    def run(self, source: str) -> str:
        done = subprocess.run([self.python, "-c", source], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def frozen(self) -> dict[str, str]:
        """Return what is installed, as the environment itself says."""
        listed = self.run(
            "from importlib.metadata import distributions as d\n"
            "for one in d(): print(one.metadata['Name'].lower(), one.version)"
        )
        return dict(line.split() for line in listed.splitlines())

    def pretend(self, name: str, version: str) -> None:
        """Put there what an installer writes down of a package."""
        (site,) = self.folder.glob("lib/python3*/site-packages")
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "INSTALLER").write_text("conda\n")
        (info / "RECORD").write_text(f"{info.name}/METADATA,,\n{info.name}/RECORD,,\n")


def image_on(machine: Machine, packages: tuple[str, ...] = IMAGE) -> Image | str:
    """Make the image, or return the reason why it cannot be had here."""
    made = _made(packages)
    if isinstance(made, str):
        return made
    shutil.copytree(made, machine.home / "image", symlinks=True, copy_function=_link_or_copy)
    return Image(machine.home)


def _link_or_copy(source: str, target: str) -> None:
    """Installers replace files, they do not write into them: most can be the same in all copies."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # Another file system.
        shutil.copy2(source, target, follow_symlinks=False)


@functools.cache
def _made(packages: tuple[str, ...]) -> Path | str:
    """Make it once; an environment may be copied as long as nobody runs its scripts."""
    home = Path(tempfile.mkdtemp(prefix="towline-image-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    image = Image(home)
    python = getattr(sys, "_base_executable", sys.executable)
    made = subprocess.run([python, "-m", "venv", image.folder], capture_output=True, text=True)
    if made.returncode:
        return f"no environment can be made: {made.stdout}{made.stderr}"
    if reason := image.install(*packages):
        return f"the package index cannot be reached: {reason}"
    image.pretend("torch", "2.3.0+cu121")
    return image.folder
