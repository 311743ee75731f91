"""Releases of a real package, as they were published: a few thousand files each."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

RELEASES = ("4.2", "5.0", "5.1", "5.2")
DOWNLOAD_TIMEOUT_S = 90


def download(directory: Path) -> dict[str, Path] | str:
    """Return the folder of each release, or the reason why they cannot be had here."""
    folders: dict[str, Path] = {}
    for release in RELEASES:
        wheels = directory / f"wheel-{release}"
        if reason := _download_wheel(release, wheels):
            return reason
        (wheel,) = wheels.glob("*.whl")
        folders[release] = directory / release
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folders[release])
    return folders


def _download_wheel(release: str, wheels: Path) -> str:
    reason = "there is no pip"
    for python in (sys.executable, shutil.which("python3"), "/usr/bin/python3"):
        if python is None:
            continue
        argv = [python, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        argv += ["--disable-pip-version-check", "--python-version=3.12", f"--dest={wheels}"]
        try:
            done = subprocess.run(
                [*argv, f"django=={release}"],
                capture_output=True,
                text=True,
                timeout=DOWNLOAD_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            return "the package index does not answer"
        if done.returncode == 0:
            return ""
        if "No module named pip" not in done.stderr:
            reason = done.stderr.strip().splitlines()[-1]
    return f"Django {release} cannot be downloaded: {reason}"
