"""A machine is gone: how long until a cell runs on the next one, with the old code and packages.

    python -m bench.next_machine [--files N] [--json FILE] [--write]

On loopback. The project holds as many small files and a few large ones; ten packages and what they
need were installed on the machine that is gone. Twice: with an empty cache of the installer, so
that all is downloaded, and with what the first time left in it: what download time costs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench import page, trees
from bench.__main__ import DOCS
from bench.ground import fast_directory
from tests.end_to_end.image import Image, image_on
from tests.end_to_end.laptop import Laptop, laptop_in, wait_until
from tests.end_to_end.sshd import Machine, machine_in

FILES = 20_000
LARGE, LARGE_SIZE = 8, 9_600_000  # With the small ones 119 MB.
PACKAGES = (
    "numpy", "einops", "rich", "tabulate", "tqdm", "networkx", "pyyaml", "jinja2", "requests",
    "python-dotenv",
)  # fmt: skip
CODE = "import numpy, einops, rich, tabulate, tqdm, networkx, yaml, jinja2, requests, dotenv\n"
CELL = "import sys; sys.path.insert(0, 'src'); from vision.train import ANSWER; print(ANSWER)"
CONFIGURATION = '[environment]\npython = "~/image/bin/python"\n'
WAIT_S = 140.0
Times = dict[str, float]  # What was reached → seconds after `towline link`.


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.next_machine", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--files", type=int, default=FILES)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the times there")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md, too")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="twb-", dir=fast_directory()) as made:
        measured = _measured(Path(made), options.files)
    text = table(measured)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1) + "\n")
    if options.write:
        page.write_blocks(DOCS / "performance.md", {"next-machine": text})
    return 0


def _measured(place: Path, files: int) -> dict[str, Times]:
    with machine_in(place / "m0") as first, laptop_in(place / "laptop", first) as laptop:
        _furnish(laptop.project, files)
        laptop.configure(CONFIGURATION)
        laptop.run("version")  # What Python compiles at its first start is no part of this.
        _live_there(laptop, _prepared(first, place / "cache-0"), _git(laptop))
        first.stop()
        cache = place / "cache"
        return {
            name: _next(laptop, place / f"m{number}", cache)
            for number, name in enumerate(("all downloaded", "from the installer's cache"), 1)
        }


def _live_there(laptop: Laptop, image: Image, has_git: bool) -> None:
    """Work on the first machine until the laptop knows what there is to know."""
    with laptop.linked(timeout_s=WAIT_S):
        known = laptop.machine.home / ".cache/towline/environment"
        wait_until(lambda: any(known.glob("*.json")), "the image was looked at", WAIT_S)
        if has_git:
            laptop.tell("git", "setup")
        uv = [laptop.machine.home / ".local/bin/uv", "pip", "install", "-q", "--python"]
        subprocess.run([*uv, image.python, *PACKAGES], check=True, env=_environment(laptop.machine))
        lock = laptop.project / "towline.lock"
        wait_until(lambda: lock.exists() and "networkx" in lock.read_text(), "the list", WAIT_S)


def _next(laptop: Laptop, directory: Path, cache: Path) -> Times:
    """Link to a machine that is empty but for its image, and note when what is there."""
    with machine_in(directory) as machine:
        image = _prepared(machine, cache)
        laptop.machine.config.write_text(machine.config.read_text())
        there = machine.home / "proj"
        began, times = time.monotonic(), Times()

        def note(what: str) -> None:
            times[what] = round(time.monotonic() - began, 3)

        link = laptop.start()
        wait_until((there / "src/vision/train.py").exists, "the code", WAIT_S)
        note("the project's code is there")
        packages = link.wait_for("restored", step="environment", timeout_s=WAIT_S)
        note("the packages are there, too")
        times["(the packages by themselves)"] = packages["seconds"]
        cell = subprocess.run([image.python, "-c", CELL], cwd=there, capture_output=True, text=True)
        assert cell.stdout == "42\n", cell.stderr
        note("the first cell has run")
        link.wait_for("ready", timeout_s=WAIT_S)
        note("all files are there")
        equipped = link.wait_for("equipped", timeout_s=WAIT_S)
        note("the repository is there, too: all is as it was")
        assert equipped["left"] == [], equipped
        differs = laptop.run("env", "diff", timeout_s=WAIT_S)
        assert differs.returncode == 0, differs.stdout + differs.stderr
        assert link.end() == 0
        return times


def _prepared(machine: Machine, cache: Path) -> Image:
    image = image_on(machine)
    if isinstance(image, str):
        sys.exit(image)
    with (machine.home / ".profile").open("a") as profile:
        profile.write(f"export UV_CACHE_DIR={cache}\n")
    target = machine.home / ".local/bin"
    target.mkdir(parents=True)
    (target / "uv").symlink_to(_uv(cache.parent))
    return image


def _uv(place: Path) -> Path:
    if found := shutil.which("uv"):
        return Path(found)
    if not (place / "uv").exists():
        argv = [sys.executable, "-m", "pip", "install", "-q", "--target", place / "uv", "uv"]
        subprocess.run(argv, check=True)
    return place / "uv/bin/uv"


def _environment(machine: Machine) -> dict[str, str]:
    return {**os.environ, "HOME": str(machine.home), "UV_CACHE_DIR": f"{machine.home}/.cache/uv"}


def _furnish(project: Path, files: int) -> None:
    (project / "src/vision").mkdir(parents=True)
    (project / "src/vision/__init__.py").touch()
    (project / "src/vision/train.py").write_text(f"{CODE}\nANSWER = 42\n")
    trees.put_small_files(project / "data", files)
    (project / "checkpoints").mkdir()
    for number in range(LARGE):
        (project / f"checkpoints/{number}.bin").write_bytes(os.urandom(LARGE_SIZE))


def _git(laptop: Laptop) -> bool:
    """Make the project's code a repository; return whether there is a git."""
    if shutil.which("git") is None:
        return False
    (laptop.project / ".gitignore").write_text("/data/\n/checkpoints/\n")
    (laptop.project / ".towlineignore").write_text("!/data/\n!/checkpoints/\n")
    who = ["-c", "user.name=Ana", "-c", "user.email=ana@example.org"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "one"]):
        argv = ["git", *words]
        subprocess.run(argv, cwd=laptop.project, check=True, env=laptop.environment)
    return True


def table(measured: dict[str, Times]) -> str:
    """Return Markdown: what was reached after how many seconds."""
    names = list(measured)
    rows = list(next(iter(measured.values())))
    lines = [f"| after `towline link` | {' | '.join(names)} |", "|---" + "|--:" * len(names) + "|"]
    for row in rows:
        cells = " | ".join(f"{measured[name][row]:.1f} s" for name in names)
        lines.append(f"| {row} | {cells} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
