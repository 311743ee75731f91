"""What is kept in step in the benchmarks: Django's tree, many small files, large ones."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

DJANGO = "django==5.2.8"
SEED = 20261121
PER_DIRECTORY = 50
SMALL_SIZES = (200, 4000)  # Bytes, evenly spread: the sizes of data set shards and of modules.


@cache
def django() -> Path:
    """Return Django's tree, from PyPI, kept in `BENCH_CACHE` if that is set.

    Raises `RuntimeError` if it is not to be had.
    """
    kept = os.environ.get("BENCH_CACHE") or os.path.join(tempfile.gettempdir(), "towline-bench")
    place = Path(kept) / DJANGO.replace("==", "-")
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as made:
            _install(Path(made) / "tree")
            (Path(made) / "tree").rename(place)
    return place


def _install(target: Path) -> None:
    here = [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else ["uv", "pip"]
    command = [*here, "install", "--quiet", "--no-deps", "--target", str(target), DJANGO]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{DJANGO} cannot be fetched: {done.stderr.strip()[-300:]}")
    for bytecode in target.rglob("__pycache__"):
        shutil.rmtree(bytecode)


def put_django(root: Path) -> None:
    shutil.copytree(django(), root, dirs_exist_ok=True)


def put_small_files(root: Path, count: int) -> None:
    """Make `count` files of text, a few of them alike, in directories of `PER_DIRECTORY`."""
    chance = random.Random(SEED)  # noqa: S311
    text = "".join(chance.choices("abcdefghij klmnopqrstuvwxyz_=()[]\n", k=1 << 20)).encode()
    for number in range(count):
        directory = root / f"d{number // PER_DIRECTORY // 50:03}/e{number // PER_DIRECTORY:05}"
        if number % PER_DIRECTORY == 0:
            directory.mkdir(parents=True, exist_ok=True)
        size = chance.randint(*SMALL_SIZES)
        start = chance.randrange(len(text) - size)
        with open(directory / f"f{number:06}.py", "wb", buffering=0) as file:
            file.write(text[start : start + size])


def put_large_file(path: Path, size: int) -> None:
    """Make a file that nothing can compress."""
    with path.open("wb") as file:
        while size > 0:
            file.write(os.urandom(min(size, 16 << 20)))
            size -= 16 << 20


def of_about(root: Path, size: int) -> list[Path]:
    """Return the Python files below `root`, those nearest in size first."""
    found = [path for path in root.rglob("*.py") if path.is_file()]
    return sorted(found, key=lambda path: (abs(path.stat().st_size - size), path))
