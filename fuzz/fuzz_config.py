"""Fuzz target: a configuration file from any bytes ends in options or in one sentence.

With atheris: `python fuzz/fuzz_config.py`. `test_one_input` alone needs nothing beside towline.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from towline.config import load
from towline.errors import UserError


def test_one_input(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        for name in ("pyproject.toml", "towline.toml"):
            file = Path(directory, name)
            file.write_bytes(content)
            try:
                load(Path(directory), {"TOWLINE_DEBOUNCE": "2 ms"})
            except UserError as error:
                if not error.message.startswith(name) or "\n" in error.message:
                    raise AssertionError(f"not one sentence about {name}: {error}") from error
            file.unlink()


def main() -> None:
    import atheris

    # Without instrument_all: on Python 3.11 it breaks the `with` statements of tomllib.
    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
